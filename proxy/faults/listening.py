"""An address that is listened on, or not: then connections are refused, and the port stays taken."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

from ..config.addresses import Address

_BACKLOG = 512
_AGAIN_S = 0.1
_AT_ONCE = 64  # connections accepted in one go


class ListenError(OSError):
    """An address that cannot be listened on. The message says why, and what to do."""


class ListeningSocket:
    """Gives every connection that is accepted to `accept`."""

    def __init__(self, bound: socket.socket, accept: Callable[[socket.socket], None]) -> None:
        self._socket = bound
        self._accept = accept
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self.is_open = False

    @property
    def address(self) -> str:
        """Return `host:port`, with the port that was free where 0 was asked for."""
        host, port = self._socket.getsockname()[:2]
        return str(Address(host, port))

    def open(self) -> None:
        """Listen."""
        if self.is_open:
            return
        self.is_open = True
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.listen(_BACKLOG)
        self._loop.add_reader(self._socket, self._take)

    def refuse(self) -> None:
        """Listen no more; connections that wait to be accepted are reset."""
        if not self.is_open:
            return
        self.is_open = False
        self._stop()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)  # nobody else is to take the port

    def close(self) -> None:
        """Give the port back."""
        self._stop()
        self._socket.close()

    def _take(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                taken, _ = self._socket.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError:  # no descriptor is free
                self._stop()
                self._again = self._loop.call_later(_AGAIN_S, self._loop.add_reader, self._socket, self._take)
                return
            self._accept(taken)

    def _stop(self) -> None:
        self._loop.remove_reader(self._socket)
        if self._again is not None:
            self._again.cancel()
            self._again = None


def bind(address: Address) -> socket.socket:
    """Return a socket bound to `address`. Raises: ListenError."""
    try:
        found = socket.getaddrinfo(address.host, address.port, 0, socket.SOCK_STREAM)
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {error.strerror or error}") from None
    bound = _bound(found[0][0], found[0][4], address)
    if address.port:
        return bound
    # A port that the kernel chose is given back whenever nothing listens; one that was named is kept.
    with bound:
        return _bound(found[0][0], bound.getsockname(), address)


def _bound(family: int, place: Any, address: Address) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        hint = "; another program listens there: stop it, or choose another --listen" * (
            error.errno == errno.EADDRINUSE
        )
        raise ListenError(f"cannot listen on {address}: {(error.strerror or str(error)).lower()}{hint}") from None
    return bound
