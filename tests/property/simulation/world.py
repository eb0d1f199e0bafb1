"""A whole gateway in a simulated world: the real pipeline and driver, scripted clients and upstreams."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from random import Random
from typing import Any

from headgate.proxy.compile import build
from headgate.proxy.config.load import load
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.gateway import Gateway
from headgate.proxy.lane.acceptor import new_acceptor
from headgate.proxy.observe.access_log import AccessLog
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.observe.observer import Observer
from headgate.proxy.plugin_types import PluginTypes
from headgate.proxy.reload import Reloader
from headgate.proxy.server import listener_settings
from headgate.proxy.upstream.cluster import Cluster
from headgate.proxy.verdicts import Outcome

from .client import Got, Visitor, visit
from .network import HOST, Network, SimulatedLoop, simulate
from .upstream import Fate, Site

FIRST_PORT = 9001
Clock = Callable[[], float]
SETTLED_S = 120.0  # after the last client: every timer of an exchange has run out by then


@cache
def installed() -> PluginTypes:
    """Return the installed plugins: to look for them takes longer than most worlds."""
    return PluginTypes()


@dataclass(frozen=True)
class Scenario:
    """Who comes, what each endpoint does, and how the routes are set.

    `fates` holds for each cluster what each of its endpoints does. `own` are the clusters of our own tier, which can
    continue a stream. `options` are those of the route. `reloads` are instants at which the configuration is read anew.
    """

    visitors: tuple[Visitor, ...]
    fates: tuple[tuple[tuple[Fate, ...], ...], ...]
    own: frozenset[int] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)
    cluster_options: Mapping[str, Any] = field(default_factory=dict)
    plugins: Mapping[str, Any] = field(default_factory=dict)
    reloads: tuple[float, ...] = ()
    num_tokens: int = 4
    padding_bytes: int = 0  # of each token
    seed: int = 0
    latency_s: float = 0.0
    is_split: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The clusters, in the order of trying."""
        return tuple(f"cluster{number}" for number in range(len(self.fates)))

    def adjust(self, clusters: Mapping[str, Cluster]) -> None:
        """Change what is built from the configuration, where it could not say that."""

    def config(self, version: int = 0) -> dict[str, Any]:
        """Return the configuration: one route to all clusters, in their order."""
        ports = iter(range(FIRST_PORT, FIRST_PORT + 100))
        clusters = {
            name: {"endpoints": [f"http://{HOST}:{next(ports)}" for _ in sites], **self.cluster_options}
            for name, sites in zip(self.names, self.fates, strict=True)
        }
        route = {"name": "chat", "match": {"path": "/{*rest}"}, "kind": "inference", "targets": list(self.names)}
        return {
            "listeners": [{"address": f"{HOST}:8080"}],
            "access_log": "off",
            "drain": f"{30 + version}s",  # so that a reload finds something new
            "clusters": clusters,
            "routes": [{**route, **self.options}],
            **self.plugins,
        }


def scripted_sites(scenario: Scenario, clock: Clock) -> list[Site]:
    """Return the endpoints of a scenario, cluster by cluster."""
    return [
        Site(f"{name}.{number}", fates, scenario.num_tokens, cluster in scenario.own, clock, scenario.padding_bytes)
        for cluster, name in enumerate(scenario.names)
        for number, fates in enumerate(scenario.fates[cluster])
    ]


class Watcher(Observer):
    """Remembers how each exchange ended."""

    def __init__(self) -> None:
        super().__init__(Registry(), AccessLog("off"))
        self.outcomes: list[tuple[int, Outcome]] = []
        self.crashes: list[Exception | str] = []

    def ended(self, exchange: Exchange, outcome: Outcome, way: str = "reference") -> None:
        super().ended(exchange, outcome, way)
        self.outcomes.append((int(exchange.request.fields.get("x-exchange") or -1), outcome))

    def crashed(self, error: Exception) -> None:
        self.crashes.append(error)


class Complaints(logging.Handler):
    """Keeps what is logged as an error: a task that failed, a callback that raised."""

    def __init__(self, found: list[Exception | str]) -> None:
        super().__init__(logging.ERROR)
        self.found = found

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


@dataclass
class History:
    """What happened: what the clients got, what the endpoints saw, how the gateway said that it ended.

    `left` names what was still held once everything was over.
    """

    scenario: Scenario
    got: list[Got]
    sites: Sequence[Any]
    outcomes: list[tuple[int, Outcome]]
    crashes: list[Exception | str]
    left: list[str]

    def transcript(self) -> list[Any]:
        """Return all that must be the same in every run of one scenario."""
        seen = [
            (v.site, v.number, v.at, v.exchange, v.cursors, v.ended, v.ended_at, v.body)
            for site in self.sites
            for v in site.visits
        ]
        return [seen, [(g.status, g.end, g.body, g.begun_at, g.ended_at, g.extra) for g in self.got]]


class World:
    """One scenario being played."""

    def __init__(self, scenario: Scenario, loop: SimulatedLoop, new_sites: Callable[[Clock], Sequence[Any]]) -> None:
        self.scenario = scenario
        self.loop = loop
        loop.network = Network(loop, Random(scenario.seed), scenario.latency_s, scenario.is_split)
        self.sites = new_sites(loop.time)
        for number, site in enumerate(self.sites):
            loop.network.listen(FIRST_PORT + number, site, site.serve)
        self.watcher = Watcher()
        self.version = 0
        types = installed()
        config = load(json.dumps(scenario.config()), types.schemas())
        self.gateway = Gateway(build(config, types, self.watcher.registry), self.watcher)
        scenario.adjust(self.gateway.snapshot.clusters)
        self.reloader = Reloader(self.gateway, self._read, types, self.watcher.registry)
        self.acceptor = new_acceptor(self.gateway, listener_settings(config.listeners[0]), None)

    def _read(self, types: PluginTypes) -> Any:
        self.version += 1
        return load(json.dumps(self.scenario.config(self.version)), types.schemas())

    async def play(self) -> History:
        """Let everybody come and go; then look what is left."""
        self.gateway.snapshot.start(self.loop)
        clients = [self.loop.create_task(self._visit(visitor)) for visitor in self.scenario.visitors]
        reloads = [self.loop.create_task(self._reload(at)) for at in self.scenario.reloads]
        got = await asyncio.gather(*clients)
        await asyncio.gather(*reloads)
        await asyncio.sleep(SETTLED_S)
        left = self._left()
        await self._close()
        return History(self.scenario, got, self.sites, self.watcher.outcomes, self.watcher.crashes, left)

    async def _visit(self, visitor: Visitor) -> Got:
        await asyncio.sleep(visitor.at)
        return await visit(visitor, *self.loop.network.dial(self.acceptor()))

    async def _reload(self, at: float) -> None:
        await asyncio.sleep(at)
        await self.reloader.reload()

    def _left(self) -> list[str]:
        """Name what is held though nobody is there any more."""
        gateway, snapshot = self.gateway, self.gateway.snapshot
        counts = {
            "exchanges of the snapshot": snapshot.num_exchanges,
            "exchanges in flight": gateway.observer.num_inflight,
            "client connections": self.acceptor.num_open,
            "upstream connections": sum(site.num_connections for site in self.sites),
        }
        for name, cluster in snapshot.clusters.items():
            for member in cluster.members:
                counts[f"busy connections of {name}"] = member.pool.num_busy
                counts[f"waiters of {name}"] = member.pool.num_waiting
                counts[f"active requests of {name}"] = member.num_active
        left = [f"{count} {what}" for what, count in counts.items() if count]
        own = {asyncio.current_task(), *self.loop.network.tasks}
        return left + [
            f"task {task.get_name()} of {task.get_coro()}" for task in asyncio.all_tasks() if task not in own
        ]

    async def _close(self) -> None:
        await self.gateway.close()
        for wire in self.loop.network.wires:
            wire.abort()
        await asyncio.gather(*self.loop.network.tasks)  # a script that failed says so


async def _play(scenario: Scenario, new_sites: Callable[[Clock], Sequence[Any]], loop: SimulatedLoop) -> History:
    world = World(scenario, loop, new_sites)
    complaints = Complaints(world.watcher.crashes)
    logs = [logging.getLogger(name) for name in ("headgate", "asyncio")]
    for log in logs:
        log.addHandler(complaints)
    try:
        return await world.play()
    finally:
        for log in logs:
            log.removeHandler(complaints)


def play(scenario: Scenario, new_sites: Callable[[Clock], Sequence[Any]] | None = None) -> History:
    """Play a scenario to its end, the same way every time; `new_sites` makes other endpoints than the scripted ones."""
    state = random.getstate()
    random.seed(scenario.seed)
    gc.disable()  # when garbage is found is chance
    try:
        return simulate(partial(_play, scenario, new_sites or partial(scripted_sites, scenario)))
    finally:
        gc.enable()
        random.setstate(state)
