"""The request body, kept as long as it may have to be sent again."""

from __future__ import annotations

from collections import deque


class ReplayBuffer:
    """Pieces of a request body, in order, up to a limit.

    Up to `limit_bytes` every piece is kept and any number of readers may start from the beginning. Past it the body
    streams: pieces already handed out are dropped, and only the one reader that is furthest may go on.
    """

    __slots__ = ("_dropped", "_limit_bytes", "_pieces", "is_complete", "is_replayable", "size_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._pieces: deque[bytes] = deque()
        self._dropped = 0
        self.size_bytes = 0
        self.is_replayable = True
        self.is_complete = False

    def append(self, piece: bytes) -> None:
        """Add the next piece as it came from the client."""
        self._pieces.append(piece)
        self.size_bytes += len(piece)
        if self.size_bytes > self._limit_bytes:
            self.is_replayable = False

    def finish(self) -> None:
        """The body is whole."""
        self.is_complete = True

    def replace(self, data: bytes) -> None:
        """Put `data` in place of the whole body."""
        self._pieces = deque([data] if data else [])
        self._dropped = 0
        self.size_bytes = len(data)
        self.is_replayable = self.size_bytes <= self._limit_bytes
        self.is_complete = True

    def piece(self, index: int) -> bytes | None:
        """Return piece number `index`, or None where it has not come yet. Raises: LookupError once it was dropped."""
        if index < self._dropped:
            raise LookupError(f"piece {index} of a body larger than the replay buffer is gone")
        position = index - self._dropped
        if position >= len(self._pieces):
            return None
        piece = self._pieces[position]
        if not self.is_replayable:
            # Streaming: what is handed out is not kept, so memory stays at one piece.
            for _ in range(position + 1):
                self._pieces.popleft()
            self._dropped = index + 1
        return piece

    def joined(self) -> bytes:
        """Return everything kept, as one. Only meaningful while nothing was dropped."""
        if self._dropped:
            raise LookupError("the beginning of a body larger than the replay buffer is gone")
        if len(self._pieces) > 1:
            self._pieces = deque([b"".join(self._pieces)])
        return self._pieces[0] if self._pieces else b""
