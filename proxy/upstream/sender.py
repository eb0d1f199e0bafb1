"""Sends the request of one attempt."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ..errors import GatewayError
from ..exchange.replay import ReplayBuffer
from ..tasks import spawn
from .connection import UpstreamConnection

_INLINE_BYTES = 64 * 1024


class BodySource(Protocol):
    """Where the body comes from: what was kept, and how to get more."""

    @property
    def replay(self) -> ReplayBuffer:
        """What was kept of it."""

    def take_arrived(self) -> None:
        """Take into `replay` what is whole already, without waiting."""

    async def more(self) -> bool:
        """Take one more piece into `replay`; False once the body is whole."""


class Listener(Protocol):
    """Who wants to know how far the sending has come."""

    def body_taken(self) -> None:
        """A piece was taken, to be sent: what streams is not kept from here on."""

    def progressed(self) -> None:
        """The other side takes what it is sent."""


class Sender:
    """Passes the request body on while the answer is already awaited.

    A small body that is there already goes out at once, without a task. `error` is what ended the sending early on the
    client's side; the connection is then aborted, so that whoever reads the answer notices. `is_starved`: it waits for
    more from the client.
    """

    __slots__ = ("_body", "_connection", "_listener", "_task", "error", "is_starved")

    def __init__(self, body: BodySource, connection: UpstreamConnection, listener: Listener) -> None:
        self._body = body
        self._connection = connection
        self._listener = listener
        self._task: asyncio.Task[None] | None = None
        self.error: GatewayError | None = None
        self.is_starved = False

    async def start(self) -> None:
        """Begin to send; returns at once unless the whole body is at hand and small."""
        self._body.take_arrived()
        replay = self._body.replay
        if replay.is_complete and replay.size_bytes <= _INLINE_BYTES:
            await self._send()
        else:
            self._task = spawn(self._send_guarded(), "send a request body")

    @property
    def is_done(self) -> bool:
        """Whether the whole request went out."""
        return self._task is None or self._task.done()

    async def _send(self) -> None:
        index = 0
        replay = self._body.replay
        while True:
            piece = replay.piece(index)
            if piece is None:
                if not await self._more() and replay.piece(index) is None:  # others may take it in meanwhile
                    break
                continue
            index += 1
            self._listener.body_taken()  # before the sending can fail: the piece may be gone either way
            await self._connection.send_body(piece)
            self._listener.progressed()
        self._connection.end_body()

    async def _more(self) -> bool:
        self.is_starved = True
        try:
            return await self._body.more()
        finally:
            self.is_starved = False

    async def _send_guarded(self) -> None:
        try:
            await self._send()
        except GatewayError as error:
            # An upstream that stopped reading shows in its answer; only the client's own failure ends the exchange.
            if error.kind.source == "downstream":
                self.error = error
                self._connection.abort()

    async def stop(self) -> None:
        """End the sending, finished or not."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
