"""The same scripts over real sockets: what a simulated world says has to be true there."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import uvloop

from headgate.proxy.compile import build
from headgate.proxy.config.load import load
from headgate.proxy.gateway import Gateway
from headgate.proxy.lane.acceptor import new_acceptor
from headgate.proxy.server import listener_settings

from .client import Got, Visitor, visit
from .network import HOST
from .upstream import Fate, Site
from .world import History, Scenario, Watcher, installed, scripted_sites


def at_once(scenario: Scenario) -> Scenario:
    """Return the scenario without waiting, and without what is up to the timing of a machine."""
    return replace(
        scenario,
        visitors=tuple(_patient(visitor) for visitor in scenario.visitors),
        fates=tuple((tuple(map(_quick, endpoints[0])),) for endpoints in scenario.fates),
        cluster_options={},
        reloads=(),
        latency_s=0.0,
        is_split=False,
        options={name: value for name, value in scenario.options.items() if name not in ("hedge", "deadline")},
    )


def _patient(visitor: Visitor) -> Visitor:
    fields = tuple(field for field in visitor.fields if field[0] != "X-Headgate-Deadline-Ms")
    return replace(visitor, at=0.0, fields=fields, part_s=0.0, read_s=0.0, read_bytes=1 << 16, leave_s=None)


def _quick(fate: Fate) -> Fate:
    return replace(
        fate,
        connect="open",
        connect_s=0.0,
        retry_after_s=fate.retry_after_s and 20,
        head_s=0.0,
        first_s=0.0,
        gap_s=0.0,
        ending="end" if fate.ending == "stall" else fate.ending,
        after="close" if fate.after == "drop" else fate.after,  # who is first there is chance
    )


class _Placed(Scenario):
    """A scenario whose endpoints have ports already."""

    def __init__(self, like: Scenario, ports: Mapping[str, int]) -> None:
        super().__init__(**{name: getattr(like, name) for name in Scenario.__dataclass_fields__})
        object.__setattr__(self, "ports", ports)

    def config(self, version: int = 0) -> dict[str, Any]:
        """Return the configuration with the real ports in it."""
        config = super().config(version)
        ports: Mapping[str, int] = self.ports  # type: ignore[attr-defined]
        for name, cluster in config["clusters"].items():
            cluster["endpoints"] = [f"http://{HOST}:{ports[name]}"]
        return config


async def _play(scenario: Scenario) -> History:
    async with AsyncExitStack() as opened:
        sites = scripted_sites(scenario, asyncio.get_running_loop().time)
        ports = {name: await _listen(site, opened) for name, site in zip(scenario.names, sites, strict=True)}
        watcher = Watcher()
        config = load(json.dumps(_Placed(scenario, ports).config()), installed().schemas())
        gateway = Gateway(build(config, installed(), watcher.registry), watcher)
        opened.push_async_callback(gateway.close)
        acceptor = new_acceptor(gateway, listener_settings(config.listeners[0]), None)
        server = await asyncio.get_running_loop().create_server(acceptor, HOST, 0)
        opened.callback(server.close)
        port = server.sockets[0].getsockname()[1]
        got = [await _visit(visitor, port) for visitor in scenario.visitors]
        return History(scenario, got, sites, watcher.outcomes, watcher.crashes, [])


async def _listen(site: Site, opened: AsyncExitStack) -> int:
    server = await asyncio.start_server(site.serve, HOST, 0)
    opened.callback(server.close)
    port: int = server.sockets[0].getsockname()[1]
    return port


async def _visit(visitor: Visitor, port: int) -> Got:
    return await visit(visitor, *await asyncio.open_connection(HOST, port))


def play_on_sockets(scenario: Scenario) -> History:
    """Play a scenario, one client after the other, on real sockets and the loop that serves in production."""
    state = random.getstate()
    random.seed(scenario.seed)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_play(scenario))
    finally:
        random.setstate(state)
