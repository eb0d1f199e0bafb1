"""Two transports joined back to back: a TCP connection without a kernel, and as deterministic as its loop."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, cast

KERNEL_BYTES = 64 * 1024  # what is on its way to a side that does not read
_CLOSE_WAIT, _ESTABLISHED = 8, 1

Cut = Callable[[int], int]  # how many of so many waiting bytes come in one piece


class Plug:
    """What code asks of the socket under a transport."""

    family = socket.AF_INET

    def __init__(self, transport: JoinedTransport) -> None:
        self._transport = transport
        self.is_resetting = False

    def setsockopt(self, level: int, name: int, value: object) -> None:
        """Note that an abort is to be a reset; anything else changes nothing here."""
        if (level, name) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self.is_resetting = True

    def getsockopt(self, level: int, name: int, size: int) -> bytes:
        """Return the first byte of TCP_INFO: the state of the connection."""
        assert (level, name, size) == (socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        return bytes((_CLOSE_WAIT if self._transport.has_end_waiting else _ESTABLISHED,))


class JoinedTransport(asyncio.Transport):
    """One side of a connection. What is written arrives at `peer` after `latency_s`, in pieces that `cut` decides.

    As TCP does it: what was sent before an end or a reset still arrives; data for a side that is closed resets the
    sender; bytes wait at the sender once the receiver holds `KERNEL_BYTES` of them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, latency_s: float, cut: Cut, name: tuple[str, int]) -> None:
        super().__init__({"peername": name, "sockname": name, "socket": Plug(self)})
        self._loop = loop
        self._latency_s = latency_s
        self._cut = cut
        self.peer: JoinedTransport = self
        self._protocol: Any = None
        self._out = bytearray()
        self._in = bytearray()
        self._ends: deque[Exception | None] = deque()  # after `_in`: None is a clean end
        self._high = 64 * 1024
        self._is_reading = True
        self._is_full = False
        self._is_closing = False
        self._is_ending = False
        self._has_ended = False  # our end was sent
        self.is_lost = False
        self.on_lost: Callable[[], None] = lambda: None
        self._pumping: asyncio.Handle | None = None

    # -- what protocols call

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return cast(asyncio.BaseProtocol, self._protocol)

    def is_closing(self) -> bool:
        return self._is_closing or self.is_lost

    def is_reading(self) -> bool:
        return self._is_reading and not self.is_closing()

    def can_write_eof(self) -> bool:
        return True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 64 * 1024 if high is None else high
        self._look_at_size()

    def get_write_buffer_size(self) -> int:
        return len(self._out)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self._is_ending, "bytes after the end of the stream"
        if not self.is_closing():
            self._out += data
            self._send()  # at once, as far as there is room: what was sent arrives, whatever becomes of the sender
            self.pump()
            self._look_at_size()

    def write_eof(self) -> None:
        self._is_ending = True
        self.pump()

    def pause_reading(self) -> None:
        self._is_reading = False

    def resume_reading(self) -> None:
        self._is_reading = True
        self.peer.pump()

    def close(self) -> None:
        if not self.is_closing():
            self._is_closing = self._is_ending = True
            self._in.clear()
            self.pump()

    def abort(self) -> None:
        if not self.is_lost:
            self._is_closing = True
            self._out.clear()
            reset = ConnectionResetError("reset by peer") if self.get_extra_info("socket").is_resetting else None
            self._send_end(reset)
            self._lose(None)

    # -- the network

    @property
    def has_end_waiting(self) -> bool:
        """Whether the other side's end or reset is here, seen or not."""
        return bool(self._ends) or self.peer.is_lost

    def pump(self, *, is_on_the_way: bool = False) -> None:
        """See that bytes move on: not in this call, and in order. What is on the way already comes at once."""
        if self._pumping is None:
            later, soon = self._loop.call_later, self._loop.call_soon
            is_soon = is_on_the_way or not self._latency_s
            self._pumping = soon(self._pump) if is_soon else later(self._latency_s, self._pump)

    def _pump(self) -> None:
        self._pumping = None
        peer = self.peer
        if self._out and peer.is_lost:
            self._fail(ConnectionResetError("sent to a closed connection"))
            return
        self._send()
        self._look_at_size()
        if not self._out and self._is_ending and not self._has_ended:
            self._send_end(None)
            if self._is_closing:
                self._lose(None)
        peer._deliver()
        if self._out and len(peer._in) < KERNEL_BYTES:
            self.pump(is_on_the_way=True)

    def _send(self) -> None:
        peer = self.peer
        room = KERNEL_BYTES - len(peer._in)
        if not (peer._is_closing or peer.is_lost):  # who closes reads no more
            peer._in += self._out[:room]
        elif peer.is_lost:
            return
        del self._out[:room]

    def _send_end(self, error: Exception | None) -> None:
        if not self._has_ended:
            self._has_ended = True
            self.peer._ends.append(error)
            self.pump()

    def _deliver(self) -> None:
        """Give the protocol one piece of what has come, or the end."""
        if self.is_lost or self._is_closing or not (self._is_reading or self._has_reset()):
            return
        if self._in and self._is_reading:
            size = max(1, min(len(self._in), self._cut(len(self._in))))
            piece = bytes(self._in[:size])
            del self._in[:size]
            self._protocol.data_received(piece)
            self.peer.pump(is_on_the_way=True)
        elif self._ends:
            self._take_end(self._ends.popleft())

    def _has_reset(self) -> bool:
        return any(end is not None for end in self._ends)

    def _take_end(self, error: Exception | None) -> None:
        if error is not None:
            self._fail(error)
        elif not self._protocol.eof_received():
            self.close()

    def _fail(self, error: Exception) -> None:
        if not self.is_lost:
            self._is_closing = True
            self._out.clear()
            self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        if not self.is_lost:
            self.is_lost = True
            self._loop.call_soon(self._tell_lost, error)

    def _tell_lost(self, error: Exception | None) -> None:
        self._protocol.connection_lost(error)
        self.on_lost()

    def _look_at_size(self) -> None:
        if self._is_full is False and len(self._out) > self._high:
            self._is_full = True
            self._protocol.pause_writing()
        elif self._is_full and len(self._out) <= self._high // 4:
            self._is_full = False
            self._protocol.resume_writing()


def join(left: JoinedTransport, right: JoinedTransport, near: asyncio.BaseProtocol, far: asyncio.BaseProtocol) -> None:
    """Make two transports one connection between two protocols; the far one learns of it first."""
    left.peer, right.peer = right, left
    left.set_protocol(near)
    right.set_protocol(far)
    far.connection_made(right)
    near.connection_made(left)
