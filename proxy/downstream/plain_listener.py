"""Accepts plain connections, and passes on those that another worker should serve."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import cast

from ..tasks import spawn
from ..workers.handover import Share
from .acceptor import Acceptor

_log = logging.getLogger("headgate")


class Spread:
    """Makes the acceptor's connections, or such that go on to another worker."""

    def __init__(self, acceptor: Acceptor, share: Share) -> None:
        self._acceptor = acceptor
        self._share = share

    def __call__(self) -> asyncio.Protocol:
        number = self._share.fewest()
        return self._acceptor() if number is None else _Passing(self._acceptor, self._share, number)


class _Passing(asyncio.Protocol):
    """A connection that another worker should serve. Where that one has no room it stays."""

    def __init__(self, acceptor: Acceptor, share: Share, number: int) -> None:
        self._acceptor = acceptor
        self._share = share
        self._number = number

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass it on, before anything is read from it."""
        transport = cast(asyncio.Transport, transport)
        if self._share.send(self._number, transport.get_extra_info("socket").fileno()):
            transport.abort()  # closes what this process has of it, and tells the client nothing
            return
        connection = self._acceptor()
        transport.set_protocol(connection)
        connection.connection_made(transport)


def take(acceptor: Acceptor, client: socket.socket) -> None:
    """Serve a connection that another worker has accepted."""
    client.setblocking(False)
    spawn(_take(acceptor, client), "connection from another worker")


async def _take(acceptor: Acceptor, client: socket.socket) -> None:
    try:
        await asyncio.get_running_loop().connect_accepted_socket(acceptor, client)
    except OSError as error:
        client.close()
        _log.debug("a connection from another worker failed: %r", error)
