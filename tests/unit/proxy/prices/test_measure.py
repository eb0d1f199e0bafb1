"""Prices of plugins: who is dearer, what a price holds, and that exchanges are led as they are when served."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from headgate.proxy.compile import build
from headgate.proxy.config.load import load
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.message import Response
from headgate.proxy.hookspecs import STAGES, hookimpl
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.plugin_types import PluginTypes
from headgate.proxy.prices.asked import Asked, Given
from headgate.proxy.prices.measure import Effort, Price, RoutePrices, prices_of
from headgate.proxy.verdicts import Identity, Miss, Outcome, Reject, Reservation, Route, Settlement, Target

BURNT_US = 200
# What is burnt is processor time, and so is what is measured: others on the machine lengthen neither. Around it there
# are some ten microseconds of stages.
LEAST_US, MOST_US = 0.75 * BURNT_US, 2.0 * BURNT_US
LITTLE_US = 0.4 * BURNT_US
SHORT = Effort(rounds=15, batch=10)


def burn() -> None:
    until = time.thread_time_ns() + BURNT_US * 1000
    while time.thread_time_ns() < until:
        pass


class Idle:
    @hookimpl
    def headgate_request(self, exchange: Exchange) -> Reject | None:
        return None


class Burner:
    @hookimpl
    def headgate_request(self, exchange: Exchange) -> Reject | None:
        burn()
        return None


class Knows:
    @hookimpl
    def headgate_auth(self, exchange: Exchange) -> Identity | None:
        return Identity("k", "t")


class BurnsForTheKnown:
    @hookimpl
    def headgate_ratelimit(self, exchange: Exchange) -> Reject | Reservation | None:
        if exchange.identity is not None:
            burn()
        return None


class Leads:
    @hookimpl
    def headgate_route(self, exchange: Exchange) -> Route | None:
        return Route(((Target("far"),),), "large")


class BurnsForTheLarge:
    @hookimpl
    def headgate_cache(self, exchange: Exchange) -> Miss | None:
        if exchange.model == "large" and exchange.groups == ((Target("far"),),):
            burn()
        return None


class Refuses:
    @hookimpl
    def headgate_ratelimit(self, exchange: Exchange) -> Reject | None:
        return Reject("rate_limited")


class Waits:
    @hookimpl
    async def headgate_cache(self, exchange: Exchange) -> Miss | None:
        await asyncio.sleep(0.02)
        return None


class Asks:
    """Aggregates in the lane, waiting for a target."""

    @hookimpl
    def headgate_aggregate(self, exchange: Exchange) -> Any:
        return self._ask(exchange)

    async def _ask(self, exchange: Exchange) -> Response:
        answer = await exchange.call(Target("near"))
        assert not isinstance(answer.body, bytes)
        return Response(203, body=b"".join([piece async for piece in answer.body]) + b"!")


class AsksInATask(Asks):
    @hookimpl
    async def headgate_aggregate(self, exchange: Exchange) -> Any:
        return await self._ask(exchange)


class Keeps:
    """Notes all that is brought to it."""

    def __init__(self) -> None:
        self.settled: list[Settlement] = []
        self.stored: list[str] = []
        self.outcomes: list[Outcome] = []
        self.events: list[bytes] = []

    @hookimpl
    def headgate_ratelimit(self, exchange: Exchange) -> Reservation:
        return Reservation(settle=self.settled.append)

    @hookimpl
    def headgate_cache(self, exchange: Exchange) -> Miss:
        return Miss(self)

    @hookimpl
    def headgate_log(self, exchange: Exchange, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def begin(self, response: Response) -> bool:
        self.stored.append("begin")
        return True

    def write(self, piece: bytes) -> bool:
        self.stored.append(piece.decode())
        return True

    def commit(self) -> None:
        self.stored.append("commit")

    def discard(self) -> None:
        self.stored.append("discard")


class Edits(Keeps):
    @hookimpl
    def headgate_event(self, exchange: Exchange, event: bytes) -> bytes | None:
        self.events.append(event)
        return None


async def measured(
    plugins: Mapping[str, type],
    asked: Asked = Asked(target="/x"),  # noqa: B008 - frozen
    given: Given = Given(),  # noqa: B008 - frozen
    effort: Effort = SHORT,
) -> tuple[RoutePrices, Mapping[str, Any]]:
    """Measure a route that lists the plugins in their order, in each of their stages."""
    types = PluginTypes(given=plugins)
    stages = {stage: [name for name in plugins if stage in types.get(name).stages] for stage in STAGES}
    config = {
        "listeners": [{"address": "127.0.0.1:0"}],
        "clusters": {name: {"endpoints": ["http://127.0.0.1:1"]} for name in ("near", "far")},
        "plugins": {name: {} for name in plugins},
        "stages": {stage: names for stage, names in stages.items() if names},
        "routes": [
            {"name": "other", "match": {"path": "/other"}, "targets": ["near"]},
            {"name": "all", "match": {"path": "/{*rest}"}, "targets": ["near"]},
        ],
    }
    snapshot = build(load(json.dumps(config), types.schemas()), types, Registry())
    return await prices_of(snapshot, "all", lambda number: asked, given, effort), snapshot.instances


def prices(plugins: Mapping[str, type]) -> dict[str, Price]:
    found, _ = asyncio.run(measured(plugins))
    assert found.statuses == {200: SHORT.rounds * SHORT.batch} and not found.error and not found.unused
    return {price.plugin: price for price in found.prices}


def test_a_plugin_that_works_is_dearer_than_one_that_does_nothing_and_stands_before_it() -> None:
    found = prices({"idle": Idle, "burner": Burner})
    assert list(found) == ["burner", "idle"]
    assert LEAST_US < found["burner"].us < MOST_US
    assert found["burner"].low_us <= found["burner"].us <= found["burner"].high_us
    assert LEAST_US < found["burner"].least_us < MOST_US
    assert found["burner"].ratio > 2
    assert abs(found["idle"].us) < LITTLE_US
    assert found["idle"].ratio == pytest.approx(1, abs=0.3)
    assert found["burner"].stages == ("request",)


@pytest.mark.parametrize(("first", "second"), [(Knows, BurnsForTheKnown), (Leads, BurnsForTheLarge)])
def test_what_others_do_with_what_a_plugin_has_found_out_is_not_its_price(first: type, second: type) -> None:
    found = prices({"first": first, "second": second})
    assert abs(found["first"].us) < LITTLE_US
    assert LEAST_US < found["second"].us < MOST_US


def test_waiting_is_no_price_and_leaves_the_lane() -> None:
    found, _ = asyncio.run(measured({"waits": Waits}, effort=Effort(3, 2)))
    assert not found.is_inline
    assert found.prices[0].us < 10_000  # it waits for 20 ms


def test_a_refusal_is_told_with_whom_it_kept_from_being_called() -> None:
    found, _ = asyncio.run(measured({"refuses": Refuses, "idle": Idle}, effort=Effort(2, 5)))
    assert found.statuses == {429: 10}
    assert found.error.startswith("rate_limited")
    assert ([price.plugin for price in found.prices], found.unused) == (["refuses"], ("idle",))


@pytest.mark.parametrize(("plugin", "is_inline"), [(Asks, True), (AsksInATask, False)])
def test_an_aggregate_asks_targets_that_answer_from_memory(plugin: type, is_inline: bool) -> None:
    found, _ = asyncio.run(measured({"asks": plugin}, given=Given(body=b"hello"), effort=Effort(2, 5)))
    assert (found.is_inline, found.statuses, found.error) == (is_inline, {203: 10}, "")


def test_an_exchange_is_led_to_its_end_once() -> None:
    """A batch to get warm, two rounds, and a trial: with the plugin, and three times as many without it or any."""
    _, plugins = asyncio.run(measured({"keeps": Keeps}, given=Given(body=b"hello"), effort=Effort(2, 5)))
    keeps, num = plugins["keeps"], 1 + 5 + 2 * 5
    assert keeps.stored == ["begin", "hello", "commit"] * num
    assert {(each.status, each.error, each.is_sent) for each in keeps.settled} == {(200, None, True)}
    assert {(each.status, each.target, each.attempts, each.sent_bytes) for each in keeps.outcomes} == {
        (200, "near", 1, 5)
    }
    assert len(keeps.settled) == len(keeps.outcomes) == num


def test_events_of_a_stream_pass_their_hooks() -> None:
    given = Given(fields=(("Content-Type", "text/event-stream"),), body=b"data: 1\n\ndata: 2\n\n")
    found, plugins = asyncio.run(measured({"edits": Edits}, given=given, effort=Effort(1, 1)))
    assert plugins["edits"].events == [b"data: 1\n\n", b"data: 2\n\n"] * 3
    assert plugins["edits"].stored[:3] == ["begin", "data: 1\n\ndata: 2\n\n", "commit"]
    assert "event" in found.prices[0].stages


def test_a_request_that_goes_elsewhere_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a request for route `all`, GET /other goes to route `other`"):
        asyncio.run(measured({"idle": Idle}, Asked(target="/other")))
    with pytest.raises(ValueError, match=r"GET /a//b goes nowhere \(bad_request: the path is ambiguous"):
        asyncio.run(measured({"idle": Idle}, Asked(target="/a//b")))


def test_each_request_is_asked_for_by_its_number() -> None:
    seen: list[int] = []

    async def main() -> None:
        types = PluginTypes(given={"idle": Idle})
        config = {
            "listeners": [{"address": "127.0.0.1:0"}],
            "clusters": {"near": {"endpoints": ["http://127.0.0.1:1"]}},
            "plugins": {"idle": {}},
            "stages": {"request": ["idle"]},
            "routes": [{"name": "all", "match": {"path": "/{*rest}"}, "targets": ["near"]}],
        }
        snapshot = build(load(json.dumps(config), types.schemas()), types, Registry())

        def requests(number: int) -> Asked:
            seen.append(number)
            return Asked(target=f"/{number}")

        await prices_of(snapshot, "all", requests, Given(), Effort(2, 3))

    asyncio.run(main())
    assert seen == [0, *range(3 * 3 * 3)]  # three variants, three rounds with the first, three at once
