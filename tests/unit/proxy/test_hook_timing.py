"""Timed hooks: every call is counted once, with all that was waited for, and nothing else is different."""

from __future__ import annotations

import asyncio
import gc
import json
import random
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from headgate.proxy.compile import build
from headgate.proxy.config.load import load
from headgate.proxy.errors import GatewayError
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.message import Response
from headgate.proxy.guards import Guard, guarded
from headgate.proxy.hook_timing import BUCKETS_S, hook_seconds, timed
from headgate.proxy.hookspecs import STAGES, hookimpl
from headgate.proxy.observe.metrics import Histogram, Registry
from headgate.proxy.plugin_types import PluginTypes
from headgate.proxy.snapshot import RouteProgram, Snapshot
from headgate.proxy.stages import Chain, Hook, Waiting
from headgate.proxy.verdicts import Hit, Identity, Miss, Reject, Reservation, Route

from ...virtual_clock import run
from ..plugins.exchanges import make_exchange

ANSWERS: Mapping[str, object] = {
    "auth": Identity("k", "t"),
    "route": Route(()),
    "ratelimit": Reservation(),
    "request": Reject("forbidden"),
    "cache": Miss(None),
    "aggregate": Response(200),
    "response_head": None,
    "event": b"data: 2\n\n",
    "log": None,
}


class Bystander:
    """A plugin of which only a place in the configuration is needed."""

    @hookimpl
    def headgate_log(self, exchange: Exchange, outcome: object) -> None:
        """See nothing."""


def snapshot_of(every: int | None = None, registry: Registry | None = None) -> Snapshot:
    types, to = PluginTypes(given={"bystander": Bystander}), {"targets": ["near"]}
    config = {
        "listeners": [{"address": "127.0.0.1:0"}],
        "clusters": {"near": {"endpoints": ["http://127.0.0.1:1"]}},
        "plugins": {"bystander": {}},
        "routes": [
            {**to, "name": "logged", "match": {"path": "/v1/models"}, "stages": {"log": ["bystander"]}},
            {**to, "name": "bare", "match": {"path": "/bare"}},
        ],
        "observe": {} if every is None else {"time_hooks_every": every},
    }
    return build(load(json.dumps(config), types.schemas()), types, registry or Registry())


class Timed:
    """The chain of one stage, timed by the clock of the loop."""

    def __init__(self, stage: str, *hooks: Hook) -> None:
        self.stage = stage
        self.seconds = Histogram("headgate_plugin_seconds", "", ("plugin", "stage"), BUCKETS_S)
        program = snapshot_of(0).programs[0]
        chains = {**program.chains, stage: Chain(stage, hooks)}
        plain = RouteProgram(**{name: getattr(program, name) for name in RouteProgram.__slots__} | {"chains": chains})
        self.plain = plain.chains[stage]
        self.chain = timed(plain, self.seconds, lambda: asyncio.get_running_loop().time()).chains[stage]

    def spans_s(self) -> dict[tuple[str, ...], tuple[float, float]]:
        """By labels how often and how long."""
        return {labels: (sum(row[:-1]), round(row[-1], 6)) for labels, row in self.seconds.rows()}


async def asked(chain: Chain, stage: str, exchange: Exchange) -> Any:
    """Run a chain as the gateway does; of an error return the name."""
    try:
        if stage in ("auth", "route", "request", "cache", "aggregate"):
            return await chain.first(exchange)
        if stage == "ratelimit":
            return [answer async for answer in chain.each(exchange)]
        if stage == "event":
            return chain.events(exchange, b"data: 1\n\n")
        return await chain.every(exchange, Response(200))
    except GatewayError as error:
        return error.kind.name


def says(answer: object) -> Callable[..., Any]:
    def function(exchange: Exchange, *shown: object) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return function


def says_after(span_s: float, answer: object) -> Callable[..., Any]:
    async def function(exchange: Exchange, *shown: object) -> Any:
        await asyncio.sleep(span_s)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return function


def clocked() -> Exchange:
    return make_exchange(now=asyncio.get_running_loop().time)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("what", ["silence", "answer", "failure", "wrong answer"])
@pytest.mark.parametrize("span_s", [None, 0.004])
def test_a_timed_chain_does_what_the_plain_one_does_and_counts_each_call(
    stage: str, what: str, span_s: float | None
) -> None:
    answer = {"silence": None, "answer": ANSWERS[stage], "failure": ValueError("planted"), "wrong answer": 7}[what]
    if stage == "event":
        span_s = None  # these are `def` only
    function = says(answer) if span_s is None else says_after(span_s, answer)

    async def main() -> None:
        hook = Hook("p", function, span_s is not None)
        its = Timed(stage, hook, Hook("q", says(None), False))
        expected = await asked(its.plain, stage, clocked())
        assert hook.num_errors == (what in ("failure", "wrong answer"))
        assert its.spans_s() == {}
        assert await asked(its.chain, stage, clocked()) == expected
        assert hook.num_errors == 2 * (what in ("failure", "wrong answer"))
        assert its.spans_s()["p", stage] == (1, span_s or 0.0)
        assert its.chain.is_inline is its.plain.is_inline

    run(main())


def test_a_wait_of_a_plain_hook_is_counted_to_its_end_and_by_the_time_of_its_own() -> None:
    async def main() -> None:
        far = says_after(2.0, Hit(Response(200)))
        its = Timed("cache", Hook("near", says(None), False), Hook("far", lambda exchange: far(exchange), False))
        await asyncio.sleep(5.0)
        waiting = its.chain.first_inline(clocked())
        assert type(waiting) is Waiting
        assert its.spans_s() == {("near", "cache"): (1, 0.0)}
        assert isinstance(await waiting, Hit)
        assert its.spans_s() == {("near", "cache"): (1, 0.0), ("far", "cache"): (1, 2.0)}

    run(main())


def test_a_call_that_is_cancelled_is_counted_up_to_then() -> None:
    async def main() -> None:
        its = Timed("cache", Hook("far", says_after(60.0, None), True))
        task = asyncio.ensure_future(asked(its.chain, "cache", clocked()))
        await asyncio.sleep(3.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert its.spans_s() == {("far", "cache"): (1, 3.0)}

    run(main())


@pytest.mark.filterwarnings("error")
def test_what_is_given_up_before_anybody_waits_is_closed() -> None:
    async def main() -> None:
        its = Timed("cache", Hook("far", says_after(60.0, None), True))
        waiting = its.chain.first_inline(clocked())
        waiting.close()
        del waiting
        gc.collect()
        assert its.spans_s() == {}

    run(main())


def test_a_guard_bounds_a_timed_hook_and_leaves_it_out_for_all() -> None:
    async def main() -> None:
        hook = guarded(Hook("far", says_after(60.0, None), True), "cache", Guard(1.0, eject_after=1, eject_for_s=9.0))
        its = Timed("cache", hook)
        assert await asked(its.chain, "cache", clocked()) is None
        assert its.spans_s() == {("far", "cache"): (1, 1.0)}
        before = asyncio.get_running_loop().time()
        assert await asked(its.plain, "cache", clocked()) is None
        assert asyncio.get_running_loop().time() == before
        assert hook.num_errors == 1

    run(main())


def test_every_event_is_counted() -> None:
    async def main() -> None:
        its = Timed("event", Hook("p", says(None), False))
        for _ in range(5):
            its.chain.events(clocked(), b"data: 1\n\n")
        assert its.spans_s() == {("p", "event"): (5, 0.0)}

    run(main())


# -- which exchanges


def drawn(snapshot: Snapshot, num: int, path: str = "/v1/models") -> list[bool]:
    exchange = make_exchange()
    exchange.request.path = path
    return [snapshot.match(exchange.request)[0] not in snapshot.programs for _ in range(num)]


def test_one_exchange_of_so_many_is_drawn_by_chance() -> None:
    random.seed(11)
    places = [place for place, is_drawn in enumerate(drawn(snapshot_of(8), 80_000)) if is_drawn]
    assert len(places) == pytest.approx(10_000, rel=0.05)
    gaps = {later - place for place, later in pairwise(places)}
    assert gaps == set(range(1, 16))


def test_all_exchanges_are_drawn_or_none() -> None:
    assert all(drawn(snapshot_of(1), 100))
    assert not any(drawn(snapshot_of(0), 100_000))
    assert 1 <= sum(drawn(snapshot_of(), 1280)) <= 1280 / 8


def test_a_route_without_plugins_has_nothing_to_time() -> None:
    snapshot = snapshot_of(1)
    assert not any(drawn(snapshot, 10, "/bare"))
    assert set(map(id, snapshot.every_program)) >= set(map(id, snapshot.programs))


def test_series_are_those_of_the_configuration_and_go_on_over_reloads() -> None:
    registry = Registry()
    for number in (1, 2):
        snapshot = snapshot_of(1, registry)
        program, _ = snapshot.match(make_exchange().request)
        program.chains["log"].every_inline(make_exchange(), Response(200))
        text = registry.render().decode()
        assert f'headgate_plugin_seconds_count{{plugin="bystander",stage="log"}} {number}\n' in text
        assert text.count("headgate_plugin_seconds_count{") == 1
    assert registry.register(hook_seconds()).label_names == ("plugin", "stage")
