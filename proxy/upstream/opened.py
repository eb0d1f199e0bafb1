"""An answer that has begun: its head, and the reader of the rest."""

from __future__ import annotations

import asyncio
import re

import orjson

from ...ext.http1 import ResponseHead
from ..errors import GatewayError
from ..exchange.progress import DONE, Progress
from ..exchange.seam import Seam
from .attempt import UpstreamAttempt
from .continuation import FIELD
from .reader import EventReader, PieceReader, Reader

_REFUSAL_BYTES = 64 * 1024
_TOO_LONG = re.compile(rb"maximum context length|context length|context window", re.IGNORECASE)


class Opened:
    """One attempt whose head is there. `held` are the portions that were read and not passed on yet.

    `is_prefilled`: it goes on from the text of another answer.
    """

    __slots__ = ("_reader", "attempt", "head", "held", "held_bytes", "is_ended", "is_prefilled", "progress")

    def __init__(
        self, attempt: UpstreamAttempt, head: ResponseHead, progress: Progress | None, seam: Seam | None = None
    ) -> None:
        is_followed = progress is not None and head.status == 200 and is_event_stream(head)
        self.attempt = attempt
        self.head = head
        self.progress = progress if is_followed else None
        self._reader: Reader = PieceReader(attempt)
        if is_followed and progress is not None:
            self._reader = EventReader(attempt, progress, seam)
        self.held: list[bytes] = []
        self.held_bytes = 0
        self.is_ended = False
        self.is_prefilled = seam is not None

    @classmethod
    def adopted(cls, attempt: UpstreamAttempt, head: ResponseHead, reader: Reader, progress: Progress | None) -> Opened:
        """Go on with an answer that was read so far."""
        opened = cls(attempt, head, None)
        opened.progress, opened._reader = progress, reader
        return opened

    @property
    def num_tokens(self) -> int:
        """How many events with content were read."""
        return self._reader.num_tokens

    async def read(self) -> bytes:
        """Return the next portion; b"" is the clean end of a whole answer. Raises: GatewayError."""
        portion = await self._reader.read()
        self.is_ended = not portion
        return portion

    def finish(self) -> None:
        """End a whole answer here, by its formal end."""
        self.held = [DONE]
        self.is_ended = True

    async def hold(self) -> None:
        """Read one more portion and keep it."""
        portion = await self.read()
        if portion:
            self.held.append(portion)
            self.held_bytes += len(portion)

    async def hold_first(self) -> None:
        """Read until the answer has begun. Raises: GatewayError, where it ends or fails before that."""
        while True:
            await self.hold()
            if self._reader.has_begun:
                return
            if self.is_ended:
                if self.progress is not None and self.progress.is_strict:
                    raise GatewayError("truncated", "the event stream ended before its first event")
                return
            if self.held_bytes > _REFUSAL_BYTES:  # comments alone, and no end of them
                return

    async def hold_until(self, instant: float) -> None:
        """Read one more portion and keep it, unless `instant` comes first."""
        if instant == float("inf"):
            await self.hold()
            return
        try:
            async with asyncio.timeout_at(instant):
                await self.hold()
        except TimeoutError:
            return

    async def hold_refusal(self) -> bool:
        """Read a refusal's body as far as it is small; return whether it says that the prompt is too long."""
        while not self.is_ended and self.held_bytes < _REFUSAL_BYTES:
            await self.hold()
        return _is_too_long(b"".join(self.held))

    @property
    def numerics(self) -> bytes | None:
        """The id of what decides the bits of this answer, where the target tells it."""
        return next((value for name, value in self.head.fields if name.lower() == FIELD.lower()), None)


def is_event_stream(head: ResponseHead) -> bool:
    """Whether an answer is a stream of events that can be read: one in a content coding passes as any other bytes."""
    fields = {name.lower(): value.lower() for name, value in head.fields}
    is_coded = fields.get(b"content-encoding", b"identity") != b"identity"
    return not is_coded and fields.get(b"content-type", b"").startswith(b"text/event-stream")


def _is_too_long(body: bytes) -> bool:
    """Whether an error in OpenAI's shape says so, by its code, or in words where a service has no such code."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    error = value.get("error", value) if isinstance(value, dict) else None
    if not isinstance(error, dict):
        return False
    if error.get("code") == "context_length_exceeded":
        return True
    message = error.get("message")
    return isinstance(message, str) and _TOO_LONG.search(message.encode()) is not None
