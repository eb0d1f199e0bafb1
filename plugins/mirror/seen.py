"""What the client's answer was, for the one who compares."""

from __future__ import annotations

import hashlib

from ...proxy.exchange.message import Response


class Seen:
    """A store that keeps a digest of the answer as it came from the target. `digest` is there once it was whole."""

    __slots__ = ("_hash", "digest", "status")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.status = 0
        self.digest: bytes | None = None

    def begin(self, response: Response) -> bool:
        """See the head."""
        self.status = response.status
        return True

    def write(self, piece: bytes) -> bool:
        """Take a piece of the body."""
        self._hash.update(piece)
        return True

    def commit(self) -> None:
        """It was whole, and no fallback's."""
        self.digest = self._hash.digest()

    def discard(self) -> None:
        """There is nothing to compare with."""
