"""Accepts TLS connections, and counts them from the first moment on."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl

from ..tasks import spawn
from ..workers.handover import Share
from .acceptor import Acceptor
from .connection import DownstreamConnection

_log = logging.getLogger("headgate")
_BATCH = 64  # then the loop turns to others
_RETRY_S = 0.1
_NOTHING_WAITS = frozenset({errno.EAGAIN, errno.ECONNABORTED})


class TlsListener:
    """Listens on a bound socket. A connection has a place of the acceptor's before its handshake begins, or is closed.

    The loop's own server tells of a connection only after its handshake: peers that never begin one would be held
    for the whole handshake timeout by nobody's count.
    """

    def __init__(
        self, acceptor: Acceptor, bound: socket.socket, context: ssl.SSLContext, handshake_timeout_s: float
    ) -> None:
        self._acceptor = acceptor
        self._bound = bound
        self._context = context
        self._handshake_timeout_s = handshake_timeout_s
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None
        self._is_failing = False
        self._handshakes: set[asyncio.Task[None]] = set()
        self.share: Share | None = None  # with other workers

    def start(self, backlog: int) -> None:
        """Accept from now on. Raises: OSError."""
        self._bound.listen(backlog)
        self._resume()

    def close(self) -> None:
        """Accept no more, and end the handshakes that are under way."""
        if self._bound.fileno() < 0:
            return
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._bound)
        self._bound.close()
        for task in self._handshakes:
            task.cancel()

    def _resume(self) -> None:
        self._retry = None
        self._loop.add_reader(self._bound, self._accept)

    def _accept(self) -> None:
        """Take what waits. Where the system has nothing to give it with, it waits on."""
        for _ in range(_BATCH):
            try:
                client, address = self._bound.accept()
            except OSError as error:
                if error.errno not in _NOTHING_WAITS:
                    self._pause(error)
                return
            self._is_failing = False
            if not self._passes_on(client):
                self._take(client, str(address[0]))

    def _pause(self, error: OSError) -> None:
        if not self._is_failing:  # said once, until one is accepted again
            self._is_failing = True
            _log.error("cannot accept connections, trying on: %s", error.strerror)
        self._loop.remove_reader(self._bound)
        self._retry = self._loop.call_later(_RETRY_S, self._resume)

    def _passes_on(self, client: socket.socket) -> bool:
        number = self.share.fewest() if self.share is not None else None
        if number is None or self.share is None or not self.share.send(number, client.fileno()):
            return False
        client.close()
        return True

    def take(self, client: socket.socket) -> None:
        """Serve a connection that another worker has accepted."""
        try:
            peer = str(client.getpeername()[0])
        except OSError:  # gone already
            client.close()
            return
        if self._bound.fileno() < 0:
            client.close()
        else:
            self._take(client, peer)

    def _take(self, client: socket.socket, peer: str) -> None:
        connection = self._acceptor.expect(peer)
        if connection is None:
            client.close()
            return
        client.setblocking(False)
        task = spawn(self._shake_hands(connection, client), "TLS handshake")
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, connection: DownstreamConnection, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection, client, ssl=self._context, ssl_handshake_timeout=self._handshake_timeout_s
            )
        except BaseException as error:
            _close(client)
            if not isinstance(error, OSError):  # ssl.SSLError is one
                raise
            _log.debug("a TLS handshake failed: %r", error)
        finally:
            self._acceptor.give_up(connection)


def _close(client: socket.socket) -> None:
    """Close a connection whose handshake came to nothing, also where its transport has not begun."""
    with contextlib.suppress(OSError):  # the transport has closed it
        client.shutdown(socket.SHUT_RDWR)
    client.close()
