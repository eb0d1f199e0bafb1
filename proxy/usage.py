"""Reads token usage out of an answer as it passes."""

from __future__ import annotations

import orjson

from ..ext.sse import EventScanner, StreamState

_LIMIT_BYTES = 1 << 20


class UsageTap:
    """Sees every piece of an inference answer and keeps no more than it needs.

    A JSON answer is kept up to 1 MiB and read at its end; an event stream is read event by event.
    """

    __slots__ = ("_kept", "_scanner", "_state", "completion_tokens", "prompt_tokens")

    def __init__(self, content_type: str) -> None:
        media_type = content_type.partition(";")[0].strip().lower()
        self._scanner = EventScanner(_LIMIT_BYTES) if media_type == "text/event-stream" else None
        self._state = StreamState()
        self._kept: bytearray | None = bytearray() if media_type == "application/json" else None
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None

    def feed(self, piece: bytes) -> None:
        """See the next piece."""
        if self._scanner is not None:
            for event in self._scanner.feed(piece):
                self._state.see(event)
            self.prompt_tokens, self.completion_tokens = self._state.prompt_tokens, self._state.completion_tokens
        elif self._kept is not None:
            if len(self._kept) + len(piece) > _LIMIT_BYTES:
                self._kept = None
            else:
                self._kept += piece

    def finish(self) -> None:
        """The answer is whole."""
        if self._kept:
            self._read(bytes(self._kept))
            self._kept = None

    def _read(self, data: bytes) -> None:
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            return
        usage = value.get("usage") if isinstance(value, dict) else None
        if not isinstance(usage, dict):
            return
        self.prompt_tokens = _count(usage.get("prompt_tokens"), self.prompt_tokens)
        self.completion_tokens = _count(usage.get("completion_tokens"), self.completion_tokens)


def _count(value: object, before: int | None) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else before
