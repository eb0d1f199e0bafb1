"""A store that keeps nothing: it only looks at the head of an answer."""

from __future__ import annotations

from collections.abc import Callable

from ...proxy.exchange.message import Response


class Watcher:
    """Shows the answer's head to `look`, once it has come."""

    __slots__ = ("_look",)

    def __init__(self, look: Callable[[Response], None]) -> None:
        self._look = look

    def begin(self, response: Response) -> bool:
        """Look; no body is wanted."""
        self._look(response)
        return False

    def write(self, piece: bytes) -> bool:
        """Take nothing."""
        return False

    def commit(self) -> None:
        """There is nothing to store."""

    def discard(self) -> None:
        """There is nothing to forget."""
