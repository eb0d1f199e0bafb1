"""The bytes of one connection, bounded in both directions."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Protocol, cast

from ...ext import lane

READ_LIMIT_BYTES = 64 * 1024
WRITE_LIMIT_BYTES = 64 * 1024
_LINGER_S = 5.0


class Receiver(Protocol):
    """Who is told what happens on a connection."""

    def upstream_data(self, data: bytes) -> None:
        """Bytes came."""

    def upstream_moved(self) -> None:
        """Its stream ended, or it was lost."""

    def upstream_writable(self) -> None:
        """What was written is on its way."""


class Wire(asyncio.Protocol):
    """A transport that is read by asking for bytes.

    Reading pauses while more than `READ_LIMIT_BYTES` wait to be taken, so that what is held is that much and one
    read of the event loop (256 KiB). One task may read while another one writes.

    Or it is not read but tells: all that happens goes to a `receiver`, at once, while there is one.
    """

    __slots__ = (
        "_is_paused",
        "_is_write_paused",
        "_linger",
        "_loop",
        "_on_disturbed",
        "_pieces",
        "_readable",
        "_size",
        "_socket",
        "_transport",
        "_writable",
        "error",
        "idle_until",
        "is_eof",
        "is_lost",
        "num_uses",
        "receiver",
    )

    _transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self._socket = sock
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_paused = False
        self._is_write_paused = False
        self._readable: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._on_disturbed: Callable[[Wire], None] | None = None
        self._linger: asyncio.TimerHandle | None = None
        self.error: Exception | None = None
        self.is_eof = False
        self.is_lost = False
        self.idle_until = 0.0
        self.num_uses = 0
        self.receiver: Receiver | None = None

    @property
    def has_unread(self) -> bool:
        """Whether bytes wait to be taken."""
        return bool(self._pieces)

    @property
    def is_open(self) -> bool:
        """Whether bytes may still be sent, as far as is known."""
        return not (self.is_lost or self.is_eof or self._transport.is_closing())

    @property
    def is_write_paused(self) -> bool:
        """Whether more than `WRITE_LIMIT_BYTES` wait to be sent."""
        return self._is_write_paused

    @property
    def is_clean(self) -> bool:
        """Whether the connection is open, everything is sent, and no bytes wait to be taken."""
        if self.is_lost or self.is_eof or self._pieces:
            return False
        transport = self._transport
        return not (transport.is_closing() or transport.get_write_buffer_size())

    def is_quiet(self) -> bool:
        """Whether the connection is clean, in the kernel too: what came may not have reached the event loop yet.

        Cost: one system call.
        """
        if not self.is_clean:
            return False
        if lane.is_quiet is not None:  # without an exception for what is the rule
            return lane.is_quiet(self._socket.fileno())
        try:
            self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False  # bytes, or the end of the stream

    async def read(self) -> bytes:
        """Return the bytes that wait, or the next that come; b"" is the clean end of the stream.

        Raises: ConnectionError where the connection was lost without that. Cancel: no byte is lost.
        """
        while not self._pieces:
            if self.is_eof:
                return b""
            if self.is_lost:
                raise ConnectionResetError(str(self.error or "closed without an end of the stream"))
            self._readable = self._loop.create_future()
            try:
                await self._readable
            finally:
                self._readable = None
        return self._take()

    def _take(self) -> bytes:
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        self.resume()
        return data

    def push_back(self, data: bytes) -> None:
        """Put bytes back that were told, to be read."""
        self._pieces.insert(0, data)
        self._size += len(data)

    def pause(self) -> None:
        """Tell nothing more for now."""
        if not self._is_paused and not self.is_lost:
            self._is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Go on after a pause."""
        if self._is_paused:
            self._is_paused = False
            if not self.is_lost and not self._transport.is_closing():
                self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport; dropped where the connection is gone."""
        if not self.is_lost and not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until at most `WRITE_LIMIT_BYTES` wait to be sent, or the connection is gone."""
        while self._is_write_paused and not self.is_lost:
            self._writable = self._loop.create_future()
            try:
                await self._writable
            finally:
                self._writable = None

    def park(self, on_disturbed: Callable[[Wire], None]) -> None:
        """Call `on_disturbed` once when anything at all happens on the connection."""
        self._on_disturbed = on_disturbed

    def unpark(self) -> None:
        """Undo `park`."""
        self._on_disturbed = None

    def close(self) -> None:
        """Close once everything is sent, within some seconds."""
        self._on_disturbed = None
        if self.is_lost or self._linger is not None:
            return
        if self._transport.get_write_buffer_size():
            self._linger = self._loop.call_later(_LINGER_S, self._transport.abort)
        self._transport.close()

    def abort(self) -> None:
        """Close now; bytes that wait to be sent are dropped."""
        self._on_disturbed = None
        if not self.is_lost:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._transport.set_write_buffer_limits(high=WRITE_LIMIT_BYTES)

    def data_received(self, data: bytes) -> None:
        if self.receiver is not None:
            self.receiver.upstream_data(data)
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._size > READ_LIMIT_BYTES:
            self.pause()
        _wake(self._readable)
        self._disturbed()

    def eof_received(self) -> bool:
        tls = self._transport.get_extra_info("ssl_object")
        # The event loop may tell the end of a TLS stream though the other side only stopped: that is no clean end.
        self.is_eof = tls is None or _has_goodbye(tls)
        _wake(self._readable)
        self._disturbed()
        if self.receiver is not None:
            self.receiver.upstream_moved()
        # Stay open for what is still to be sent. TLS knows no such half.
        return tls is None

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not self.is_eof:
            self._salvage()
        self.is_lost = True
        self.error = exc
        if self._linger is not None:
            self._linger.cancel()
        _wake(self._readable)
        _wake(self._writable)
        self._disturbed()
        if self.receiver is not None:
            self.receiver.upstream_moved()

    def _salvage(self) -> None:
        """Take what the kernel still holds after a failed write: often the answer that says why.

        An end of the stream found here is none: the failure itself leaves one behind.
        """
        if self._transport.get_extra_info("ssl_object") is not None:
            return
        with contextlib.suppress(OSError):  # a socket that is closed already is one
            while self._size <= READ_LIMIT_BYTES:
                data = self._socket.recv(READ_LIMIT_BYTES, socket.MSG_DONTWAIT)
                if not data:
                    return
                self._pieces.append(data)
                self._size += len(data)

    def pause_writing(self) -> None:
        self._is_write_paused = True

    def resume_writing(self) -> None:
        self._is_write_paused = False
        _wake(self._writable)
        if self.receiver is not None:
            self.receiver.upstream_writable()

    def _disturbed(self) -> None:
        callback, self._on_disturbed = self._on_disturbed, None
        if callback is not None:
            callback(self)


def _has_goodbye(tls: ssl.SSLObject) -> bool:
    """Whether close_notify came: only then does a read end instead of wanting more."""
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None:
        with contextlib.suppress(asyncio.InvalidStateError):
            future.set_result(None)
