"""A gateway in the test's own process, so that what it holds can be counted."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import gc
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from typing import Any, TypeVar

import uvloop

from headgate.plugins.cache.plugin import Cache
from headgate.proxy import tasks
from headgate.proxy.compile import build
from headgate.proxy.config.load import load
from headgate.proxy.downstream.body import ClientBody
from headgate.proxy.downstream.connection import DownstreamConnection
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.machine import ExchangeMachine
from headgate.proxy.exchange.message import Response
from headgate.proxy.gateway import Gateway, Serving
from headgate.proxy.hookspecs import ENTRY_POINT_GROUP, hookimpl
from headgate.proxy.observe.access_log import AccessLog
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.observe.observer import Observer
from headgate.proxy.plugin_types import PluginTypes
from headgate.proxy.record import Record
from headgate.proxy.reload import Reloader
from headgate.proxy.server import Server
from headgate.proxy.snapshot import Snapshot
from headgate.proxy.upstream.answer_body import AnswerBody
from headgate.proxy.upstream.attempt import UpstreamAttempt
from headgate.proxy.upstream.cluster import Cluster
from headgate.proxy.upstream.connection import UpstreamConnection
from headgate.proxy.upstream.dispatch import Dispatch
from headgate.proxy.upstream.gate import Ticket
from headgate.proxy.upstream.health.breaker import BreakerState
from headgate.proxy.upstream.opened import Opened
from headgate.proxy.upstream.sender import Sender
from headgate.proxy.upstream.watchdog import Watchdog
from headgate.proxy.upstream.wire import Wire
from headgate.proxy.verdicts import Hit, Miss, Outcome, Reservation, Settlement, Target

WAIT_S = 10.0
POLL_S = 0.001
# What belongs to one exchange or one connection: none of it may outlive them.
MORTAL: set[type] = {Serving, Exchange, Record, ClientBody, DownstreamConnection, Dispatch, ExchangeMachine, Ticket}
MORTAL |= {Opened, AnswerBody, UpstreamAttempt, UpstreamConnection, Wire, Sender, Watchdog}
Result = TypeVar("Result")


class CountingLoop(uvloop.Loop):
    """The gateway's event loop; it can tell which timers are pending."""

    def __init__(self) -> None:
        super().__init__()
        self._pending: dict[asyncio.TimerHandle, str] = {}
        self.mishaps: list[str] = []  # what went wrong where nobody could be told
        self.set_exception_handler(lambda _, context: self.mishaps.append(str(context)))

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        def ring() -> None:
            self._pending.pop(handle, None)
            callback(*args)

        handle: asyncio.TimerHandle = super().call_later(delay, ring, context=context)
        self._pending[handle] = getattr(callback, "__qualname__", repr(callback))
        return handle

    def timers(self) -> Iterator[str]:
        """The functions that pending timers would call."""
        self._pending = {handle: name for handle, name in self._pending.items() if not handle.cancelled()}
        yield from self._pending.values()


@dataclass(slots=True)
class Taken:
    """Something that was taken for one exchange. `num_ended`: how often it was given back; once is right."""

    num_ended: int = 0

    def end(self, settlement: Settlement | None = None) -> None:
        self.num_ended += 1

    # A cache's store, too.
    commit = discard = end

    def begin(self, response: Response) -> bool:
        return True

    def write(self, piece: bytes) -> bool:
        return True


class Ledger:
    """A plugin that takes a reservation and a store for every exchange, and writes down how each ended."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.outcomes: list[Outcome] = []
        self.num_exchanges = 0
        self._asking: set[asyncio.Future[Response]] = set()

    @hookimpl
    async def headgate_ratelimit(self, exchange: Exchange) -> Reservation:
        self.num_exchanges += 1
        await asyncio.sleep(0)  # one more moment at which a client can leave
        if exchange.request.path == "/stuck":
            await asyncio.Event().wait()
        self.taken.append(Taken())
        return Reservation(self.taken[-1].end)

    @hookimpl
    def headgate_cache(self, exchange: Exchange) -> Hit | Miss | None:
        self.taken.append(Taken())
        return Miss(self.taken[-1])

    @hookimpl
    async def headgate_aggregate(self, exchange: Exchange) -> Response | None:
        """Ask a target, and answer without waiting for it."""
        asking = asyncio.ensure_future(exchange.call(Target("t0")))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        for _ in range(4):  # it is under way
            await asyncio.sleep(0)
        return Response(200, Fields(), b"own")

    @hookimpl
    async def headgate_log(self, exchange: Exchange, outcome: Outcome) -> None:
        await asyncio.sleep(0)
        self.outcomes.append(outcome)


class _Types(PluginTypes):
    """The installed plugins, and the ledger."""

    def __init__(self) -> None:
        super().__init__()
        self._points["ledger"] = EntryPoint("ledger", f"{__name__}:Ledger", ENTRY_POINT_GROUP)


@functools.cache
def installed() -> PluginTypes:
    """The installed plugins, looked for once."""
    return _Types()


@dataclass
class Inside:
    """A gateway that serves, seen from inside. `config` is what a reload reads."""

    config: dict[str, Any]
    gateway: Gateway
    server: Server
    reloader: Reloader
    ledger: Ledger
    snapshots: list[Snapshot] = field(default_factory=list)
    foreign: frozenset[tuple[str, str]] = frozenset()  # descriptors that were open before it served
    pristine: Counter[str] = field(default_factory=Counter)  # what was held before it served
    empty: Counter[str] = field(default_factory=Counter)  # and before the first exchange

    @property
    def port(self) -> int:
        return self.server.addresses[0].port

    @property
    def clusters(self) -> Mapping[str, Cluster]:
        return self.gateway.snapshot.clusters

    async def drain(self) -> None:
        """Drain without grace, once."""
        if not self.gateway.is_draining:
            await self.server.drain(0)
            self.empty = self.pristine

    def cut(self) -> None:
        """End what is under way, as a drain does when its grace is over."""
        for listener in self.server._listeners:
            listener.acceptor.cut()

    async def reload(self) -> None:
        await self.reloader.reload()
        self.snapshots.append(self.gateway.snapshot)

    def held(self) -> Counter[str]:
        """Everything that an exchange may take, by what it is; what there is none of is left out."""
        held = Counter({"exchanges under way": self.gateway.observer.num_inflight})
        held["descriptors"] = len(_descriptors() - self.foreign)
        held.update(_tasks())
        held.update(f"timer {name}" for name in _loop().timers())
        held["guarded tasks"] = len(tasks._running)
        for listener in self.server._listeners:
            held["client connections"] += listener.acceptor.num_open + len(listener.acceptor._expected)
        held["exchanges not logged"] = self.ledger.num_exchanges - len(self.ledger.outcomes)
        held["reservations and stores"] = sum(taken.num_ended != 1 for taken in self.ledger.taken)
        for snapshot in self.snapshots:
            held[f"exchanges of version {snapshot.version}"] = snapshot.num_exchanges
            for cluster in snapshot.clusters.values():
                held.update(_held_by(cluster))
            for plugin in snapshot.instances.values():
                held.update(_collected(plugin))
        return +held

    async def until(self, is_true: Callable[[], object], bound_s: float = WAIT_S) -> None:
        """Wait until what is true of the gateway's inside makes `is_true` true."""
        until = _loop().time() + bound_s
        while not is_true():
            held = self.held()
            assert _loop().time() < until, f"still held: {held - self.empty + alive()}, gone: {self.empty - held}"
            await asyncio.sleep(POLL_S)

    async def until_empty(self, bound_s: float = WAIT_S) -> None:
        """Wait until nothing is held that was not before, and no object of an exchange is left."""
        await self.until(lambda: self.held() == self.empty and not alive(), bound_s)
        assert not _loop().mishaps, _loop().mishaps


def _loop() -> CountingLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, CountingLoop)
    return loop


def _descriptors() -> frozenset[tuple[str, str]]:
    """The open descriptors, each with what it leads to; other threads of this process may close some at any time."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that listed them
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
    return frozenset(found)


def _tasks() -> Iterator[str]:
    current = asyncio.current_task()
    for task in asyncio.all_tasks():
        if task is not current:
            yield f"task {getattr(task.get_coro(), '__qualname__', task)}"


def _held_by(cluster: Cluster) -> Counter[str]:
    name = cluster.settings.name
    held = Counter({f"probes of {name}": 0})
    for _, breaker in cluster.breakers():
        held[f"probes of {name}"] += breaker.state(_loop().time()) is BreakerState.HALF_OPEN
    for member in cluster.members:
        pool = member.pool
        held[f"attempts at {name}"] += member.num_active
        held[f"connections to {name}"] += pool.num_busy + pool.num_idle
        held[f"waiting for {name}"] += pool.num_waiting
    return held


def _collected(plugin: object) -> Counter[str]:
    """What a cache holds of answers that are still to come."""
    if not isinstance(plugin, Cache):
        return Counter()
    shelf = plugin.shelf
    return Counter(flights=len(shelf.flights), fillings=len(shelf.open), reserved_bytes=shelf.memory.reserved_bytes)


def alive() -> Counter[str]:
    """The objects of exchanges and connections that are still there, circles collected."""
    gc.collect()
    return Counter(type(each).__name__ for each in gc.get_objects() if type(each) in MORTAL)


@contextlib.asynccontextmanager
async def inside(config: dict[str, Any]) -> AsyncIterator[Inside]:
    """Serve `config` in this process, with a ledger on every route; at the end nothing of it may be left."""
    foreign, pristine = _descriptors(), Counter(_tasks())
    types = installed()
    config = {"access_log": "off", "plugins": {"ledger": {}}, **config}
    config["stages"] = {stage: ["ledger"] for stage in ("ratelimit", "cache", "log")} | config.get("stages", {})
    registry = Registry()
    checked = load(json.dumps(config), types.schemas())
    gateway = Gateway(build(checked, types, registry), Observer(registry, AccessLog("off")))
    reloader = Reloader(gateway, lambda types: load(json.dumps(made.config), types.schemas()), types, registry)
    server = Server(gateway, reloader)
    ledger = gateway.snapshot.instances["ledger"]
    made = Inside(config, gateway, server, reloader, ledger, [gateway.snapshot], foreign, pristine)
    await server.start(checked)
    gateway.snapshot.start(_loop())
    made.empty = made.held()
    try:
        yield made
    finally:
        await made.drain()
    await made.until_empty()


@contextlib.contextmanager
def young_objects() -> Iterator[None]:
    """Leave what is there already out of what the collector looks at: only what a test makes is counted."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run `main` on a loop that counts."""
    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        return runner.run(main)
