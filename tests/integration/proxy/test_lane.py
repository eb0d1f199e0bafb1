"""Who serves what: the lane, a task that takes over from it, or the reference path."""

from __future__ import annotations

import asyncio
from typing import Any

from ...http_client import client, fetch
from ...running import RunningGateway, gateway, plain
from ...upstream import Call, upstream


async def answer(call: Call) -> None:
    await call.answer(call.body or b"nothing")


async def ways(gate: RunningGateway) -> dict[str, int]:
    """Return how many exchanges were served by whom."""
    page = (await fetch(gate.admin_port, "GET", "/metrics")).body.decode()
    lines = [line for line in page.splitlines() if line.startswith("headgate_served_total{")]
    return {line.partition('way="')[2].partition('"')[0]: int(line.rpartition(" ")[2]) for line in lines}


async def served(*requests: tuple[str, bytes | None, tuple[str, ...]], **options: Any) -> dict[str, int]:
    """Send requests one after the other on one connection; return who served them."""
    async with upstream(answer) as one:
        config = plain(one.url)
        config["routes"][0] |= options
        config["admin"] = {"address": "127.0.0.1:0"}
        async with gateway(config) as gate:
            async with client(gate.port) as connected:
                for method, body, fields in requests:
                    await connected.send(method, "/x", body, *fields)
                    assert (await connected.answer(method)).status == 200
            await gate.until(lambda: len(gate.log()) == len(requests))
            return await ways(gate)


def test_plain_requests_stay_in_the_lane_that_which_waits_for_a_connection_too() -> None:
    plain_one = ("POST", b"{}", ())
    assert asyncio.run(served(*[plain_one] * 50)) == {"inline": 50}


def test_a_connection_is_handed_over_for_good() -> None:
    requests = (("GET", None, ()), ("GET", None, ()), ("HEAD", None, ()), ("GET", None, ()))
    assert asyncio.run(served(*requests)) == {"inline": 2, "reference": 2}


def test_a_route_that_has_to_wait_is_not_for_the_lane() -> None:
    assert asyncio.run(served(("GET", None, ()), hedge={"after": "1s"}, replay="safe")) == {"reference": 1}


def test_pipelined_requests_are_answered_in_order_whoever_serves_them() -> None:
    async def main() -> list[bytes]:
        async with upstream(answer) as one, gateway(plain(one.url)) as gate, client(gate.port) as connected:
            for place in range(30):
                odd = ("Expect: 100-continue",) if place == 20 else ()
                await connected.send("POST", f"/{place}", b"body %d" % place, *odd)
            return [(await connected.answer()).body for _ in range(30)]

    assert asyncio.run(main()) == [b"body %d" % place for place in range(30)]
