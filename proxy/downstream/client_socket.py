"""What a transport does not offer of a client's socket."""

from __future__ import annotations

import asyncio
import socket

_POLL_S = 0.04
_CLOSED_STATES = frozenset({7, 8})  # Linux: TCP_CLOSE, TCP_CLOSE_WAIT
_NO_LINGER = b"\x01\x00\x00\x00\x00\x00\x00\x00"


def reset(transport: asyncio.Transport) -> None:
    """Abort by a reset: visible even where the end of the body is the end of the connection."""
    raw = _tcp_socket(transport)
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


class LeaveWatch:
    """Aborts the connection of a client that leaves while nothing is read from it: the loop cannot see that."""

    __slots__ = ("_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def start(self, transport: asyncio.Transport) -> None:
        """Look from now on."""
        if self._timer is None:
            self._timer = self._loop.call_later(_POLL_S, self._look, transport)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, transport: asyncio.Transport) -> None:
        self._timer = None
        if _has_left(transport):
            transport.abort()
            return
        self.start(transport)


def _has_left(transport: asyncio.Transport) -> bool:
    raw = _tcp_socket(transport)
    return raw is not None and raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in _CLOSED_STATES


def _tcp_socket(transport: asyncio.Transport) -> socket.socket | None:
    raw: socket.socket | None = transport.get_extra_info("socket")
    return raw if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6) else None
