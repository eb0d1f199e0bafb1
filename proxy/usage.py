"""Reads token usage out of an answer as it passes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from ..ext.head_scan import read_usage
from ..ext.sse import EventScanner, StreamState

JSON = b"application/json"
_LIMIT_BYTES = 1 << 20


def usage_in(body: bytes) -> tuple[int | None, int | None]:
    """Return the prompt and completion tokens that a JSON answer tells of; None each where it tells of none."""
    return read_usage(body) if len(body) <= _LIMIT_BYTES else (None, None)


class UsageTap:
    """Sees every piece of an inference answer and keeps no more than it needs.

    A JSON answer is kept up to 1 MiB and read at its end; an event stream is read event by event. `num_events`: how
    many events carried a piece of the answer; None where it is no event stream.
    """

    __slots__ = ("_kept", "_scanner", "_state", "completion_tokens", "num_events", "prompt_tokens")

    def __init__(self, content_type: str) -> None:
        media_type = content_type.partition(";")[0].strip().lower()
        self._scanner: EventScanner | None = None
        self._state: StreamState | None = None
        if media_type == "text/event-stream":
            self._scanner, self._state = EventScanner(_LIMIT_BYTES), StreamState()
        self._kept: bytes | bytearray | None = b"" if media_type == "application/json" else None
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self.num_events: int | None = None if self._state is None else 0

    def feed(self, piece: bytes) -> None:
        """See the next piece."""
        if self._scanner is not None and self._state is not None:
            for event in self._scanner.feed(piece):
                self._state.see(event)
            self.prompt_tokens, self.completion_tokens = self._state.prompt_tokens, self._state.completion_tokens
            self.num_events = self._state.num_events
        elif self._kept is not None:
            self._keep(piece)

    def finish(self) -> None:
        """The answer is whole."""
        if self._kept:
            self.prompt_tokens, self.completion_tokens = read_usage(bytes(self._kept))
            self._kept = None

    def _keep(self, piece: bytes) -> None:
        kept = self._kept or b""
        if len(kept) + len(piece) > _LIMIT_BYTES:
            self._kept = None
        elif not kept:
            self._kept = piece  # often the whole answer: it is not copied
        else:
            self._kept = kept = kept if isinstance(kept, bytearray) else bytearray(kept)
            kept += piece


class TappedBody:
    """A streamed body that a usage tap sees as it is read. `aclose` gives its source back."""

    __slots__ = ("_body", "_tap")

    def __init__(self, body: AsyncIterator[bytes], tap: UsageTap) -> None:
        self._body = body
        self._tap = tap

    def __aiter__(self) -> TappedBody:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await self._body.__anext__()
        except StopAsyncIteration:
            self._tap.finish()
            raise
        self._tap.feed(piece)
        return piece

    async def aclose(self) -> None:
        """Close what is read from."""
        close: Callable[[], Awaitable[None]] | None = getattr(self._body, "aclose", None)
        if close is not None:
            await close()
