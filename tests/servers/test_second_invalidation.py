"""What is invalidated at one instance is given by none from the Redis that they share."""

from __future__ import annotations

import asyncio
import random

import pytest

from headgate.plugins.cache.second.scripts import FETCH_S, KEEP, MARK_S
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.verdicts import Miss

from ..unit.plugins.cache.stand import Ask, Origin, exchange_for, look_up
from .running_redis import RunningRedis
from .sharing import instance, stored, turns_until

OTHER = Origin((("Cache-Control", "max-age=60"),), pieces=(b"other",))
NEVER = Origin(end="error")


def test_an_unsafe_request_invalidates_for_all_tenants_and_instances(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url) as other:
            for tenant in ("mine", "theirs"):
                await stored(one, Ask(tenant=tenant), number=1 if tenant == "mine" else 2)
            await other.ask(Ask(method="POST", tenant="mine"), Origin(status=204, pieces=()))
            await other.until("forget", "forgotten")
            async with instance(shared.url) as fourth:
                for tenant in ("mine", "theirs"):
                    assert (await fourth.ask(Ask(tenant=tenant), OTHER)).body == b"other"
            assert (await other.ask(Ask(tenant="theirs"), OTHER)).body == b"other"

    asyncio.run(main())


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize("is_all", [False, True])
def test_an_answer_fetched_while_another_instance_invalidates_is_not_kept(
    shared: RunningRedis, is_known: bool, is_all: bool
) -> None:
    async def main() -> None:
        async with instance(shared.url, is_deaf=True) as one, instance(shared.url) as other:
            if is_known:
                await stored(one, Ask(tenant="somebody"))
            miss = await look_up(one.cache, exchange_for(Ask()))
            assert isinstance(miss, Miss) and miss.store is not None
            if is_all:
                other.cache.operate("evict", {"all": "true"})
            else:
                await other.ask(Ask(method="DELETE"), Origin(status=204, pieces=()))
            await other.until("forget", "forgotten")
            assert miss.store.begin(Response(200, Fields([(b"Cache-Control", b"max-age=60")]), b"hello", 5))
            assert miss.store.write(b"hello")
            miss.store.commit()
            await one.until("keep", "changed")
            assert (await other.ask(Ask(), OTHER)).body == b"other"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("arguments", "is_left"),
    [
        ({"url": "https://origin.test/a"}, True),
        ({"url": "https://origin.test/b", "tenant": "t"}, True),
        ({"prefix": "/b"}, False),
        ({"tenant": "nobody"}, False),
        ({"all": "true"}, False),
    ],
)
def test_an_operators_eviction_reaches_it(shared: RunningRedis, arguments: dict[str, str], is_left: bool) -> None:
    """What cannot be told from the names empties it."""

    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url) as other:
            await stored(one, Ask(target="/a"))
            await stored(one, Ask(target="/c"), number=2)
            other.cache.operate("evict", arguments)
            await other.until("forget", "forgotten")
            is_a_gone = arguments.get("url", "").endswith("/a") or not is_left
            assert (await other.ask(Ask(target="/a"), OTHER)).body == (b"other" if is_a_gone else b"hello")
            assert (await other.ask(Ask(target="/c"), OTHER)).body == (b"hello" if is_left else b"other")

    asyncio.run(main())


def test_what_proves_wrong_is_forgotten_there_too(shared: RunningRedis) -> None:
    """A HEAD shows that the stored answer is another: the next request must not find it in the second level."""

    async def main() -> None:
        async with instance(shared.url) as one:
            await stored(one)
            head = Ask((("Cache-Control", "no-cache"),), "HEAD")
            await one.ask(head, Origin((("Cache-Control", "max-age=60"), ("ETag", '"v2"')), pieces=(b"other",)))
            await one.until("forget", "forgotten")
            assert (await one.ask(Ask(), OTHER)).body == b"other"

    asyncio.run(main())


def test_a_generation_lives_as_long_as_what_bears_it(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url, keep_stale="0s") as one:
            for number, max_age_s in enumerate((60, 6000, 600), 1):
                origin = Origin((("Cache-Control", f"max-age={max_age_s}"),))
                await stored(one, Ask(tenant=str(number)), origin, number)
            with shared.client() as client:
                (uri,) = client.keys("*:uri:*")
                uri_left_ms = client.pttl(uri)
                left_ms = [client.pttl(name) for name in client.keys("*:key:*")]
                assert len(left_ms) == 3 and 5_900_000 < max(left_ms) <= uri_left_ms
                (everything,) = client.keys("*:all")
                assert client.pttl(everything) == -1

    asyncio.run(main())


@pytest.mark.parametrize(("passed_s", "is_kept"), [(0, True), (FETCH_S - 5, True), (FETCH_S + 5, False), (-5, False)])
def test_an_answer_that_was_asked_for_too_long_ago_is_not_kept(
    shared: RunningRedis, passed_s: int, is_kept: bool
) -> None:
    """It would not be known any more whether its URI was invalidated meanwhile."""
    with shared.client() as client:
        at_s = client.time()[0] - passed_s
        assert client.eval(KEEP, 3, "all", "uri", "key", at_s, "", "", "new", "new", 1000, "value") == is_kept
        assert client.exists("key") == is_kept


def test_an_invalidation_is_known_for_longer_than_an_answer_may_take(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one:
            await one.ask(Ask(method="POST"), Origin(status=204, pieces=()))
            await one.until("forget", "forgotten")
            with shared.client() as client:
                (uri,) = client.keys("*:uri:*")
                assert FETCH_S < client.ttl(uri) <= MARK_S

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_at_once_nobody_is_given_what_was_invalidated_before_it_asked(
    shared: RunningRedis, seed: int
) -> None:
    """Each request is at an instance of its own, with nothing in memory: all that it has not fetched is from Redis."""
    chance = random.Random(seed)
    targets = ("/a", "/b")
    present = dict.fromkeys(targets, 0)  # what the origin answers
    told = dict.fromkeys(targets, 0)  # what it answered at the latest invalidation that Redis has been told of
    num_found = 0
    few = asyncio.Semaphore(8)

    def origin(target: str) -> Origin:
        """Read what is there now; the answer takes a while."""
        body = b"%d" % present[target]
        return Origin((("Cache-Control", "max-age=60"),), pieces=(body,), delay_s=chance.random() * 0.01)

    async def get(target: str) -> None:
        nonlocal num_found
        async with few, instance(shared.url, is_deaf=True) as one:
            at_least = told[target]
            seen = await one.ask(Ask(target=target), lambda _: origin(target))
            assert seen.body is not None and int(seen.body) >= at_least
            num_found += not seen.is_forwarded
            second = one.cache._second
            assert second is not None
            await turns_until(lambda: second._outbox._task is None)

    async def post(target: str) -> None:
        async with few, instance(shared.url, is_deaf=True) as one:
            present[target] += 1
            changed = present[target]
            await one.ask(Ask(method="POST", target=target), Origin(status=204, pieces=()))
            await one.until("forget", "forgotten")
            told[target] = max(told[target], changed)

    async def main() -> None:
        works = [chance.choice((get, get, get, get, post))(chance.choice(targets)) for _ in range(150)]
        await asyncio.gather(*works)

    asyncio.run(main())
    assert num_found > 20
    assert min(told.values()) > 5
