"""The tier with a limit, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from loadtests.answers import is_whole_completion, is_whole_stream
from loadtests.tier import BIG_BYTES, PAGE_BYTES, Slots, State, serve

SLOTS, QUEUE, BUSY = 2, 1, 503
Work = Callable[[aiohttp.ClientSession, State], Awaitable[None]]


def run(work: Work, service_s: float = 0.03) -> None:
    async def main() -> None:
        slots = Slots(State(SLOTS), QUEUE, service_s, BUSY)
        server = await serve("heavy", slots, 0)
        port = server.sockets[0].getsockname()[1]
        async with server, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            async with asyncio.timeout(20):
                await work(session, slots.state)

    asyncio.run(main())


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(5000):
        if holds():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("expected it to come true within 5 s")


async def ask(session: aiohttp.ClientSession, **body: object) -> tuple[int, bytes]:
    async with session.post("/v1/chat/completions", json={"model": "x", **body}) as response:
        return response.status, await response.read()


def test_answers_are_whole() -> None:
    async def work(session: aiohttp.ClientSession, state: State) -> None:
        status, body = await ask(session)
        assert status == 200 and is_whole_completion(body)
        status, body = await ask(session, stream=True)
        assert status == 200 and is_whole_stream(body)
        assert (state.received, state.served, state.in_use) == (2, 2, 0)

    run(work)


def test_no_more_are_served_at_once_than_there_are_slots_and_places() -> None:
    async def work(session: aiohttp.ClientSession, state: State) -> None:
        found = await asyncio.gather(*(ask(session) for _ in range(6)))
        statuses = sorted(status for status, _ in found)
        assert statuses == [200] * (SLOTS + QUEUE) + [BUSY] * 3
        assert (state.served, state.refused, state.in_use, state.waiting) == (3, 3, 0, 0)
        # Two turns of 50 ms: in the first both slots and the place in the queue are taken, in the second one slot.
        assert state.busy_s == pytest.approx(0.15, rel=0.5)
        assert 0 < state.waiting_s < state.busy_s

    run(work, service_s=0.05)


def test_who_leaves_gives_a_slot_and_a_place_back() -> None:
    async def work(session: aiohttp.ClientSession, state: State) -> None:
        asked = [asyncio.create_task(ask(session)) for _ in range(SLOTS + QUEUE)]
        await until(lambda: state.in_use + state.waiting == SLOTS + QUEUE)
        for one in asked:
            one.cancel()
        await asyncio.wait(asked)
        await until(lambda: not state.in_use and not state.waiting)
        assert state.abandoned == SLOTS + QUEUE and state.served == 0

    run(work, service_s=60)


def test_pages_and_the_large_file_take_no_slot() -> None:
    async def work(session: aiohttp.ClientSession, state: State) -> None:
        async with session.get("/pages/7") as response:
            assert len(await response.read()) == PAGE_BYTES
            assert "max-age" in response.headers["cache-control"]
        async with session.get("/files/big") as response:
            assert sum([len(piece) async for piece in response.content.iter_any()]) == BIG_BYTES
        async with session.get("/state") as response:
            told = await response.json()
        assert told["received"] == 2 and told["busy_s"] == 0 and told["slots"] == SLOTS

    run(work)
