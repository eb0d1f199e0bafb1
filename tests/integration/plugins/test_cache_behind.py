"""`cache` in a gateway that serves: stale answers that are replaced behind the client's back."""

from __future__ import annotations

import asyncio

from headgate.plugins.cache import Cache
from headgate.plugins.testing import gateway_with
from headgate.proxy.behind import MAX_BEHIND
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.hookspecs import hookimpl

from ...http_client import client, fetch
from ...running import WAIT_S
from ...upstream import Call, Upstream, upstream
from .test_cache import cached

STALE = ("Cache-Control: max-age=1, stale-while-revalidate=60", "Age: 1")  # from its arrival on
AGAIN = "Cache-Control: max-age=60"


def test_stale_answer_is_given_at_once_and_replaced_behind() -> None:
    go_on = asyncio.Event()

    async def slow(call: Call) -> None:
        if len(served_calls) == 1:
            await call.answer(b"old", "200 OK", *STALE)
        else:
            await go_on.wait()
            await call.answer(b"new", "200 OK", AGAIN)

    served_calls: list[Call] = []

    async def main() -> Upstream:
        nonlocal served_calls
        async with upstream(slow) as served, cached(served.url) as gate:
            served_calls = served.calls
            await fetch(gate.port, "GET", "/a", None, "X-Kind: 1")
            async with client(gate.port) as one:  # which leaves
                stale = await one.request("GET", "/a", None, "X-Kind: 2", 'If-None-Match: "mine"')
            again = await fetch(gate.port, "GET", "/a")
            assert (stale.body, again.body) == (b"old", b"old")
            assert (stale.field("x-headgate-cache"), stale.field("cache-status")) == ("hit", "headgate; hit; ttl=0")
            await served.until(lambda: len(served.calls) == 2)
            go_on.set()
            async with asyncio.timeout(WAIT_S):
                while (await fetch(gate.port, "GET", "/a")).body != b"new":
                    pass
            return served

    served = asyncio.run(main())
    assert len(served.calls) == 2
    first, behind = served.calls
    assert behind.line == "GET /a HTTP/1.1"
    assert (behind.fields("x-kind"), behind.fields("if-none-match")) == (["2"], [])
    for name in ("host", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"):
        assert behind.fields(name) == first.fields(name) != []
    assert behind.fields("x-request-id")


def test_failure_behind_costs_no_client_an_answer() -> None:
    async def failing(call: Call) -> None:
        if len(served_calls) == 1:
            await call.answer(b"old", "200 OK", *STALE)
        elif len(served_calls) == 2:
            call.reset()
        elif len(served_calls) == 3:
            await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nCache-Control: max-age=60\r\n\r\ncut")
            call.writer.close()
        else:
            await call.answer(b"new", "200 OK", AGAIN)

    served_calls: list[Call] = []

    async def main() -> set[bytes]:
        nonlocal served_calls
        seen = set()
        async with upstream(failing) as served, cached(served.url, retry={"on": []}) as gate:
            served_calls = served.calls
            async with asyncio.timeout(WAIT_S):
                while b"new" not in seen:
                    answer = await fetch(gate.port, "GET", "/a")
                    assert answer.status == 200
                    seen.add(answer.body)
        return seen

    assert asyncio.run(main()) == {b"old", b"new"}


def test_only_so_many_are_fetched_behind() -> None:
    go_on = asyncio.Event()

    async def stuck(call: Call) -> None:
        if "again" in call.fields("x-turn"):
            await go_on.wait()
        await call.answer(b"old", "200 OK", *STALE)

    async def main() -> None:
        async with upstream(stuck) as served, cached(served.url) as gate:
            paths = [f"/{number}" for number in range(MAX_BEHIND + 1)]
            async with client(gate.port) as one:
                for path in paths:
                    await one.request("GET", path)
                for path in paths:
                    assert (await one.request("GET", path, None, "X-Turn: again")).field("x-headgate-cache") == "hit"
                begun = len(paths) + MAX_BEHIND
                await served.until(lambda: len(served.calls) == begun)
                asked = {call.line.split()[1] for call in served.calls[len(paths) :]}
                assert asked == set(paths[:-1])
                go_on.set()
                async with asyncio.timeout(WAIT_S):
                    while len(served.calls) == begun:  # there is room again, soon
                        await one.request("GET", paths[-1])
                assert served.calls[-1].line.split()[1] == paths[-1]

    asyncio.run(main())


class Merging:
    """An aggregate that answers by itself."""

    def __init__(self) -> None:
        self.num_asked = 0

    @hookimpl
    async def headgate_aggregate(self, exchange: Exchange) -> Response:
        self.num_asked += 1
        fields = [(b"Cache-Control", b"max-age=1, stale-while-revalidate=60"), (b"Age", b"1")]
        return Response(200, Fields(fields), b"merged %d" % self.num_asked)


def test_what_is_fetched_behind_comes_from_the_aggregate_too() -> None:
    """A target's own answer took the place of the merged one."""

    async def main() -> tuple[list[bytes], int]:
        async with gateway_with({"cache": Cache, "merging": Merging}) as gate:
            bodies = [(await gate.fetch()).body for _ in range(2)]
            async with asyncio.timeout(WAIT_S):
                while (body := (await gate.fetch()).body) == b"merged 1":
                    pass
            return [*bodies, body], len(gate.sent)

    bodies, num_sent = asyncio.run(main())
    assert bodies[:2] == [b"merged 1", b"merged 1"]
    assert bodies[2].startswith(b"merged ")
    assert num_sent == 0
