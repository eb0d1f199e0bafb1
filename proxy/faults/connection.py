"""One connection: reads requests, plays the steps of their answers, and sees when the peer leaves."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import struct
import termios
from collections.abc import Callable
from typing import Protocol, cast

from ..downstream.client_socket import reset
from ..errors import KINDS
from .answer import error_value, json_answer
from .framing import Delivery
from .incoming import Incoming, RequestError, RequestReader
from .injector import Reply
from .journal import Peer, Seen
from .steps import AwaitNext, End, Hold, How, Send, Step, Wait, steps

MAX_AHEAD_BYTES = 1 << 20
_POLL_S = 0.001
_MAX_POLL_S = 0.05
_DONE = {"reset": "reset", "close": "closed"}


class PeerLeftError(Exception):
    """The peer closed or reset the connection."""


class Host(Protocol):
    """What a connection asks of its server."""

    @property
    def hold_s(self) -> float:
        """How long anything waits for the peer, in seconds."""

    def now(self) -> float:
        """Return the seconds since the start."""

    def opened(self, connection: Connection) -> bool:
        """Count a connection in; whether there is room for it."""

    def closed(self, connection: Connection) -> None:
        """Count a connection out."""

    def reply(self, request: Incoming, peer: Peer) -> Reply:
        """Answer a request."""


class Connection(asyncio.Protocol):
    """A connection of `host`. The peer is read from at all times, or its leaving would not be seen."""

    def __init__(self, host: Host, peer: Peer) -> None:
        self._host = host
        self.peer = peer
        self._held = bytearray()
        self._wake = asyncio.Event()
        self._is_writable = True
        self._has_left = False
        self._is_last = False
        self._is_idle = True
        self._is_reading = True
        self._task: asyncio.Task[None] | None = None

    # -- what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)  # what was sent has left for the kernel
        if not self._host.opened(self):
            self._end("reset")
            return
        self._task = asyncio.create_task(self._run())

    def data_received(self, data: bytes) -> None:
        """Take bytes, of which only so many may come ahead of their turn."""
        self._held += data
        if len(self._held) > MAX_AHEAD_BYTES:
            if self._is_reading:
                self._transport.pause_reading()  # until these are read
            else:
                self._end("reset")
        self._wake.set()

    def eof_received(self) -> bool:
        """Take a peer that sends no more for one that left: so do most servers."""
        self._over("peer closed")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop serving."""
        self._over("peer closed" if exc is None else "peer reset")
        self._host.closed(self)

    def pause_writing(self) -> None:
        """Wait before sending more."""
        self._is_writable = False

    def resume_writing(self) -> None:
        """Send on."""
        self._is_writable = True
        self._wake.set()

    # -- what the server tells

    def finish(self) -> None:
        """Close: now where nothing is under way, else after the answer."""
        self._is_last = True
        if self._is_idle:
            self._end("close")

    def abort(self) -> None:
        """Close at once."""
        self._over("closed by us")
        self._transport.abort()

    # -- serving

    async def _run(self) -> None:
        try:
            while not self._is_last:
                request = await self._request()
                if request is None:
                    break
                await self._answer(request)
        except RequestError as error:
            await self._refuse(error)
        except (PeerLeftError, TimeoutError):
            pass
        finally:
            self._end("close")

    async def _request(self) -> Incoming | None:
        """Read the next request; None where the peer takes too long."""
        reader, is_told = RequestReader(), False
        self._is_idle, self._is_reading = not self._held, True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._host.hold_s):
                while True:
                    await self._until(lambda: self._held)
                    self._is_idle = False
                    data, self._held = bytes(self._held), bytearray()
                    self._transport.resume_reading()
                    request = reader.feed(data)
                    if request is not None:
                        self._is_reading = False
                        self._held[:0] = reader.rest
                        return request
                    if reader.wants_continue and not is_told:
                        is_told = True
                        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None

    async def _answer(self, request: Incoming) -> None:
        reply = self._host.reply(request, self.peer)
        seen = reply.seen
        try:
            for step in reply.steps:
                await self._play(step, seen)
                if seen is not None and isinstance(step, Send):
                    seen.status = reply.status
                if isinstance(step, End):
                    self._is_last = True
                    return
            self._note(seen, "answered")
        except PeerLeftError:
            self._note(seen, "peer left")
            raise
        except TimeoutError:
            self._note(seen, "held too long")
            raise

    async def _play(self, step: Step, seen: Seen | None) -> None:
        if isinstance(step, Send):
            await self._send(step)
            if seen is not None:
                seen.num_body_bytes += step.num_body_bytes
                seen.num_tokens += step.num_tokens
        elif isinstance(step, Wait):
            await self._pause(step.seconds)
        elif isinstance(step, Hold):
            await self._bounded(lambda: False)
        elif isinstance(step, AwaitNext):
            self._note(seen, "answered")
            await self._bounded(lambda: self._held)
        else:
            self._note(seen, "answered" if step.is_whole else _DONE[step.how])
            if step.how == "reset":
                await self._acknowledged()
            self._end(step.how)

    async def _send(self, step: Send) -> None:
        await asyncio.sleep(0)  # a long answer lets others be served
        if self._has_left:
            raise PeerLeftError
        self._transport.write(step.data)
        await self._bounded(lambda: self._is_writable)

    async def _refuse(self, error: RequestError) -> None:
        kind = KINDS[error.kind]
        value = error_value(f"{kind.message}: {error}", kind.error_type, kind.code)
        with contextlib.suppress(PeerLeftError, TimeoutError):
            for step in steps(json_answer(value, kind.status), None, Delivery(is_keep_alive=False)):
                await self._play(step, None)

    # -- waiting

    async def _until(self, is_true: Callable[[], object]) -> None:
        while not is_true():
            if self._has_left:
                raise PeerLeftError
            self._wake.clear()
            await self._wake.wait()

    async def _bounded(self, is_true: Callable[[], object]) -> None:
        """Wait for the peer. Raises: TimeoutError after the time `hold`."""
        if is_true():
            return
        async with asyncio.timeout(self._host.hold_s):
            await self._until(is_true)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._until(lambda: False)

    async def _acknowledged(self) -> None:
        """Wait until the peer's kernel has all that was sent: a reset would take the rest back."""
        raw, wait_s = self._transport.get_extra_info("socket"), _POLL_S
        async with asyncio.timeout(self._host.hold_s):
            while struct.unpack("i", fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]:
                await self._pause(wait_s)
                wait_s = min(2 * wait_s, _MAX_POLL_S)

    # -- ending

    def _end(self, how: How) -> None:
        self._is_last = True
        if self._transport.is_closing():
            return
        if how == "reset":
            self._over("reset by us")
            reset(self._transport)
        else:
            self._over("closed by us")
            self._transport.close()

    def _over(self, end: str) -> None:
        self._has_left = True
        self.peer.ended(end, self._host.now())
        self._wake.set()

    def _note(self, seen: Seen | None, done: str) -> None:
        if seen is not None:
            seen.ends(done, self._host.now())
