"""The upstream as a process: listens, refuses for a while, ends on a signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Sequence

import uvloop

from ..config.addresses import Address
from .connection import Connection
from .control import control
from .incoming import Incoming
from .injector import Injector, Reply, delivery_of
from .journal import Peer
from .listening import ListeningSocket, bind
from .settings import Settings
from .spec import Spec
from .steps import steps

MAX_CONNECTIONS = 1000


class FaultServer:
    """Serves the upstream's port. To be made where the loop runs."""

    def __init__(self, settings: Settings, specs: Sequence[Spec], bound: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._started_s = self._loop.time()
        self.injector = Injector(settings, specs, self.now)
        self._listening = ListeningSocket(bound, self._accept)
        self._connections: set[Connection] = set()
        self._accepting: set[asyncio.Task[object]] = set()
        self._num_peers = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def address(self) -> str:
        """Return `host:port`."""
        return self._listening.address

    def start(self) -> None:
        """Listen, unless the first fault is not to. Raises: OSError."""
        self._arrange()

    def close(self) -> None:
        """Give the port back and cut every connection."""
        if self._timer is not None:
            self._timer.cancel()
        self._listening.close()
        for connection in tuple(self._connections):
            connection.abort()

    # -- for the connections

    @property
    def hold_s(self) -> float:
        """How long anything waits for the peer."""
        return self.injector.settings.hold_s

    def now(self) -> float:
        """Return the seconds since the start."""
        return self._loop.time() - self._started_s

    def opened(self, connection: Connection) -> bool:
        """Count a connection in; whether there is room for it."""
        self._connections.add(connection)
        return len(self._connections) <= MAX_CONNECTIONS

    def closed(self, connection: Connection) -> None:
        """Count a connection out."""
        self._connections.discard(connection)

    def reply(self, request: Incoming, peer: Peer) -> Reply:
        """Answer a request: a call to the control paths, or one that may meet a fault."""
        answer = control(request, self.injector)
        if answer is not None:
            reply = Reply(answer.status, steps(answer, None, delivery_of(request, Settings())))
        else:
            reply = self.injector.reply(request, peer)
        self._arrange()
        return reply

    # -- listening

    def _accept(self, taken: socket.socket) -> None:
        self._num_peers += 1
        peer = Peer(self._num_peers, self.now())
        made = self._loop.create_task(self._connect(taken, peer))
        self._accepting.add(made)
        made.add_done_callback(self._accepting.discard)

    async def _connect(self, taken: socket.socket, peer: Peer) -> None:
        with contextlib.suppress(ConnectionError):
            await self._loop.connect_accepted_socket(lambda: Connection(self, peer), taken)

    def _arrange(self) -> None:
        """Listen or refuse as the script says now, and look again when it says something else."""
        now = self.now()
        until_s = self.injector.refuses_until(now)
        if until_s is None:
            self._listening.open()
            until_s = self.injector.script.ends_at()
        elif self._listening.is_open:
            self._refuse()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if until_s is None else self._loop.call_later(until_s - now, self._arrange)

    def _refuse(self) -> None:
        self._listening.refuse()
        for connection in tuple(self._connections):
            connection.finish()


def run_faults(address: Address, settings: Settings, specs: Sequence[Spec], ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is told the address. Raises: OSError, SpecError."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(address, settings, specs, ready))


async def _run(address: Address, settings: Settings, specs: Sequence[Spec], ready: Callable[[str], None]) -> None:
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = FaultServer(settings, specs, bind(address))
    server.start()
    try:
        ready(server.address)
        await stopped.wait()
    finally:
        server.close()
