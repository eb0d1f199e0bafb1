"""The connections to one endpoint."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from ...ext.http1 import HeadLimits
from ..errors import GatewayError
from .connection import UpstreamConnection
from .connector import Connector
from .endpoint import Endpoint
from .wire import Wire


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Bounds of one endpoint's connections. `max_connections` counts open ones and those being opened."""

    max_connections: int = 256
    max_waiting: int = 1024
    max_idle: int = 64
    idle_timeout_s: float = 30.0
    connect_timeout_s: float = 2.0
    max_head_bytes: int = 64 * 1024
    max_fields: int = 200


class ConnectionPool:
    """Opens, keeps and hands out connections to one endpoint. Belongs to one event loop.

    A slot is the right to have one connection. It is free, idle, busy, or on its way to a waiter: while somebody
    waits there are no idle connections, and no slot is free.
    """

    __slots__ = (
        "_connector",
        "_endpoint",
        "_head_limits",
        "_idle",
        "_is_closed",
        "_limits",
        "_loop",
        "_num_open",
        "_reaper",
        "_waiters",
    )

    _loop: asyncio.AbstractEventLoop  # known from the first `acquire` on; to ask for it takes a system call

    def __init__(self, endpoint: Endpoint, limits: PoolLimits) -> None:
        self._endpoint = endpoint
        self._limits = limits
        self._head_limits = HeadLimits(max_head_bytes=limits.max_head_bytes, max_fields=limits.max_fields)
        self._connector = Connector(endpoint)
        self._idle: deque[Wire] = deque()  # the one used last is at the right
        self._waiters: dict[asyncio.Future[Wire | None], bool] = {}  # in order; whether a fresh connection is wanted
        self._num_open = 0
        self._reaper: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def num_idle(self) -> int:
        """How many connections are kept for later."""
        return len(self._idle)

    @property
    def num_busy(self) -> int:
        """How many connections are in use or being opened."""
        return self._num_open - len(self._idle)

    @property
    def num_waiting(self) -> int:
        """How many callers wait for a connection."""
        return len(self._waiters)

    async def acquire(self, deadline: float, *, fresh: bool = False) -> UpstreamConnection:
        """Return a connection for one exchange: `acquire_wire`, for who reads and writes messages. Raises: as that."""
        return self.connection_on(await self.acquire_wire(deadline, fresh=fresh))

    async def acquire_wire(self, deadline: float, *, fresh: bool = False) -> Wire:
        """Return the connection used last, if one is idle and none `fresh` is wanted, or else a new one.

        Whoever acquires one gives it back, exactly once. `deadline` is an instant of the loop's clock.
        Raises: GatewayError `connect_failed`, `connect_timeout`, `tls_failed`, `pool_full`, `deadline`. Cancel: nothing
        is lost.
        """
        loop = self._loop = asyncio.get_running_loop()
        if loop.time() >= deadline:
            raise GatewayError("deadline", f"no time left to connect to {self._endpoint.authority}")
        wire = None if fresh else self.take_idle(loop.time())
        if wire is None and not self._take_slot(fresh):
            wire = await self._wait(deadline, fresh)
            if wire is not None and not wire.is_quiet():
                wire.abort()
                wire = None
        if wire is None:
            wire = await self._open(deadline)
        return wire

    def connection_on(self, wire: Wire) -> UpstreamConnection:
        """Return the connection of one exchange on a wire that was acquired for it."""
        return UpstreamConnection(wire, self._head_limits, self.give_back)

    def take_idle(self, now: float) -> Wire | None:
        """Return the connection used last that is idle and quiet, or None: then `acquire` is the way to one.

        Whoever takes one gives it back, exactly once. Cost: one system call for each connection looked at.
        """
        while self._idle:
            wire = self._idle.pop()
            wire.unpark()
            if now < wire.idle_until and wire.is_quiet():
                return wire
            self._drop(wire)
        return None

    def give_back(self, wire: Wire, is_reusable: bool) -> None:
        """Take a connection back from its exchange; one that is not reusable is being closed already.

        Reusable: the exchange is whole in both directions, and no byte is left that nobody has read.
        """
        if not is_reusable:
            self._free_slot()
            return
        waiter = self._next_waiter() if self._waiters else None
        if waiter is not None:
            future, fresh = waiter
            if fresh:
                wire.abort()
            future.set_result(None if fresh else wire)
        elif self._is_closed or len(self._idle) >= self._limits.max_idle:
            self._drop(wire)
        else:
            self._park(wire)

    def close(self) -> None:
        """Close idle connections now and busy ones when their exchange ends.

        Exchanges under way may still acquire: they then get connections that nobody keeps.
        """
        self._is_closed = True
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None
        while self._idle:
            self._drop(self._idle.popleft())

    def _take_slot(self, fresh: bool) -> bool:
        if fresh and self._idle and self._num_open >= self._limits.max_connections:
            self._drop(self._idle.popleft())
        if self._num_open >= self._limits.max_connections:
            return False
        self._num_open += 1
        return True

    async def _wait(self, deadline: float, fresh: bool) -> Wire | None:
        """Wait for a slot, with a connection in it or empty."""
        if len(self._waiters) >= self._limits.max_waiting:
            raise GatewayError("pool_full", f"{len(self._waiters)} already wait for {self._endpoint.authority}")
        waiter: asyncio.Future[Wire | None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = fresh
        try:
            async with asyncio.timeout_at(deadline):
                return await waiter
        except TimeoutError:
            self._pass_on(waiter)
            raise GatewayError("deadline", f"no connection to {self._endpoint.authority} became free") from None
        except asyncio.CancelledError:
            self._pass_on(waiter)
            raise

    def _pass_on(self, waiter: asyncio.Future[Wire | None]) -> None:
        """Stop waiting; what was already given to `waiter` goes to the next one."""
        self._waiters.pop(waiter, None)
        if not waiter.done() or waiter.cancelled():
            return
        wire = waiter.result()
        if wire is None:
            self._free_slot()
        elif wire.is_clean:
            self.give_back(wire, True)
        else:
            self._drop(wire)

    async def _open(self, deadline: float) -> Wire:
        """Open a connection in a slot that was taken before."""
        left_s = deadline - asyncio.get_running_loop().time()
        timeout_s = min(self._limits.connect_timeout_s, left_s)
        try:
            return await self._connector.connect(timeout_s)
        except GatewayError as error:
            self._free_slot()
            if error.kind.name == "connect_timeout" and left_s < self._limits.connect_timeout_s:
                raise GatewayError("deadline", error.detail) from error
            raise
        except BaseException:
            self._free_slot()
            raise

    def _park(self, wire: Wire) -> None:
        wire.idle_until = self._loop.time() + self._limits.idle_timeout_s
        wire.park(self._disturbed)
        self._idle.append(wire)
        if self._reaper is None:
            self._reaper = self._loop.call_at(wire.idle_until, self._reap)

    def _reap(self) -> None:
        """Close what was idle for too long."""
        self._reaper = None
        while self._idle and self._idle[0].idle_until <= self._loop.time():
            self._drop(self._idle.popleft())
        if self._idle:
            self._reaper = self._loop.call_at(self._idle[0].idle_until, self._reap)

    def _disturbed(self, wire: Wire) -> None:
        """An idle connection was closed, or bytes came on it that nobody asked for."""
        self._idle.remove(wire)
        self._drop(wire)

    def _drop(self, wire: Wire) -> None:
        wire.abort()
        self._free_slot()

    def _free_slot(self) -> None:
        waiter = self._next_waiter()
        if waiter is None:
            self._num_open -= 1
        else:
            waiter[0].set_result(None)

    def _next_waiter(self) -> tuple[asyncio.Future[Wire | None], bool] | None:
        while self._waiters:
            future = next(iter(self._waiters))
            fresh = self._waiters.pop(future)
            if not future.done():
                return future, fresh
        return None
