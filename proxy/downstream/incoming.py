"""What aiohttp's request loop hands to the handler, and what it wants back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import StreamReader

if TYPE_CHECKING:
    from ...ext.http1 import RequestHead
    from .connection import DownstreamConnection


class Incoming:
    """One request on its connection. The underscored names are what aiohttp's loop calls."""

    __slots__ = ("_task", "connection", "head", "payload")

    def __init__(self, connection: DownstreamConnection, head: RequestHead, payload: StreamReader) -> None:
        self.connection = connection
        self.head = head
        self.payload = payload
        self._task: asyncio.Task[Any] | None = None

    def _finish(self) -> None:
        pass

    def _cancel(self, error: BaseException) -> None:
        if not self.payload.is_eof():
            self.payload.set_exception(error)


class Answered:
    """Tells aiohttp's loop that the answer is written already, and whether the connection goes on."""

    __slots__ = ("keep_alive",)

    def __init__(self, keep_alive: bool) -> None:
        self.keep_alive = keep_alive

    async def prepare(self, request: Incoming) -> None:
        """Nothing is left to prepare."""

    async def write_eof(self) -> None:
        """Nothing is left to write."""
