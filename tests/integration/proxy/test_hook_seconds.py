"""How long hooks take, in gateways that serve: on both ways of a request, over reloads, over workers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from headgate.plugins.testing import gateway_with
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.hookspecs import hookimpl
from headgate.proxy.verdicts import Hit, Identity, Outcome, Reject, Reservation, Route

from ...http_client import fetch
from ...running import plain
from ...upstream import Call, upstream
from .test_lifecycle import admin, with_admin
from .test_workers import counted, counts, serving

NAME = "headgate_plugin_seconds_count"
BEFORE_THE_ANSWER = ("auth", "route", "ratelimit", "request", "cache", "aggregate")
TOKEN = ("Host: localhost", "Authorization: Bearer secret-of-the-test")
LIMIT = {"rate_limit": {"by": ["address"], "rate": "1000000/s", "burst": 100000}}


class Everywhere:
    """Stands in every stage; `/refused` ends in ratelimit, `/fails` in auth."""

    @hookimpl
    def headgate_auth(self, exchange: Exchange) -> Identity | None:
        if exchange.request.path == "/fails":
            raise RuntimeError("planted")
        return Identity("k", "t")

    @hookimpl
    def headgate_route(self, exchange: Exchange) -> Route | None:
        return None

    @hookimpl
    def headgate_ratelimit(self, exchange: Exchange) -> Reject | Reservation | None:
        return Reject("rate_limited") if exchange.request.path == "/refused" else None

    @hookimpl
    def headgate_request(self, exchange: Exchange) -> Reject | None:
        return None

    @hookimpl
    def headgate_cache(self, exchange: Exchange) -> Hit | None:
        return None

    @hookimpl
    def headgate_aggregate(self, exchange: Exchange) -> Response | None:
        return None

    @hookimpl
    def headgate_response_head(self, exchange: Exchange, response: Response) -> None:
        """See nothing."""

    @hookimpl
    def headgate_log(self, exchange: Exchange, outcome: Outcome) -> None:
        """See nothing."""


class EverywhereAndSlow(Everywhere):
    """The same, in a task."""

    @hookimpl
    async def headgate_cache(self, exchange: Exchange) -> Hit | None:  # type: ignore[override]
        await asyncio.sleep(0.02)
        return None


class Events:
    """Sees events."""

    @hookimpl
    def headgate_event(self, exchange: Exchange, event: bytes) -> bytes | None:
        return None


def config(stages: Mapping[str, Any], **observe: int) -> dict[str, Any]:
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "clusters": {},
        "plugins": {"p": {}},
        "stages": {stage: ["p"] for stage in stages},
        "routes": [{"name": "all", "match": {"path": "/{*rest}"}, "targets": ["origin"]}],
        "access_log": "off",
        "observe": observe,
    }


def counts_by_stage(metrics: str) -> dict[str, int]:
    found = re.findall(rf'^{NAME}{{plugin="p",stage="(\w+)"}} (\d+)$', metrics, re.MULTILINE)
    return {stage: int(number) for stage, number in found}


@pytest.mark.parametrize(("plugin", "num_inline"), [(Everywhere, 4), (EverywhereAndSlow, 0)], ids=["lane", "reference"])
def test_every_hook_is_seen_and_what_refuses_or_fails_is_counted(plugin: type[Everywhere], num_inline: int) -> None:
    """In the lane, and on the reference path, where some stage waits."""
    stages = (*BEFORE_THE_ANSWER, "response_head", "log")

    async def main() -> tuple[list[int], str]:
        async with gateway_with({"p": plugin}, config(dict.fromkeys(stages), time_hooks_every=1)) as gate:
            answers = [await gate.fetch("GET", path) for path in ("/well", "/well", "/refused", "/fails")]
        return [answer.status for answer in answers], gate.metrics()  # all have ended

    statuses, metrics = asyncio.run(main())
    assert statuses == [200, 200, 429, 500]
    assert (f'headgate_served_total{{way="inline"}} {num_inline}\n' in metrics) is (num_inline > 0)
    assert ('headgate_served_total{way="reference"} 4\n' in metrics) is (num_inline == 0)
    assert counts_by_stage(metrics) == {
        **{"auth": 4, "route": 3, "ratelimit": 3, "request": 2, "cache": 2, "aggregate": 2},
        **{"response_head": 4, "log": 4},
    }
    if plugin is EverywhereAndSlow:
        waited = re.search(r'headgate_plugin_seconds_sum{plugin="p",stage="cache"} (\S+)', metrics)
        assert waited is not None and float(waited[1]) >= 0.04


def test_each_event_of_a_stream_is_seen() -> None:
    def stream(sent: object) -> Response:
        return Response(200, Fields([(b"Content-Type", b"text/event-stream")]), b"data: 1\n\ndata: 2\n\ndata: 3\n\n")

    async def main() -> str:
        only = config({"event": None}, time_hooks_every=1)
        async with gateway_with({"p": Events}, only, origin=stream) as gate:
            assert (await gate.fetch()).body.count(b"data") == 3
        return gate.metrics()

    assert counts_by_stage(asyncio.run(main())) == {"event": 3}


def test_nothing_is_timed_where_it_is_switched_off() -> None:
    async def main() -> str:
        async with gateway_with({"p": Everywhere}, config({"auth": None}, time_hooks_every=0)) as gate:
            for _ in range(5):
                await gate.fetch()
        return gate.metrics()

    assert counts_by_stage(asyncio.run(main())) == {}


async def ok(call: Call) -> None:
    await call.answer(b"ok")


def test_the_calls_of_all_workers_add_up_and_go_on_over_a_reload(tmp_path: Path) -> None:
    async def main() -> None:
        async with upstream(ok) as service:
            config = with_admin(plain(service.url))
            config |= {"plugins": LIMIT, "stages": {"ratelimit": ["rate_limit"]}, "observe": {"time_hooks_every": 1}}
            async with serving(tmp_path, config) as gate:
                for _ in range(40):
                    assert (await fetch(gate.port)).status == 200
                await counts(gate, 40)
                assert await counted(gate, NAME) == 40
                config["drain"] = "7s"
                gate.write(config)
                assert (await admin(gate, "POST", "/reload", *TOKEN)).status == 200
                for _ in range(40):
                    assert (await fetch(gate.port)).status == 200
                await counts(gate, 80)
                for _ in range(5):  # whichever worker is asked
                    assert await counted(gate, NAME) == 80

    asyncio.run(main())
