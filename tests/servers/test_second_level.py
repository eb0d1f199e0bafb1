"""Instances that share a Redis: what one has stored, another gives, and nothing that it must not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headgate.proxy.hookspecs import Setup

from ..unit.plugins.cache.stand import Ask, Origin
from .running_redis import RunningRedis
from .sharing import PLAIN, Watched, instance, stored

OTHER = Origin((("Cache-Control", "max-age=60"),), pieces=(b"other",))
NEVER = Origin(end="error")


def test_what_one_has_fetched_another_gives_without_asking(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url) as other:
            await stored(one)
            seen = await other.ask(Ask(), NEVER)
            assert (seen.status, seen.body, seen.verdict, other.num_forwarded) == (200, b"hello", "hit", 0)
            assert seen.cache_status.startswith("headgate; hit; ttl=") and seen.cache_status.endswith("; detail=second")
            assert seen.fields.get("etag") == '"v1"'
            again = await other.ask(Ask(), NEVER)  # from its own first level now
            assert "second" not in again.cache_status
            assert other.results == {("look", "hit"): 1}
            assert one.results == {("look", "miss"): 1, ("keep", "kept"): 1}

    asyncio.run(main())


def test_a_condition_of_the_client_is_answered_from_it(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url) as other:
            await stored(one)
            seen = await other.ask(Ask((("If-None-Match", '"v1"'),)), NEVER)
            assert (seen.status, other.num_forwarded) == (304, 0)

    asyncio.run(main())


@pytest.mark.parametrize("ahead_s", [0.0, 10.0])
def test_age_goes_on_from_one_to_the_other(shared: RunningRedis, ahead_s: float) -> None:
    origin = Origin((("Cache-Control", "max-age=60"), ("Age", "7")))

    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url, ahead_s=ahead_s) as other:
            await stored(one, origin=origin)
            age_s = int((await other.ask(Ask(), NEVER)).fields.get("age") or "")
            assert 7 + ahead_s <= age_s <= 7 + ahead_s + 20

    asyncio.run(main())


def test_what_comes_from_the_future_is_not_given(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url, ahead_s=30.0) as one, instance(shared.url) as other:
            await stored(one)
            seen = await other.ask(Ask(), OTHER)
            assert (seen.body, other.results["look", "skewed"]) == (b"other", 1)

    asyncio.run(main())


def test_a_clock_behind_does_not_make_it_younger_than_redis_knows_it(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url) as other:
            await stored(one)
            with shared.client() as client:
                (name,) = client.keys("*:key:*")
                left_ms = client.pttl(name)
                client.pexpire(name, left_ms - 40_000)  # as if it had been there for 40 s
            age_s = int((await other.ask(Ask(), NEVER)).fields.get("age") or "")
            assert age_s >= 40

    asyncio.run(main())


def test_tenants_and_routes_are_kept_apart(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url) as other:
            await stored(one, Ask(tenant="mine"))
            others = [Ask(), Ask(tenant="theirs"), Ask(tenant="mine", route="b"), Ask(tenant="mine", host="b.test")]
            for ask in (*others, Ask(tenant="mine", target="/b"), Ask(tenant="mine", target="/a?")):
                assert (await other.ask(ask, OTHER)).body == b"other"
            assert (await other.ask(Ask(tenant="mine"), NEVER)).body == b"hello"

    asyncio.run(main())


@pytest.mark.parametrize("settings", [{"share": "all"}, {"normalise": []}, {"second_prefix": "else"}])
def test_instances_that_mean_something_else_share_nothing(shared: RunningRedis, settings: dict[str, Any]) -> None:
    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url, **settings) as other:
            await stored(one)
            assert (await other.ask(Ask(), OTHER)).body == b"other"

    asyncio.run(main())


def test_variants_are_found_by_what_they_vary_on(shared: RunningRedis) -> None:
    vary = ("Cache-Control", "max-age=60"), ("Vary", "Accept-Language, X-Own")

    def ask(language: str) -> Ask:
        return Ask((("Accept-Language", language), ("X-Own", "1")))

    async def main() -> None:
        async with instance(shared.url, max_variants=2) as one, instance(shared.url, max_variants=2) as other:
            for number, language in enumerate(("de", "en", "fr"), 1):
                await stored(one, ask(language), Origin(vary, pieces=(language.encode(),)), number)
            assert [(await other.ask(ask(name), NEVER)).body for name in ("fr", "en")] == [b"fr", b"en"]
            assert (await other.ask(Ask((("Accept-Language", "en"), ("X-Own", "2"))), OTHER)).body == b"other"
            with shared.client() as client:
                assert len(client.keys("*:vary:*")) == 2
                assert all(client.pttl(name) > 0 for name in client.keys("*:[kuvl]*"))
        async with instance(shared.url) as third:
            assert (await third.ask(ask("de"), OTHER)).body == b"other"  # the oldest was one too many

    asyncio.run(main())


def test_what_is_no_longer_fresh_is_asked_for_on_a_condition(shared: RunningRedis) -> None:
    origin = Origin((("Cache-Control", "max-age=0"), ("ETag", '"v1"')))
    confirms = Origin((("Cache-Control", "max-age=60"), ("ETag", '"v1"')), 304, ())

    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url) as other, instance(shared.url) as third:
            await stored(one, origin=origin)
            seen = await other.ask(Ask(), confirms)
            assert (seen.status, seen.body, seen.verdict) == (200, b"hello", "revalidated")
            assert seen.sent[0].get("if-none-match") == '"v1"'
            await other.until("keep", "kept")
            assert (await third.ask(Ask(), NEVER)).body == b"hello"  # as it was confirmed

    asyncio.run(main())


def test_nothing_is_kept_that_the_first_level_does_not_keep(shared: RunningRedis) -> None:
    bad = [
        Origin((("Cache-Control", "private, max-age=60"),)),
        Origin((("Cache-Control", "max-age=60"), ("Set-Cookie", "a=b"))),
        Origin(end="cut"),
        Origin(end="fallback"),
        Origin(status=500),
        Origin(pieces=(b"x" * 2000,) * 40),
    ]

    async def main() -> None:
        async with instance(shared.url, max_bytes="1MiB") as one:
            for place, origin in enumerate(bad):
                await one.ask(Ask(target=f"/{place}"), origin)
            await stored(one)  # comes after all of them
            assert one.results["keep", "kept"] == 1
            with shared.client() as client:
                assert len(client.keys("*:key:*")) == 1

    asyncio.run(main())


def test_an_answer_that_is_too_large_for_it_stays_in_the_first_level(shared: RunningRedis) -> None:
    large = Origin(pieces=(b"x" * 60_000,))

    async def main() -> None:
        async with instance(shared.url, second_max_entry="16KiB") as one, instance(shared.url) as other:
            assert (await one.ask(Ask(), large)).status == 200
            await one.until("keep", "too_large")
            assert (await one.ask(Ask(), NEVER)).verdict == "hit"
            await stored(other, origin=large)
        async with instance(shared.url, second_max_entry="16KiB") as third:
            assert (await third.ask(Ask(), OTHER)).body == b"other"
            assert third.results["look", "too_large"] == 1

    asyncio.run(main())


def test_who_asks_for_the_same_looks_once(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url) as other:
            await stored(one)
            all_seen = await asyncio.gather(*(other.ask(Ask(), NEVER) for _ in range(20)))
            assert {seen.body for seen in all_seen} == {b"hello"}
            assert other.results == {("look", "hit"): 1}

    asyncio.run(main())


def test_a_reload_request_is_forwarded_and_renews_what_is_kept(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url) as other, instance(shared.url) as third:
            await stored(one)
            seen = await other.ask(Ask((("Cache-Control", "no-cache"),)), OTHER)
            assert seen.body == b"other"
            await other.until("keep", "kept")
            assert (await third.ask(Ask(), NEVER)).body == b"other"

    asyncio.run(main())


def test_a_reload_goes_on_with_the_same_second_level(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one:
            await stored(one)
            settings = one.cache._config.model_copy(update={"max_wait": 1.0})
            newer = Watched(settings, wall=one.wall)
            newer.headgate_configure(Setup("cache", one.cache, {}))
            assert newer._second is one.cache._second
            old, one.cache = one.cache, newer
            old.close()
            newer.shelf.memory.invalidate(next(iter(newer.shelf.memory)).key.uri)  # of the first level alone
            assert (await one.ask(Ask(), NEVER)).body == b"hello"
            assert newer.results["look", "hit"] == 1
            assert newer.shelf.seconds == [newer._second]

    asyncio.run(main())


def test_a_newer_answer_in_memory_is_not_replaced_by_an_older_one_from_there(shared: RunningRedis) -> None:
    newer = Origin((("Cache-Control", "max-age=60"),), pieces=(b"n" * 3000,))
    reload = Ask((("Cache-Control", "no-cache"),))

    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url, second_max_entry="2KiB") as other:
            await stored(one)
            await other.ask(reload, newer)
            await other.until("keep", "too_large")
            await other.ask(reload, NEVER)
            assert other.results["look", "hit"] == 2
            assert (await other.ask(PLAIN, NEVER)).body == b"n" * 3000

    asyncio.run(main())


def test_a_variant_that_is_stored_again_pushes_no_other_out(shared: RunningRedis) -> None:
    vary = ("Cache-Control", "max-age=60"), ("Vary", "X-Own")

    async def main() -> None:
        async with instance(shared.url, max_variants=2) as one:
            for number, name in enumerate(("a", "b", "b", "b"), 1):
                ask = Ask((("X-Own", name), ("Cache-Control", "no-cache")))
                await stored(one, ask, Origin(vary, pieces=(name.encode(),)), number)
        async with instance(shared.url) as other:
            assert [(await other.ask(Ask((("X-Own", name),)), NEVER)).body for name in ("a", "b")] == [b"a", b"b"]

    asyncio.run(main())


def test_what_is_larger_as_it_is_written_than_in_memory_is_bounded_too(shared: RunningRedis) -> None:
    escaped = Origin((("Cache-Control", "max-age=60"), ("X-Own", "\x80" * 500)))  # six characters each, in JSON

    async def main() -> None:
        async with instance(shared.url, second_max_entry="3KiB") as one:
            await one.ask(PLAIN, escaped)
            assert [entry.size_bytes < 3 * 1024 for entry in one.cache.shelf.memory] == [True]
            await one.until("keep", "too_large")

    asyncio.run(main())


def test_who_follows_a_fetch_that_fails_looks_there_again(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url) as other:
            leading = asyncio.create_task(other.ask(PLAIN, Origin(delay_s=60)))
            following = asyncio.create_task(other.ask(PLAIN, NEVER))
            await other.until("look", "miss")
            await stored(one)
            leading.cancel()
            seen = await following
            assert (seen.body, seen.verdict) == (b"hello", "hit")
            assert seen.cache_status.startswith("headgate; hit; ttl=") and seen.cache_status.endswith("; detail=second")

    asyncio.run(main())


def test_nobody_waits_for_what_answers_the_condition_of_another(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one:
            conditional = asyncio.create_task(one.ask(Ask((("If-None-Match", '"v1"'),)), Origin(delay_s=60)))
            await one.until("look", "miss")
            assert not len(one.cache.shelf.flights)
            assert (await one.ask(PLAIN, OTHER)).verdict == "miss"
            conditional.cancel()
            await asyncio.gather(conditional, return_exceptions=True)

    asyncio.run(main())
