"""Reads the answer of one attempt, in the portions in which it is passed on."""

from __future__ import annotations

import asyncio
import math
from typing import Protocol

from ...ext.sse import EventScanner
from ..errors import GatewayError
from ..exchange.progress import Progress
from ..exchange.seam import Seam
from .attempt import UpstreamAttempt

MAX_EVENT_BYTES = 4 << 20
_END_S = 1.0


class Reader(Protocol):
    """`has_begun`: what was read so far is an answer, not only the announcement of one."""

    @property
    def has_begun(self) -> bool:
        """Whether the answer has begun."""

    @property
    def num_tokens(self) -> int:
        """How many events with content were read."""

    async def read(self) -> bytes:
        """Return the next portion; b"" is the clean end of a whole answer. Raises: GatewayError. Cancel: safe."""


class PieceReader:
    """Passes pieces on as they come."""

    __slots__ = ("_attempt", "has_begun")

    def __init__(self, attempt: UpstreamAttempt) -> None:
        self._attempt = attempt
        self.has_begun = False

    @property
    def num_tokens(self) -> int:
        """Pieces have none."""
        return 0

    async def read(self) -> bytes:
        """Return the next piece."""
        self._attempt.listen()
        piece = await self._attempt.read_body()
        self._attempt.turn_away()
        self.has_begun = True
        return piece


class BrokenReader(PieceReader):
    """Tells what broke an answer off."""

    __slots__ = ("_error",)

    def __init__(self, attempt: UpstreamAttempt, error: GatewayError) -> None:
        super().__init__(attempt)
        self._error = error

    async def read(self) -> bytes:
        """Raise the error."""
        raise self._error


class EventReader:
    """Passes whole events on, as long as the stream is sound; adds the formal end where only that is missing."""

    __slots__ = (
        "_attempt",
        "_ends_at",
        "_error",
        "_is_late",
        "_is_over",
        "_num_before",
        "_progress",
        "_scanner",
        "_seam",
    )

    def __init__(self, attempt: UpstreamAttempt, progress: Progress, seam: Seam | None) -> None:
        """`seam`: the stream continues another one, and is to be made part of it."""
        self._attempt = attempt
        self._seam = seam
        self._progress = progress
        self._num_before = progress.num_events
        self._scanner = progress.scanner = EventScanner(MAX_EVENT_BYTES)
        self._error: GatewayError | None = None
        self._is_over = False
        self._ends_at = math.inf
        self._is_late = False
        self._look_whether_whole()

    @classmethod
    def adopted(
        cls, attempt: UpstreamAttempt, progress: Progress, scanner: EventScanner, error: GatewayError | None
    ) -> EventReader:
        """Go on where `scanner` stands; with an error that is how it ends."""
        reader = cls(attempt, progress, None)
        reader._scanner = progress.scanner = scanner
        reader._num_before, reader._error = 0, error
        return reader

    @property
    def has_begun(self) -> bool:
        """Whether there is something that a client would show, and this attempt has brought of it."""
        return self._progress.has_begun and self._progress.num_events > self._num_before

    @property
    def num_tokens(self) -> int:
        """How many events with content were read, by all attempts."""
        return self._progress.num_tokens

    async def read(self) -> bytes:
        """Return the next whole events."""
        while not self._is_over:
            if self._error is not None:
                raise self._error
            self._attempt.listen()
            piece = await self._piece()
            events = self._scanner.feed(piece) if piece else self._scanner.finish()
            if events:  # parts of one that never comes to an end are none
                self._attempt.progressed()
            if self._seam is not None:
                events = self._seam.take(events)
            passed, self._error = self._progress.take(events)
            self._look_whether_whole()
            if not piece:
                self._is_over = self._error is None
                passed += self._progress.end(self._scanner.rest()) if self._is_over else b""
            if passed:
                self._attempt.turn_away()
                return passed
        return b""

    def _look_whether_whole(self) -> None:
        """A stream that is whole waits no longer for its formal end than a moment."""
        if self._progress.is_whole and self._ends_at == math.inf:
            self._ends_at = asyncio.get_running_loop().time() + _END_S

    async def _piece(self) -> bytes:
        """Read on; once the answer is whole nothing can make it less, and it soon ends, whatever follows.

        Raises: GatewayError, also where only the usage is missing that is owed.
        """
        if not self._progress.is_whole:
            return await self._attempt.read_body(is_progress=False)
        try:
            if self._is_late:
                raise TimeoutError
            # Where a slow client took the time, what lies there is read once more.
            self._is_late = asyncio.get_running_loop().time() >= self._ends_at
            async with asyncio.timeout_at(self._ends_at):
                return await self._attempt.read_body(is_progress=False)
        except (GatewayError, TimeoutError) as error:
            if self._progress.lacks_usage:
                raise GatewayError("truncated", "the stream ended without its usage") from error
            return b""
