"""A store that keeps nothing: it only looks at the head of an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from ...proxy.exchange.message import Response

Subject = TypeVar("Subject")


class Watcher(Generic[Subject]):
    """Shows the answer's head to `look`, once it has come, with whom it concerns."""

    __slots__ = ("_look", "_subject")

    def __init__(self, look: Callable[[Subject, Response], None], subject: Subject) -> None:
        self._look = look
        self._subject = subject

    def begin(self, response: Response) -> bool:
        """Look; no body is wanted."""
        self._look(self._subject, response)
        return False

    def write(self, piece: bytes) -> bool:
        """Take nothing."""
        return False

    def commit(self) -> None:
        """There is nothing to store."""

    def discard(self) -> None:
        """There is nothing to forget."""
