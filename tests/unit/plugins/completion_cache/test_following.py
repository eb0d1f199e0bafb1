"""Many ask for the same at once: one fetch, which all of them read along."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from headgate.plugins.completion_cache.entry import Key
from headgate.plugins.completion_cache.flight import MAX_FLIGHTS, Flight, Flights
from headgate.plugins.completion_cache.reading_along import ReadingAlong
from headgate.proxy.verdicts import Miss

from ....virtual_clock import run
from .answers import STREAM, chat, stream, texts_of
from .stand import Ask, Origin, Reader, Seen, Stand, streamed

LIVE = streamed(delay_s=1.0, gap_s=1.0)  # four gaps: whole at 5
WHOLE = b"".join(stream())
STREAMED = Ask(is_stream=True)


async def later(delay_s: float, work: Any) -> Seen:
    await asyncio.sleep(delay_s)
    seen: Seen = await work
    return seen


def test_followers_read_a_stream_along_from_its_beginning() -> None:
    async def main() -> None:
        stand = Stand()
        all_seen = await asyncio.gather(*(later(at, stand.ask(STREAMED, LIVE)) for at in (0, 0, 0.5, 1, 2.5, 3)))
        assert stand.num_forwarded == 1
        assert {(seen.body, seen.error) for seen in all_seen} == {(WHOLE, "")}
        assert {seen.ended_at for seen in all_seen} == {5.0}
        assert [seen.verdict for seen in all_seen] == ["miss"] + ["collapsed"] * 5
        assert all_seen[1].cache_status == "headgate; fwd=uri-miss; collapsed"
        assert (await stand.ask(STREAMED)).verdict == "hit"

    run(main())


def test_follower_sees_each_event_as_it_comes() -> None:
    async def main() -> None:
        stand, reader = Stand(), Reader()
        leader = asyncio.create_task(stand.ask(STREAMED, LIVE))
        follower = asyncio.create_task(later(2.5, stand.ask(STREAMED, reader=reader)))
        seen = []
        for at in (2.6, 3.1, 4.1, 5.1):
            await asyncio.sleep(at - asyncio.get_running_loop().time())
            seen.append(reader.body.count(b"\n\n"))
        assert seen == [2, 3, 4, 5]
        await asyncio.gather(leader, follower)

    run(main())


def test_other_form_waits_for_the_whole_answer() -> None:
    async def main() -> None:
        stand = Stand()
        usage = {"stream_options": {"include_usage": True}}
        origin = streamed(*stream(has_usage=True), delay_s=1.0, gap_s=1.0)
        leader, whole, plain = await asyncio.gather(
            stand.ask(Ask(usage, is_stream=True), origin), stand.ask(Ask()), stand.ask(STREAMED)
        )
        assert stand.num_forwarded == 1
        assert (whole.ended_at, whole.verdict) == (leader.ended_at, "collapsed")
        assert b'"hello you"' in whole.body
        assert plain.body == WHOLE  # without the usage that it did not ask for

    run(main())


def test_followers_of_a_whole_answer_wait_for_it() -> None:
    async def main() -> None:
        stand = Stand()
        origin = Origin(delay_s=3.0)
        all_seen = await asyncio.gather(*(stand.ask(Ask(), origin) for _ in range(9)), stand.ask(STREAMED, origin))
        assert stand.num_forwarded == 1
        assert {seen.body for seen in all_seen[:9]} == {chat()}
        assert texts_of(all_seen[9].body) == {0: "hello you"}

    run(main())


def test_fetch_goes_on_without_its_client_for_who_follows() -> None:
    async def main() -> None:
        for leaves_at in (0.5, 2.5):
            stand, reader = Stand(), Reader()
            began = asyncio.get_running_loop().time()
            leader = asyncio.create_task(stand.ask(STREAMED, LIVE, reader))
            followers = [asyncio.create_task(stand.ask(STREAMED)) for _ in range(3)]
            await asyncio.sleep(leaves_at)
            reader.leave()
            assert [((await each).body, (await each).error) for each in followers] == [(WHOLE, "")] * 3
            seen = await leader
            assert seen.verdict == "miss"
            assert (stand.num_forwarded, stand.num_aborted, stand.num_open) == (1, 0, 0)
            assert asyncio.get_running_loop().time() - began == 5.0
            assert (await stand.ask(STREAMED)).verdict == "hit"

    run(main())


@pytest.mark.parametrize("is_stream", [False, True])
def test_fetch_ends_with_the_last_who_wants_it(is_stream: bool) -> None:
    async def main() -> None:
        stand, readers = Stand(), [Reader() for _ in range(3)]
        origin = LIVE if is_stream else Origin(delay_s=5.0)
        asks = [asyncio.create_task(stand.ask(Ask(is_stream=is_stream), origin, reader)) for reader in readers]
        for reader in readers:
            await asyncio.sleep(0.9)
            assert stand.num_aborted == 0
            reader.leave()
        await asyncio.sleep(0.1)
        assert (stand.num_forwarded, stand.num_aborted, stand.num_open) == (1, 1, 0)
        assert all(
            isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*asks, return_exceptions=True)
        )
        assert len(stand.cache.shelf.flights) == stand.cache.shelf.memory.used_bytes == 0

    run(main())


def test_lone_client_that_leaves_ends_its_fetch() -> None:
    async def main() -> None:
        stand, reader = Stand(), Reader()
        asked = asyncio.create_task(stand.ask(STREAMED, LIVE, reader))
        await asyncio.sleep(2.5)
        reader.leave()
        await asyncio.wait((asked,))
        assert asked.cancelled()
        assert (stand.num_aborted, stand.num_open) == (1, 0)

    run(main())


def test_cut_by_a_drain_is_not_outlived() -> None:
    async def main() -> None:
        stand, reader = Stand(), Reader()
        leader = asyncio.create_task(stand.ask(STREAMED, LIVE, reader))
        follower = asyncio.create_task(stand.ask(STREAMED))
        await asyncio.sleep(2.5)
        reader.is_cut = True
        leader.cancel()
        await asyncio.wait((leader,))
        assert leader.cancelled() and stand.num_open == 0
        assert (await follower).error == "truncated"

    run(main())


def test_fetch_that_fails_before_its_answer_is_looked_at_once_more_and_then_each_goes_alone() -> None:
    async def main() -> None:
        stand = Stand()
        origin = streamed(delay_s=1.0, end="error")
        all_seen = await asyncio.gather(*(stand.ask(STREAMED, origin) for _ in range(6)))
        assert {seen.error for seen in all_seen} == {"reset"}
        assert stand.num_forwarded == 6
        assert sorted(seen.ended_at for seen in all_seen) == [1.0, 2.0, 3.0, 3.0, 3.0, 3.0]

    run(main())


def test_fetch_that_breaks_off_ends_each_stream_by_an_error() -> None:
    async def main() -> None:
        stand = Stand()
        origin = streamed(*stream()[:2], delay_s=1.0, gap_s=1.0, end="cut")
        leader, *followers = await asyncio.gather(*(stand.ask(STREAMED, origin) for _ in range(3)))
        assert leader.error == "reset"
        assert {seen.error for seen in followers} == {"truncated"}
        assert {seen.body for seen in followers} == {b"".join(stream()[:2])}
        assert stand.num_forwarded == 1
        assert stand.cache.shelf.memory.used_bytes == 0

    run(main())


def test_answer_that_cannot_be_stored_is_not_waited_for() -> None:
    async def main() -> None:
        stand = Stand()
        origin = Origin(status=400, delay_s=1.0)
        all_seen = await asyncio.gather(*(stand.ask(Ask(), origin) for _ in range(5)))
        assert stand.num_forwarded == 5
        assert max(seen.ended_at for seen in all_seen) == 2.0

    run(main())


def test_answer_of_a_fallback_is_for_those_who_wait_but_is_not_stored() -> None:
    async def main() -> None:
        stand = Stand()
        origin = Origin(delay_s=1.0, end="fallback")
        all_seen = await asyncio.gather(*(stand.ask(Ask(), origin) for _ in range(4)))
        assert {seen.body for seen in all_seen} == {chat()}
        assert stand.num_forwarded == 1
        assert len(stand.cache.shelf.memory) == 0

    run(main())


def test_follower_has_its_own_deadline() -> None:
    async def main() -> None:
        stand = Stand()
        slow = streamed(delay_s=1.0, gap_s=100.0)
        leader = asyncio.create_task(stand.ask(STREAMED, slow))
        await asyncio.sleep(0)
        seen = await stand.ask(Ask(is_stream=True, deadline_s=5.0))
        assert (seen.error, seen.ended_at, seen.body) == ("deadline", 5.0, stream()[0])
        whole = await stand.ask(Ask(deadline_s=4.0))  # half of its time is for a fetch of its own
        assert (whole.is_forwarded, whole.ended_at) == (True, 7.0)
        leader.cancel()

    run(main())


def test_waiting_has_an_end() -> None:
    async def main() -> None:
        stand = Stand(max_wait="2s")
        leader = asyncio.create_task(stand.ask(Ask(), Origin(delay_s=100.0)))
        await asyncio.sleep(0)
        seen = await stand.ask(Ask())
        assert (seen.is_forwarded, seen.ended_at) == (True, 2.0)
        leader.cancel()

    run(main())


def test_followers_have_a_bound() -> None:
    async def main() -> None:
        stand = Stand(max_followers=3)
        await asyncio.gather(*(stand.ask(STREAMED, LIVE) for _ in range(10)))
        assert stand.num_forwarded == 1 + 6

    run(main())


def test_followers_have_a_bound_where_all_come_before_any_waits() -> None:
    async def main() -> None:
        stand = Stand(max_followers=3)
        leader = asyncio.create_task(stand.ask(STREAMED, LIVE))
        await asyncio.sleep(0.5)
        waiting = [stand.cache.headgate_cache(STREAMED.exchange()) for _ in range(10)]
        verdicts = await asyncio.gather(*(each for each in waiting if isinstance(each, Awaitable)))
        assert sorted(verdict.status or "" for verdict in verdicts) == ["collapsed"] * 3 + ["miss"] * 7
        for verdict in verdicts:
            if isinstance(verdict, Miss):
                assert verdict.store is not None
                verdict.store.discard()
            else:
                assert isinstance(verdict.response.body, ReadingAlong)
                await verdict.response.body.aclose()
        await leader
        assert stand.cache.shelf.memory.reserved_bytes == len(stand.cache.shelf.flights) == 0

    run(main())


def test_off_means_each_for_itself() -> None:
    async def main() -> None:
        stand = Stand(single_flight=False)
        await asyncio.gather(*(stand.ask(STREAMED, LIVE) for _ in range(4)))
        assert stand.num_forwarded == 4

    run(main())


def test_who_is_in_a_hurry_follows_but_is_not_followed() -> None:
    async def main() -> None:
        hurried = Ask(is_stream=True, is_hurried=True)
        for asks, number in (((hurried, STREAMED), 2), ((STREAMED, hurried), 1)):
            stand = Stand()
            all_seen = await asyncio.gather(*(stand.ask(ask, LIVE) for ask in asks))
            assert {seen.body for seen in all_seen} == {WHOLE}
            assert stand.num_forwarded == number

    run(main())


def test_tenants_do_not_follow_each_other() -> None:
    async def main() -> None:
        stand = Stand()
        asks = [Ask(is_stream=True, tenant=tenant) for tenant in ("t", "u") for _ in range(3)]
        await asyncio.gather(*(stand.ask(ask, LIVE) for ask in asks))
        assert stand.num_forwarded == 2

    run(main())


def test_answers_that_say_nothing_yet_are_followed_with_the_kept_fields() -> None:
    async def main() -> None:
        stand = Stand()
        fields = (STREAM, ("Set-Cookie", "a=b"), ("X-Request-Id", "up"), ("Cache-Control", "no-cache"))
        origin = Origin(stream(), fields, delay_s=1.0, gap_s=1.0)
        _, seen = await asyncio.gather(stand.ask(STREAMED, origin), stand.ask(STREAMED))
        assert seen.response is not None
        assert [name.lower() for name, _ in seen.response.fields.raw] == [
            b"content-type",
            b"cache-control",
            b"cache-status",
        ]

    run(main())


def test_fetches_that_can_be_followed_have_a_bound() -> None:
    flights = Flights()
    made = [Flight(Key(number.to_bytes(32, "big"), None, "main"), b"", 1, 0.0) for number in range(MAX_FLIGHTS + 1)]
    for flight in made:
        flights.lead(flight)
    assert len(flights) == MAX_FLIGHTS
    assert (flights.of(made[0].key), flights.of(made[-1].key)) == (made[0], None)
    flights.end(made[-1])
    flights.end(made[0])
    assert len(flights) == MAX_FLIGHTS - 1
