"""Many ask a gateway for the same completion at once."""

from __future__ import annotations

import asyncio
import signal

import pytest

from ...http_client import Answer, client, fetch
from ...running import WAIT_S
from ...unit.plugins.completion_cache.answers import chunk, stream
from ...upstream import upstream
from .completions_cached import (
    CHAT,
    STREAMED,
    WHOLE,
    Steps,
    both_ways,
    cached,
    until_events,
    until_told,
)


@both_ways
def test_twenty_at_once_are_one_call_and_get_the_same(way: str) -> None:
    async def main() -> None:
        steps = Steps()
        async with upstream(steps) as served, cached(served.url, way=way) as gate:
            asks = [asyncio.create_task(fetch(gate.port, "POST", CHAT, STREAMED)) for _ in range(20)]
            await until_told(gate, followers=19)
            steps.go(2)
            late = asyncio.create_task(fetch(gate.port, "POST", CHAT, STREAMED))
            await until_told(gate, followers=20)
            steps.go()
            answers: list[Answer] = await asyncio.gather(*asks, late)
            assert {each.body for each in answers} == {WHOLE}
            assert all(each.is_whole for each in answers)
            assert len(served.calls) == 1
            await gate.until(lambda: len(gate.log()) == 21)
            told = [line["cache"] for line in gate.log()]
            assert sorted(told) == ["collapsed"] * 20 + ["miss"]

    asyncio.run(main())


@both_ways
@pytest.mark.parametrize("num_events", [0, 2])
def test_leader_that_leaves_is_outlived(num_events: int, way: str) -> None:
    async def main() -> None:
        steps = Steps()
        async with upstream(steps) as served, cached(served.url, way=way) as gate:
            async with client(gate.port) as leader, client(gate.port) as follower:
                await leader.send("POST", CHAT, STREAMED)
                await served.until(lambda: served.calls)
                await follower.send("POST", CHAT, STREAMED)
                if num_events:
                    steps.go(num_events)
                    await until_events(leader, num_events)
                await until_told(gate, followers=1)
                leader.close()
                await until_told(gate, gone=1)
                assert not steps.gone.is_set()
                steps.go()
                seen = await follower.answer()
            assert (seen.body, seen.is_whole) == (WHOLE, True)
            assert len(served.calls) == 1
            assert (await fetch(gate.port, "POST", CHAT, STREAMED)).field("x-headgate-cache") == "hit"
            await gate.until(lambda: len(gate.log()) == 3)
            gone = next(line for line in gate.log() if line["cache"] == "miss")
            assert gone["error"] == "client_gone"

    asyncio.run(main())


@both_ways
def test_upstream_sees_the_close_once_the_last_has_left(way: str) -> None:
    async def main() -> None:
        steps = Steps()
        async with upstream(steps) as served, cached(served.url, way=way) as gate:
            async with client(gate.port) as leader, client(gate.port) as follower:
                await leader.send("POST", CHAT, STREAMED)
                await served.until(lambda: served.calls)
                await follower.send("POST", CHAT, STREAMED)
                steps.go(2)
                await until_events(leader, 2)
                await until_events(follower, 2)
                leader.close()
                await until_told(gate, gone=1)
                assert not steps.gone.is_set()
                follower.close()
                async with asyncio.timeout(WAIT_S):
                    await steps.gone.wait()
            await gate.until(lambda: len(gate.log()) == 2)
            assert {line["error"] for line in gate.log()} == {"client_gone"}

    asyncio.run(main())


@both_ways
def test_slow_follower_holds_nobody_up(way: str) -> None:
    pieces = [stream()[0], *(chunk({"content": "x" * 60_000}) for _ in range(40)), *stream()[-2:]]

    async def main() -> None:
        steps = Steps(pieces)
        async with upstream(steps) as served, cached(served.url, way=way) as gate:
            async with client(gate.port) as slow:
                leader = asyncio.create_task(fetch(gate.port, "POST", CHAT, STREAMED))
                await served.until(lambda: served.calls)
                await slow.send("POST", CHAT, STREAMED)  # and reads nothing
                quick = asyncio.create_task(fetch(gate.port, "POST", CHAT, STREAMED))
                await until_told(gate, followers=2)
                steps.go()
                whole = b"".join(pieces)
                assert (await leader).body == (await quick).body == whole
                assert (await slow.answer()).body == whole
            assert len(served.calls) == 1

    asyncio.run(main())


@both_ways
def test_drain_ends_a_fetch_without_client_with_those_who_follow_it(way: str) -> None:
    async def main() -> None:
        steps = Steps()
        async with upstream(steps) as served, cached(served.url, way=way, drain="100ms") as gate:
            async with client(gate.port) as leader, client(gate.port) as follower:
                await leader.send("POST", CHAT, STREAMED)
                await served.until(lambda: served.calls)
                await follower.send("POST", CHAT, STREAMED)
                steps.go(2)
                await until_told(gate, followers=1)
                leader.close()
                await until_told(gate, gone=1)
                gate.signal(signal.SIGTERM)
                seen = await follower.answer()
                assert (seen.is_whole, seen.body.startswith(b"".join(stream()[:2]))) == (False, True)
                assert b"draining" in seen.body
                async with asyncio.timeout(WAIT_S):
                    await steps.gone.wait()
                    assert await gate.process.wait() == 0
            assert {line["error"] for line in gate.log()} == {"draining", "client_gone"}

    asyncio.run(main())
