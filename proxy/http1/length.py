"""Where a body of a known length ends."""

from __future__ import annotations


class LengthScanner:
    """Counts one body of `length` bytes that arrives in pieces, as `ChunkScanner` does a chunked one."""

    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def is_complete(self) -> bool:
        """Whether the last byte has come."""
        return self._left == 0

    def feed(self, data: bytes | memoryview) -> int:
        """Take the next bytes; return how many of them belong to this body."""
        size = min(len(data), self._left)
        self._left -= size
        return size
