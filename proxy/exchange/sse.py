"""Server-sent events: where each one ends, and whether it reports an error."""

from __future__ import annotations

import re

import orjson

# WHATWG HTML §9.2.5: an event ends at an empty line; lines end with CRLF, LF or CR.
_END = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
_END_BYTES = 3  # all that can be there of the longest, CRLF CRLF, while it is no end yet


class EventSplitter:
    """Cut a byte stream into whole events, whatever pieces it comes in.

    Each event is returned with its own end, so that joining them gives the stream back. What is held of an
    unfinished event is bounded by `limit_bytes`; past that `is_overflowing` is set and the held bytes are given out.
    """

    __slots__ = ("_held", "_limit_bytes", "is_overflowing")

    def __init__(self, limit_bytes: int = 1 << 20) -> None:
        self._held = bytearray()
        self._limit_bytes = limit_bytes
        self.is_overflowing = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the events that `data` completes. Cost: linear in `data`, however much is held."""
        if self._held:
            # What is held has no end in it, but for the last bytes: these may be the first of one.
            known = max(0, len(self._held) - _END_BYTES)
            self._held += data
            events, taken = _cut(self._held, known)
            del self._held[:taken]
        else:
            events, taken = _cut(data, 0)
            if taken < len(data):
                self._held += data[taken:]
        if len(self._held) > self._limit_bytes:
            self.is_overflowing = True
            events.append(self.rest())
        return events

    def rest(self) -> bytes:
        """Take what is held of an unfinished event."""
        held = bytes(self._held)
        self._held.clear()
        return held


def _cut(data: bytes | bytearray, known: int) -> tuple[list[bytes], int]:
    """Return the whole events at the beginning of `data`, and their size; before position `known` none ends."""
    events: list[bytes] = []
    start = 0
    for match in _END.finditer(data, known):
        end = match.end()
        # A CR at the very end may be the first half of a CRLF that is still on its way.
        if end == len(data) and data.endswith(b"\r"):
            break
        events.append(bytes(data[start:end]))
        start = end
    return events, start


def data_of(event: bytes) -> bytes | None:
    """Return the event's data, its lines joined by LF; None where it has none (a comment, a retry)."""
    lines = []
    for line in re.split(rb"\r\n|\n|\r", event):
        if line.startswith(b"data:"):
            value = line[5:]
            lines.append(value[1:] if value.startswith(b" ") else value)
        elif line == b"data":
            lines.append(b"")
    return b"\n".join(lines) if lines else None


def is_error(event: bytes) -> bool:
    """Whether the event reports a failure: `event: error`, or JSON data with a top-level `error` that is not null."""
    if re.search(rb"(?:^|[\r\n])event: ?error(?:[\r\n]|$)", event):
        return True
    if b'"error"' not in event:
        return False
    try:
        value = orjson.loads(data_of(event) or b"")
    except orjson.JSONDecodeError:
        return False
    return isinstance(value, dict) and value.get("error") is not None
