"""Guards of a configuration, in a gateway that serves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headgate.plugins.testing import Fetched, RunningGateway, gateway_with
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.hookspecs import hookimpl
from headgate.proxy.verdicts import Miss, Reservation


class Fragile:
    """A cache and a limiter that fail where the request says so."""

    def __init__(self) -> None:
        self.num_calls = 0

    @hookimpl
    def headgate_ratelimit(self, exchange: Exchange) -> Reservation | None:
        if exchange.request.path == "/limit-fails":
            raise RuntimeError("planted")
        return None

    @hookimpl
    async def headgate_cache(self, exchange: Exchange) -> Miss | None:
        self.num_calls += 1
        if exchange.request.path == "/fails":
            raise RuntimeError("planted")
        if exchange.request.path == "/hangs":
            await asyncio.sleep(3600)
        return None


class Quick(Fragile):
    """The same without a task."""

    @hookimpl
    def headgate_cache(self, exchange: Exchange) -> Miss | None:  # type: ignore[override]
        self.num_calls += 1
        if exchange.request.path in ("/fails", "/hangs"):
            raise RuntimeError("planted")
        return None


def config(**guard: Any) -> dict[str, Any]:
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "clusters": {},
        "plugins": {"fragile": {}},
        "stages": {"ratelimit": ["fragile"], "cache": ["fragile"]},
        "guards": {"fragile": guard},
        "routes": [{"name": "all", "match": {"path": "/{*rest}"}, "targets": ["origin"]}],
        "access_log": "off",
    }


async def fetch_all(gate: RunningGateway, *paths: str) -> list[int]:
    answers: list[Fetched] = [await gate.fetch("GET", path) for path in paths]
    return [answer.status for answer in answers]


@pytest.mark.parametrize("plugin", [Fragile, Quick])
def test_a_plugin_that_hangs_or_fails_is_bounded_and_then_left_out(plugin: type[Fragile]) -> None:
    async def main() -> tuple[list[int], int, str]:
        guard = config(deadline="100ms", eject_after=3, eject_for="1h")
        async with gateway_with({"fragile": plugin}, guard) as gate:
            statuses = await fetch_all(gate, "/hangs", "/fails", "/hangs", "/hangs", "/fails", "/well")
            return statuses, gate.plugins["fragile"].num_calls, gate.metrics()

    statuses, num_calls, metrics = asyncio.run(main())
    assert (statuses, num_calls) == ([200] * 6, 3)
    assert 'headgate_plugin_failures_total{plugin="fragile",stage="cache"} 3' in metrics


@pytest.mark.parametrize("plugin", [Fragile, Quick])
def test_failures_may_mean_the_other_thing(plugin: type[Fragile]) -> None:
    async def main() -> list[list[int]]:
        paths = ("/fails", "/limit-fails", "/well")
        told = []
        for guard in ({}, {"on_failure": "closed"}, {"on_failure": "open"}):
            async with gateway_with({"fragile": plugin}, config(**guard)) as gate:
                told.append(await fetch_all(gate, *paths))
        return told

    assert asyncio.run(main()) == [[200, 503, 200], [500, 503, 200], [200, 200, 200]]
