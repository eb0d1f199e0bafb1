"""The body of a committed answer, whatever number of attempts it takes."""

from __future__ import annotations

from typing import Protocol

from ..errors import GatewayError
from .opened import Opened


class Recovery(Protocol):
    """Who continues an answer, and takes back what it used."""

    async def recover(self, error: GatewayError, opened: Opened) -> Opened:
        """Return the answer that goes on where `opened` broke off. Raises: GatewayError, to be told to the client."""

    def passed(self, opened: Opened) -> None:
        """A portion of it goes to the client."""

    async def end(self, opened: Opened) -> None:
        """The whole answer was read."""

    async def abandon(self) -> None:
        """Nobody wants the rest."""


class AnswerBody:
    """Ended, failed or closed, it gives the upstream back; `aclose` early aborts it.

    A class, not a generator: closing one that nobody began to read must abort the upstream, too.
    """

    __slots__ = ("_opened", "_recovery")

    def __init__(self, recovery: Recovery, opened: Opened) -> None:
        self._recovery = recovery
        self._opened = opened
        opened.held.reverse()

    def __aiter__(self) -> AnswerBody:
        return self

    async def __anext__(self) -> bytes:
        opened = self._opened
        if opened.held:
            return opened.held.pop()
        try:
            portion = b"" if opened.is_ended else await opened.read()
        except GatewayError as error:
            self._opened = await self._recovery.recover(error, opened)
            self._opened.held.reverse()
            return await self.__anext__()
        if portion:
            self._recovery.passed(opened)
            return portion
        await self._recovery.end(opened)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Give the upstream back; before the end of the body this aborts it."""
        await self._recovery.abandon()
