"""Many ask for the same answer at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any

import pytest

from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.verdicts import Hit, Miss

from ....virtual_clock import run
from .stand import Ask, Origin, Seen, Stand, exchange_for, look_up

SLOW = Origin(delay_s=1.0)


async def later(delay_s: float, work: Coroutine[Any, Any, Seen]) -> Seen:
    await asyncio.sleep(delay_s)
    return await work


def statuses(all_seen: list[Seen]) -> list[str]:
    return sorted(seen.cache_status for seen in all_seen)


def test_followers_are_answered_from_the_leaders_fetch() -> None:
    async def main() -> None:
        stand = Stand()
        all_seen = await asyncio.gather(*(stand.ask(Ask(), SLOW) for _ in range(50)))
        assert stand.num_forwarded == 1
        assert {seen.body for seen in all_seen} == {b"hello"}
        assert {seen.ended_at for seen in all_seen} == {1.0}
        assert statuses(all_seen) == ["headgate; fwd=uri-miss; collapsed"] * 49 + ["headgate; fwd=uri-miss; stored"]
        assert [seen.verdict for seen in all_seen].count("collapsed") == 49

    run(main())


RENEWING = Ask((("Cache-Control", "no-cache"),))


def coming(body: bytes, **more: Any) -> Origin:
    return Origin(pieces=(body, b"."), **more)


@pytest.mark.parametrize("slow", [coming(b"old", delay_s=3.0), coming(b"old", gap_s=2.0)])
@pytest.mark.parametrize("ask", [RENEWING, Ask()])
def test_answer_asked_for_before_the_stored_one_does_not_take_its_place(ask: Ask, slow: Origin) -> None:
    async def main() -> None:
        stand = Stand(max_wait="1s")
        if ask is RENEWING:
            await stand.ask(Ask())
        under_way = asyncio.create_task(stand.ask(ask, slow))
        await asyncio.sleep(0.5)
        await stand.ask(ask, coming(b"new"))  # by itself: it does not wait, or no longer
        assert (await under_way).body == b"old."
        seen = await stand.ask(Ask())
        assert (seen.verdict, seen.body) == ("hit", b"new.")
        shelf = stand.cache.shelf
        assert (len(shelf.open), len(shelf.flights), shelf.memory.reserved_bytes) == (0, 0, 0)

    run(main())


def test_answer_asked_for_after_the_stored_one_takes_its_place() -> None:
    async def main() -> None:
        stand = Stand()
        await stand.ask(Ask())
        earlier = asyncio.create_task(stand.ask(RENEWING, coming(b"old", delay_s=2.0)))
        await asyncio.sleep(1)
        await stand.ask(RENEWING, coming(b"new", delay_s=5.0))
        await earlier
        assert (await stand.ask(Ask())).body == b"new."

    run(main())


def test_answer_asked_for_before_that_to_other_requests_is_stored_beside_it() -> None:
    async def main() -> None:
        stand, fields = Stand(), (("Cache-Control", "max-age=60"), ("Vary", "X-Kind"))
        one, other = Ask((("X-Kind", "1"),)), Ask((("X-Kind", "2"),))
        await stand.ask(other, Origin(fields))  # it is known from now on what differs
        under_way = asyncio.create_task(stand.ask(one, Origin(fields, pieces=(b"1",), delay_s=2.0)))
        await asyncio.sleep(1)
        await stand.ask(Ask((*other.fields, *RENEWING.fields)), Origin(fields, pieces=(b"2",)))
        await under_way
        assert [(await stand.ask(each)).body for each in (one, other)] == [b"1", b"2"]
        assert stand.num_forwarded == 3

    run(main())


def test_off_means_each_for_itself() -> None:
    async def main() -> None:
        stand = Stand(single_flight=False)
        await asyncio.gather(*(stand.ask(Ask(), SLOW) for _ in range(5)))
        assert stand.num_forwarded == 5

    run(main())


def test_unstorable_head_frees_the_followers_at_once() -> None:
    async def main() -> None:
        stand = Stand()
        origin = Origin((("Cache-Control", "no-store"),), delay_s=1.0, gap_s=100.0)
        await asyncio.gather(*(stand.ask(Ask(), origin) for _ in range(5)))
        assert stand.num_forwarded == 5
        assert asyncio.get_running_loop().time() == 1.0 + 1.0 + 100.0  # not one after the other

    run(main())


def test_remembered_key_is_not_waited_for() -> None:
    async def main() -> None:
        stand = Stand()
        await stand.ask(Ask(), Origin((("Cache-Control", "no-store"),)))
        await asyncio.gather(*(stand.ask(Ask(), SLOW) for _ in range(5)))
        assert (stand.num_forwarded, stand.max_at_once) == (6, 5)
        seen = await stand.ask(Ask())
        assert not seen.is_forwarded  # a mark forbids waiting, not storing

    run(main())


def test_leader_that_leaves_is_followed_by_another() -> None:
    async def main() -> None:
        stand = Stand()
        leader = asyncio.create_task(stand.ask(Ask(), SLOW))
        await asyncio.sleep(0)
        followers = [asyncio.create_task(stand.ask(Ask(), SLOW)) for _ in range(5)]
        await asyncio.sleep(0.5)
        leader.cancel()
        all_seen = await asyncio.gather(*followers)
        assert (stand.num_forwarded, stand.max_at_once) == (2, 1)
        assert {seen.ended_at for seen in all_seen} == {1.5}

    run(main())


def test_failing_origin_is_asked_one_at_a_time() -> None:
    async def main() -> None:
        stand = Stand()
        origin = Origin((), 503, (), delay_s=0.5)
        all_seen = await asyncio.gather(*(stand.ask(Ask(), origin) for _ in range(4)))
        assert (stand.num_forwarded, stand.max_at_once) == (4, 1)
        assert [seen.ended_at for seen in all_seen] == [0.5, 1.0, 1.5, 2.0]

    run(main())


def test_only_who_follows_has_to_wait() -> None:
    async def main() -> None:
        stand = Stand(max_followers=1)

        def ask(*fields: tuple[str, str], **more: Any) -> object:
            return stand.cache.headgate_cache(exchange_for(Ask(fields, **more)))

        led = ask()
        assert isinstance(led, Miss) and led.store is not None
        for alone in (
            ask(target="/b"),
            ask(method="HEAD"),
            ask(("Range", "bytes=0-")),
            ask(method="PUT", body=b"x"),
        ):
            assert isinstance(alone, Miss)
        assert ask(method="OPTIONS") is None
        follows = asyncio.ensure_future(look_up(stand.cache, exchange_for(Ask())))
        await asyncio.sleep(0)
        assert isinstance(ask(), Miss)  # one follower is all there may be
        led.store.begin(Response(200, Fields([(b"Cache-Control", b"max-age=60")]), b"hello"))
        led.store.write(b"hello")
        led.store.commit()
        found = await follows
        assert isinstance(found, Hit) and found.status == "collapsed"
        assert isinstance(ask(), Hit)

    run(main())


@pytest.mark.parametrize("end", ["commit", "discard"])
def test_fetch_may_end_before_a_follower_gets_to_wait(end: str) -> None:
    async def main() -> None:
        stand = Stand()
        led = stand.cache.headgate_cache(exchange_for(Ask()))
        assert isinstance(led, Miss) and led.store is not None
        late = stand.cache.headgate_cache(exchange_for(Ask()))
        assert isinstance(late, Awaitable)
        led.store.begin(Response(200, Fields([(b"Cache-Control", b"max-age=60")]), b""))
        getattr(led.store, end)()
        found = await late
        assert isinstance(found, Hit if end == "commit" else Miss)
        assert asyncio.get_running_loop().time() == 0.0  # it waited for nothing
        if isinstance(found, Miss) and found.store is not None:
            found.store.discard()
        assert len(stand.cache.shelf.flights) == 0

    run(main())


def test_waiting_has_an_end() -> None:
    async def main() -> None:
        stand = Stand(max_wait="2s")
        never = Origin(delay_s=1000.0)
        leader = asyncio.create_task(stand.ask(Ask(), never))
        seen, late = await asyncio.gather(
            later(0.5, stand.ask(Ask(), Origin((), 201))), later(3.0, stand.ask(Ask(), Origin((), 201)))
        )
        assert (seen.status, seen.ended_at) == (201, 2.0)  # counted from the begin of the fetch
        assert (late.status, late.ended_at) == (201, 3.0)  # a fetch that takes so long is not waited for at all
        leader.cancel()

    run(main())


def test_waiting_leaves_half_of_the_time_for_an_own_fetch() -> None:
    async def main() -> None:
        stand = Stand()
        leader = asyncio.create_task(stand.ask(Ask(), Origin(delay_s=1000.0)))
        await asyncio.sleep(0)
        seen = await stand.ask(Ask(deadline_s=1.0), Origin((), 201))
        assert (seen.status, seen.ended_at) == (201, 0.5)
        leader.cancel()

    run(main())


def test_followers_have_a_bound() -> None:
    async def main() -> None:
        stand = Stand(max_followers=3)
        await asyncio.gather(*(stand.ask(Ask(), SLOW) for _ in range(10)))
        assert stand.num_forwarded == 1 + 6

    run(main())


def test_tenants_do_not_wait_for_each_other() -> None:
    async def main() -> None:
        stand = Stand()
        await asyncio.gather(*(stand.ask(Ask(tenant=tenant), SLOW) for tenant in ("t", "u") for _ in range(3)))
        assert (stand.num_forwarded, stand.max_at_once) == (2, 2)

    run(main())


def test_variants_are_fetched_side_by_side_once_vary_is_known() -> None:
    async def main() -> None:
        stand = Stand()
        origin = Origin((("Cache-Control", "max-age=5"), ("Vary", "X-Kind")), delay_s=1.0)
        asks = [Ask((("X-Kind", kind),)) for kind in "abc" for _ in range(3)]
        await stand.ask(asks[0], origin)
        await asyncio.sleep(5)
        await asyncio.gather(*(stand.ask(ask, origin) for ask in asks))
        assert (stand.num_forwarded, stand.max_at_once) == (1 + 3, 3)

    run(main())


def test_variants_that_nobody_knew_of_all_get_their_own() -> None:
    async def main() -> None:
        stand = Stand()
        origin = Origin((("Cache-Control", "max-age=50"), ("Vary", "X-Kind")), delay_s=1.0)
        all_seen = await asyncio.gather(*(stand.ask(Ask((("X-Kind", kind),)), origin) for kind in "aabbcc"))
        assert stand.num_forwarded == 3
        assert max(seen.ended_at for seen in all_seen) == 2.0

    run(main())


def test_conditional_request_follows_but_does_not_lead() -> None:
    async def main() -> None:
        stand = Stand()
        ask = Ask((("If-None-Match", '"v1"'),))
        origin = Origin((("Cache-Control", "max-age=60"), ("ETag", '"v1"')), delay_s=1.0)
        conditional, plain = await asyncio.gather(
            stand.ask(ask, Origin((), 304, (), delay_s=1.0)), stand.ask(Ask(), origin)
        )
        assert (conditional.status, plain.status, stand.num_forwarded) == (304, 200, 2)
        stand = Stand()
        plain, conditional = await asyncio.gather(stand.ask(Ask(), origin), stand.ask(ask, origin))
        assert (conditional.status, conditional.verdict, stand.num_forwarded) == (304, "collapsed", 1)

    run(main())


def test_requests_that_want_a_new_answer_do_not_wait() -> None:
    async def main() -> None:
        stand = Stand()
        await stand.ask(Ask())
        asks = [Ask((("Cache-Control", wish),)) for wish in ("no-cache", "no-store", "max-age=0")]
        await asyncio.sleep(1)
        await asyncio.gather(*(stand.ask(ask, SLOW) for ask in asks))
        assert stand.max_at_once == 3

    run(main())


def test_request_that_wants_a_new_answer_does_not_wait_for_one_asked_for_before() -> None:
    async def main() -> None:
        stand = Stand(max_wait="5s")
        under_way = asyncio.create_task(stand.ask(Ask(), coming(b"old", delay_s=3.0)))
        await asyncio.sleep(0.5)
        begun_at = asyncio.get_running_loop().time()
        assert (await stand.ask(RENEWING, coming(b"new"))).body == b"new."
        assert asyncio.get_running_loop().time() - begun_at < 1
        await under_way
        assert stand.num_forwarded == 2

    run(main())


def test_change_during_the_fetch_sends_a_follower_again() -> None:
    async def main() -> None:
        stand = Stand()
        old, new = Origin(pieces=(b"old",), delay_s=1.0), Origin(pieces=(b"new",), delay_s=1.0)
        leader = asyncio.create_task(stand.ask(Ask(), old))
        await asyncio.sleep(0)
        follower = asyncio.create_task(stand.ask(Ask(), new))
        await asyncio.sleep(0.5)
        await stand.ask(Ask(method="PUT", body=b"new"), Origin((), 204, ()))
        assert ((await leader).body, (await follower).body) == (b"old", b"new")
        assert (await stand.ask(Ask())).body == b"new"

    run(main())
