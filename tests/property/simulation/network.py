"""An event loop with a network of its own: no kernel, no threads, a clock that jumps, and each run the same."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol, TypeVar

from ...virtual_clock import VirtualClockLoop
from .pipe import Cut, JoinedTransport, join

HOST = "127.0.0.1"
CLIENT = ("192.0.2.7", 40000)
Result = TypeVar("Result")
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Doorkeeper(Protocol):
    """Decides what becomes of one who wants to connect."""

    async def admit(self) -> None:
        """Return to let it in. Raises: OSError, what the connecting side gets."""


@dataclass
class Network:
    """Who listens where, and how bytes travel. Deterministic for a seed."""

    loop: asyncio.AbstractEventLoop
    random: Random
    latency_s: float = 0.0
    is_split: bool = False
    doors: dict[int, tuple[Doorkeeper, Handler]] = field(default_factory=dict)
    wires: list[JoinedTransport] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def listen(self, port: int, keeper: Doorkeeper, handler: Handler) -> None:
        """Serve a port."""
        self.doors[port] = (keeper, handler)

    def dial(self, protocol: asyncio.Protocol) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect a client to one that accepts, and return the client's side."""
        near, far = self._transport(CLIENT), self._transport(CLIENT)
        reader, mine = self._streams(None)
        join(near, far, mine, protocol)
        return reader, asyncio.StreamWriter(near, mine, reader, self.loop)

    def connect(self, port: int, protocol: asyncio.BaseProtocol) -> JoinedTransport:
        """Join a protocol to whoever serves `port`."""
        near, far = self._transport((HOST, port)), self._transport((HOST, port))
        _, theirs = self._streams(self.doors[port][1])
        join(near, far, protocol, theirs)
        return near

    def _streams(self, handler: Handler | None) -> tuple[asyncio.StreamReader, asyncio.StreamReaderProtocol]:
        reader = asyncio.StreamReader(loop=self.loop)
        begun = None if handler is None else (lambda r, w: self._begin(handler(r, w)))
        return reader, asyncio.StreamReaderProtocol(reader, begun, self.loop)

    def _begin(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            await work

        self.tasks.append(self.loop.create_task(run()))

    def _transport(self, name: tuple[str, int]) -> JoinedTransport:
        transport = JoinedTransport(self.loop, self.latency_s, self._cut(), name)
        self.wires.append(transport)
        return transport

    def _cut(self) -> Cut:
        if not self.is_split:
            return lambda size: size
        return lambda size: self.random.choice((1, 2, 3, 7, 20, size))


class SimulatedLoop(VirtualClockLoop):
    """A loop whose sockets lead into its `network`."""

    network: Network

    def __init__(self) -> None:
        super().__init__()
        self._ports: dict[int, int] = {}  # by file descriptor
        self._far_ends: dict[int, socket.socket] = defaultdict()

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect as the doorkeeper of the port decides; the descriptor becomes one on which nothing ever comes."""
        port = address[1]
        await self.network.doors[port][0].admit()
        near, far = socket.socketpair()
        os.dup2(near.fileno(), sock.fileno())
        sock.setblocking(False)
        near.close()
        self._far_ends[sock.fileno()] = far
        self._ports[sock.fileno()] = port

    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], *, sock: socket.socket, **options: Any
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        """Give a connected socket its protocol."""
        assert not options, "there is no TLS here"
        protocol = protocol_factory()
        transport = self.network.connect(self._ports.pop(sock.fileno()), protocol)
        transport.on_lost = lambda: self._let_go(sock)
        return transport, protocol

    def _let_go(self, sock: socket.socket) -> None:
        self._far_ends.pop(sock.fileno()).close()
        sock.close()

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Run here: a thread would be as fast as it likes."""

        async def run() -> Any:
            return func(*args)

        return self.create_task(run())


def simulate(work: Callable[[SimulatedLoop], Coroutine[Any, Any, Result]]) -> Result:
    """Run `work` to its end on a loop of its own. Raises: StandstillError instead of waiting for ever."""
    loop = SimulatedLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(work(loop))
