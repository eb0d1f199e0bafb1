"""Reads token usage out of an answer as it passes."""

from __future__ import annotations

import orjson

from .exchange.sse import EventSplitter, data_of

_LIMIT_BYTES = 1 << 20


class UsageTap:
    """Sees every piece of an inference answer and keeps no more than it needs.

    A JSON answer is kept up to 1 MiB and read at its end; of an event stream only events that mention usage are read.
    """

    __slots__ = ("_kept", "_splitter", "completion_tokens", "prompt_tokens")

    def __init__(self, content_type: str) -> None:
        media_type = content_type.partition(";")[0].strip().lower()
        self._splitter = EventSplitter(_LIMIT_BYTES) if media_type == "text/event-stream" else None
        self._kept: bytearray | None = bytearray() if media_type == "application/json" else None
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None

    def feed(self, piece: bytes) -> None:
        """See the next piece."""
        if self._splitter is not None:
            for event in self._splitter.feed(piece):
                if b'"usage"' in event:
                    self._read(data_of(event) or b"")
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
