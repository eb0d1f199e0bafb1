"""`canary` in a gateway that serves, with the lane and without it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from headgate.proxy.buckets import num_buckets, place_of

from ...http_client import Answer, fetch
from ...running import WAYS, RunningGateway, gateway
from ...upstream import Call, Upstream, upstream

BOTH_WAYS = pytest.mark.parametrize("way", ["lane", "reference"])
SHARE = 30.0
USERS = [f"user-{number}" for number in range(60)]


def environment(way: str) -> dict[str, Any]:
    return {"TOKEN": "token", **WAYS[way]}


def is_drawn(user: str) -> bool:
    """As the documents say it."""
    return place_of("canary", user.encode()).bucket < num_buckets(SHARE)


async def ok(call: Call) -> None:
    await call.answer(b"fine")


async def broken(call: Call) -> None:
    await call.answer(b"broken", "503 Down")


def config(old: str, new: str, **settings: Any) -> dict[str, Any]:
    canary = {"share": SHARE, "by": "field:x-user", "variants": {"next": {"targets": ["new"]}}, **settings}
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "admin": {"address": "127.0.0.1:0", "token": "env:TOKEN", "hosts": ["gate.test"]},
        "clusters": {"old": {"endpoints": [old]}, "new": {"endpoints": [new], "breaker": {"failures": 1000}}},
        "plugins": {"canary": {"response_field": "x-variant", "logged": True, **canary}},
        "routes": [
            {"name": "plain", "match": {"path": "/plain"}, "targets": ["old"]},
            {
                "name": "all",
                "match": {"path": "/{*rest}"},
                "targets": ["old"],
                "retry": {"attempts": 1},
                "stages": {"route": ["canary"], "response_head": ["canary"], "log": ["canary"]},
            },
        ],
    }


@contextlib.asynccontextmanager
async def serving(way: str, new: Any = ok, **settings: Any) -> AsyncIterator[tuple[RunningGateway, Upstream, Upstream]]:
    async with (
        upstream(ok) as old,
        upstream(new) as other,
        gateway(config(old.url, other.url, **settings), **environment(way)) as gate,
    ):
        yield gate, old, other


async def ask(gate: RunningGateway, user: str, path: str = "/x") -> Answer:
    return await fetch(gate.port, "GET", path, None, f"X-User: {user}")


async def metrics(gate: RunningGateway) -> str:
    answer = await fetch(gate.admin_port, "GET", "/metrics", None, "Authorization: Bearer token")
    return answer.body.decode()


@BOTH_WAYS
def test_a_share_of_the_callers_goes_to_the_variant_and_stays_there(way: str) -> None:
    async def main() -> None:
        async with serving(way) as (gate, old, new):
            for user in USERS * 2:
                answer = await ask(gate, user)
                wanted = ("new", "next") if is_drawn(user) else ("old", "stable")
                assert (answer.field("x-headgate-target"), answer.field("x-variant")) == wanted
            drawn = 2 * sum(map(is_drawn, USERS))
            assert (len(new.calls), len(old.calls)) == (drawn, 2 * len(USERS) - drawn)
            await gate.until(lambda: len(gate.log()) == 2 * len(USERS))
            assert {line["extra"]["canary"] for line in gate.log()} == {"next", "stable"}
            shown = await metrics(gate)
            assert f'requests_total{{plugin="canary",variant="next",outcome="ok"}} {drawn}\n' in shown
            served = 'headgate_served_total{way="inline"}'
            assert (served in shown) is (way == "lane")

    asyncio.run(main())


@BOTH_WAYS
def test_a_route_without_it_is_left_alone(way: str) -> None:
    async def main() -> None:
        async with serving(way, share=100) as (gate, old, new):
            answers = [await ask(gate, user, "/plain") for user in USERS[:5]]
            assert {(answer.status, answer.field("x-variant")) for answer in answers} == {(200, None)}
            assert (len(old.calls), len(new.calls)) == (5, 0)

    asyncio.run(main())


@BOTH_WAYS
def test_where_the_variant_fails_the_stable_targets_answer(way: str) -> None:
    async def main() -> None:
        async with serving(way, broken, share=100) as (gate, _, new):
            answer = await ask(gate, "ann")
            assert (answer.status, answer.body, answer.field("x-headgate-fallback")) == (200, b"fine", "true")
            assert len(new.calls) == 1
            assert 'variant="next",outcome="fallback"} 1' in await metrics(gate)

    asyncio.run(main())


@BOTH_WAYS
def test_a_variant_that_may_not_fall_back_fails(way: str) -> None:
    async def main() -> None:
        only = {"next": {"targets": ["new"], "fallback": "none"}}
        async with serving(way, broken, share=100, variants=only) as (gate, old, _):
            assert (await ask(gate, "ann")).status >= 502
            assert old.calls == []

    asyncio.run(main())


@BOTH_WAYS
def test_a_variant_that_fails_is_taken_out_and_comes_back_with_new_settings(way: str) -> None:
    drawn = next(user for user in USERS if is_drawn(user))
    other = next(user for user in USERS if not is_drawn(user))

    async def main() -> None:
        async with serving(way, broken, stop={"above": 50, "requests": 10}) as (gate, old, new):
            for _ in range(10):
                await ask(gate, drawn)
                await ask(gate, other)
            assert len(new.calls) == 10
            for _ in range(5):
                assert (await ask(gate, drawn)).field("x-variant") == "stable"
            assert len(new.calls) == 10
            assert 'headgate_canary_stopped{plugin="canary",variant="next"} 1' in await metrics(gate)
            gate.write(config(old.url, new.url, share=SHARE, stop={"above": 60, "requests": 10}))
            await fetch(gate.admin_port, "POST", "/reload", b"", "Authorization: Bearer token")
            assert (await ask(gate, drawn)).field("x-variant") == "next"
            assert 'headgate_canary_stopped{plugin="canary",variant="next"} 0' in await metrics(gate)

    asyncio.run(main())
