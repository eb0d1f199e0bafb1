"""Clients that do not keep up with what they read along, and answers too large to keep."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headgate.plugins.completion_cache.entry import Key
from headgate.plugins.completion_cache.flight import Flight, Landing

from ....virtual_clock import run
from .answers import chunk, stream
from .stand import Ask, Reader, Seen, Stand, streamed

STREAMED = Ask(is_stream=True)


async def later(delay_s: float, work: Any) -> Seen:
    await asyncio.sleep(delay_s)
    seen: Seen = await work
    return seen


def large(size: int = 20_000) -> list[bytes]:
    return [chunk({"content": "x" * size}) for _ in range(12)]


def test_slow_clients_hold_nobody_up() -> None:
    async def main() -> None:
        stand = Stand()
        origin = streamed(stream()[0], *large(), *stream()[-2:], gap_s=1.0)
        slow_leader, slow_follower, quick = Reader(is_slow=True), Reader(is_slow=True), Reader()
        leader = asyncio.create_task(stand.ask(STREAMED, origin, slow_leader))
        follower = asyncio.create_task(later(0, stand.ask(STREAMED, reader=slow_follower)))
        seen = await later(0, stand.ask(STREAMED, reader=quick))
        assert seen.body == b"".join(origin.pieces)
        assert seen.ended_at == len(origin.pieces) - 1
        assert not leader.done() and not follower.done()
        assert stand.cache.shelf.memory.reserved_bytes > 200_000  # what is kept for who is behind
        assert (await stand.ask(STREAMED)).verdict == "hit"
        slow_leader.read_on()
        slow_follower.read_on()
        assert (await leader).body == (await follower).body == seen.body
        assert stand.cache.shelf.memory.reserved_bytes == 0

    run(main())


@pytest.mark.parametrize("size", [20_000, 60_000])
def test_answer_too_large_to_store_goes_on_for_those_who_read_along_and_keep_up(size: int) -> None:
    async def main() -> None:
        stand = Stand(max_bytes="1MiB", max_entry="100KB")
        origin = streamed(stream()[0], *large(size), *stream()[-2:], gap_s=1.0)
        quick, slow = Reader(), Reader(is_slow=True)
        leader = asyncio.create_task(stand.ask(STREAMED, origin))
        follower = asyncio.create_task(later(0, stand.ask(STREAMED, reader=quick)))
        behind = asyncio.create_task(later(0, stand.ask(STREAMED, reader=slow)))
        late = await later(8.5, stand.ask(STREAMED))
        assert late.is_forwarded  # whose beginning is not kept any more
        whole = b"".join(origin.pieces)
        assert (await leader).body == (await follower).body == whole
        slow.read_on()
        seen = await behind
        assert seen.error == "truncated"
        assert whole.startswith(seen.body) and len(seen.body) < len(whole)
        memory = stand.cache.shelf.memory
        assert (len(memory), memory.reserved_bytes) == (1, 0)  # the late one's

    run(main())


def test_client_that_is_far_behind_is_given_up_for_those_who_keep_up() -> None:
    async def main() -> None:
        stand = Stand(max_bytes="1MiB", max_entry="70KB")
        origin = streamed(stream()[0], *large(), *stream()[-2:], gap_s=1.0)
        slow, quick = Reader(is_slow=True), Reader()
        leader = asyncio.create_task(stand.ask(STREAMED, origin, slow))
        seen = await later(0, stand.ask(STREAMED, reader=quick))
        assert seen.body == b"".join(origin.pieces)
        assert slow.is_gone and len(slow.body) < 2 * 70_000 + 30_000
        await asyncio.wait((leader,))

    run(main())


def test_budget_is_never_exceeded_by_what_is_collected() -> None:
    async def main() -> None:
        stand = Stand(max_bytes=65536, max_entry=16384)
        origin = streamed(stream()[0], chunk({"content": "x" * 9000}), *stream()[-2:], delay_s=1.0, gap_s=1.0)
        asks = [stand.ask(Ask({"seed": seed}, is_stream=True), origin) for seed in range(8)]
        all_seen = await asyncio.gather(*asks)
        assert {seen.body for seen in all_seen} == {b"".join(origin.pieces)}
        memory = stand.cache.shelf.memory
        assert memory.reserved_bytes == 0 and memory.used_bytes <= 65536
        assert 1 <= len(memory) < 8

    run(main())


def test_who_waits_for_the_whole_of_what_grows_too_large_goes_alone() -> None:
    async def main() -> None:
        stand = Stand(max_bytes="1MiB", max_entry="50KB")
        origin = streamed(stream()[0], *large(), *stream()[-2:], gap_s=1.0)
        leader = asyncio.create_task(stand.ask(STREAMED, origin))
        follower = asyncio.create_task(later(0, stand.ask(STREAMED)))
        whole = await later(0, stand.ask(Ask()))
        assert (whole.is_forwarded, whole.ended_at) == (True, 3.0)  # with the third of the large pieces
        assert (await follower).body == (await leader).body == b"".join(origin.pieces)

    run(main())


def test_what_nobody_reads_any_more_is_let_go() -> None:
    flight, released = Flight(Key(b"", None, "main"), b"", 100, 0.0), [0]

    def release() -> None:
        released[0] += 1

    for piece in (b"one", b"two"):
        flight.add(piece)
    flight.join()
    flight.land(Landing.WHOLE, None, release)
    assert (flight.joined(), flight.since(0), flight.since(3), released) == (b"onetwo", b"onetwo", b"two", [0])
    flight.leave()
    assert (flight.joined(), released) == (b"", [1])
