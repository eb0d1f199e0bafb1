"""The plugin as the core sees it."""

from __future__ import annotations

import asyncio
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from headgate.plugins.cache import Cache
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.hooks import load_type
from headgate.proxy.hookspecs import Setup
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.verdicts import Miss, Target

from ....virtual_clock import run
from .stand import Ask, Lines, Origin, Seen, Stand, exchange_for

NO_CACHE = Ask((("Cache-Control", "no-cache"),))


def ask_all(*pairs: tuple[Ask, Origin], **config: Any) -> list[Seen]:
    async def main() -> list[Seen]:
        stand = Stand(**config)
        return [await stand.ask(*pair) for pair in pairs]

    return run(main())


def test_contract_is_kept() -> None:
    kind = load_type("cache", EntryPoint("cache", "headgate.plugins.cache:Cache", "headgate.plugins"))
    assert kind.stages == {"cache", "response_head"}
    assert (kind.config, kind.route_options) == (Cache.Config, Cache.RouteOptions)


@pytest.mark.parametrize(
    ("ask", "origin", "status"),
    [
        (Ask(), Origin(), "headgate; hit; ttl=60"),
        (NO_CACHE, Origin(), "headgate; fwd=request; stored"),
        (Ask(target="/b"), Origin(), "headgate; fwd=uri-miss; stored"),
        (Ask(target="/b"), Origin(()), "headgate; fwd=uri-miss; detail=no-lifetime"),
        (Ask(target="/b"), Origin((("Cache-Control", "public"),)), "headgate; fwd=uri-miss; detail=no-lifetime"),
        (Ask(target="/b"), Origin((("Cache-Control", "max-age=0"),)), "headgate; fwd=uri-miss; detail=stale"),
        (Ask(target="/b"), Origin((("Expires", "0"),)), "headgate; fwd=uri-miss; detail=stale"),
        (
            Ask(target="/b"),
            Origin((("Cache-Control", "max-age=9"), ("Age", "9"))),
            "headgate; fwd=uri-miss; detail=stale",
        ),
        (Ask(target="/b"), Origin(status=201), "headgate; fwd=uri-miss; detail=status"),
        (Ask(target="/b"), Origin((), 502, end="error"), "headgate; fwd=uri-miss; detail=no-answer"),
        (Ask((("Range", "bytes=0-"),)), Origin(), "headgate; fwd=bypass"),
        (Ask(body=b"x"), Origin(), "headgate; fwd=bypass"),
        (Ask(method="HEAD", target="/b"), Origin(), "headgate; fwd=uri-miss"),
        (Ask((("Cache-Control", "only-if-cached"),), target="/b"), Origin(), "headgate; detail=only-if-cached"),
        (Ask(method="POST", body=b"x"), Origin(), "headgate; fwd=method"),
        (Ask(method="OPTIONS"), Origin(), "headgate; fwd=method"),
    ],
)
def test_cache_status_says_what_happened(ask: Ask, origin: Origin, status: str) -> None:
    assert ask_all((Ask(), Origin()), (ask, origin))[-1].cache_status == status


def test_cache_status_names_stale_and_vary() -> None:
    async def main() -> None:
        stand = Stand()
        varying = Origin((("Cache-Control", "max-age=10"), ("Vary", "X-Kind")))
        await stand.ask(Ask(), varying)
        seen = await stand.ask(Ask((("X-Kind", "a"),)), varying)
        assert seen.cache_status == "headgate; fwd=vary-miss; stored"
        await asyncio.sleep(10)
        assert (await stand.ask(Ask(), varying)).cache_status == "headgate; fwd=stale; stored"

    run(main())


def test_cache_status_of_caches_behind_us_stays() -> None:
    origin = Origin((("Cache-Control", "max-age=60"), ("Cache-Status", "inner; hit")))
    first, second = ask_all((Ask(), origin), (Ask(), Origin()))
    assert first.cache_status == "inner; hit, headgate; fwd=uri-miss; stored"
    assert second.cache_status == "inner; hit, headgate; hit; ttl=60"


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/a", b"application/problem+json"),
        ("GET", "/v1/models", b"application/json"),
        ("HEAD", "/a", b"application/problem+json"),
    ],
)
def test_nothing_stored_is_a_504_of_the_usual_shape(method: str, path: str, kind: bytes) -> None:
    (seen,) = ask_all((Ask((("Cache-Control", "only-if-cached"),), method=method, target=path), Origin()))
    assert (seen.status, seen.verdict, seen.is_forwarded) == (504, "only-if-cached", False)
    assert (b"Content-Type", kind) in seen.fields.raw
    assert seen.body is not None
    assert (b"request-1" in seen.body) == (method == "GET")


def test_head_has_the_length_of_the_get() -> None:
    seen = ask_all((Ask(), Origin()), (Ask(method="HEAD"), Origin()))[-1]
    assert (seen.body, seen.response.length) == (b"", 5)


@pytest.mark.parametrize(
    ("options", "origin", "is_hit"),
    [
        ({"enabled": False}, Origin(), False),
        ({"default_ttl": "60s"}, Origin(()), True),
        ({"default_ttl": "60s"}, Origin((), 301), True),
        ({"default_ttl": "60s"}, Origin((), 404), False),
        ({"default_ttl": "60s"}, Origin((), 302), False),
        ({"default_ttl": "60s"}, Origin((("Cache-Control", "max-age=0"),)), False),
        ({"default_ttl": "60s"}, Origin((("Expires", "0"),)), False),
        ({"default_ttl": "60s"}, Origin((("Cache-Control", "no-store"),)), False),
        ({"default_ttl": "60s"}, Origin((("Pragma", "no-cache"),)), False),
        ({"default_ttl": "60s"}, Origin((("Set-Cookie", "a=b"),)), False),
        ({}, Origin(()), False),
    ],
)
def test_route_options(options: dict[str, object], origin: Origin, is_hit: bool) -> None:
    ask = Ask(options={"cache": Cache.RouteOptions.model_validate(options)})
    assert ask_all((ask, origin), (ask, Origin()))[-1].is_forwarded != is_hit


def test_route_without_caching_still_invalidates() -> None:
    off = {"cache": Cache.RouteOptions(enabled=False)}
    put = Ask(method="PUT", route="writes", options=off, body=b"x")
    assert ask_all((Ask(), Origin()), (put, Origin((), 204, ())), (Ask(), Origin()))[-1].is_forwarded


def test_cache_stage_alone_invalidates() -> None:
    async def main() -> None:
        stand = Stand()
        await stand.ask(Ask())
        verdict = stand.cache.headgate_cache(exchange_for(Ask(method="PUT", body=b"x")))
        assert isinstance(verdict, Miss)
        assert verdict.store is not None
        assert verdict.status == "bypass"
        assert not verdict.store.begin(Response(204))
        verdict.store.discard()
        assert (await stand.ask(Ask())).is_forwarded

    run(main())


def test_other_targets_have_other_answers() -> None:
    canary = Ask(groups=((Target("canary"),),))
    assert [seen.is_forwarded for seen in ask_all(*((ask, Origin()) for ask in (Ask(), canary, canary, Ask())))] == [
        True,
        True,
        False,
        False,
    ]


POISONS: list[tuple[str, Lines]] = [
    ("GET", (("X-Http-Method-Override", "DELETE"),)),
    ("GET", (("Host", "evil.test"),)),
    ("GET", (("X-Forwarded-Host", "evil.test"),)),
    ("HEAD", ()),
]


@pytest.mark.parametrize(("method", "fields"), POISONS)
def test_failure_provoked_by_one_client_is_not_kept_for_others(method: str, fields: Lines) -> None:
    poisoned = Origin((("Cache-Control", "max-age=60"),), 500, (b"poison",))
    assert ask_all((Ask(fields, method), poisoned), (Ask(), Origin()))[-1].body == b"hello"


def test_variants_of_a_key_are_bounded() -> None:
    async def main() -> None:
        stand = Stand(max_variants=3)
        for number in range(10):
            origin = Origin((("Cache-Control", "max-age=60"), ("Vary", "X-Kind")))
            await stand.ask(Ask((("X-Kind", str(number)),)), origin)
        assert len(stand.cache.shelf.memory) == 3

    run(main())


def test_budget_is_kept_whatever_comes() -> None:
    async def main() -> None:
        stand = Stand(max_bytes=65536)
        for number in range(60):
            await stand.ask(Ask(target=f"/{number}"), Origin(pieces=(bytes(1000),)))
            assert stand.cache.shelf.memory.used_bytes <= 65536
        assert 10 < len(stand.cache.shelf.memory) < 60
        assert (await stand.ask(Ask(target="/0"))).is_forwarded
        assert not (await stand.ask(Ask(target="/59"))).is_forwarded

    run(main())


def test_new_settings_keep_the_entries() -> None:
    async def main() -> None:
        old = Stand()
        for target in ("/a", "/b"):
            await old.ask(Ask(target=target))
        new = Stand(max_bytes=65536, max_followers=7)
        new.cache.headgate_configure(Setup("cache", old.cache, {}))
        await asyncio.sleep(0)  # by then it is in force
        assert not (await new.ask(Ask())).is_forwarded
        assert (new.cache.shelf.memory.max_bytes, new.cache.shelf.flights.max_followers) == (65536, 7)
        # An unsafe request that began under the old settings still counts.
        await old.ask(Ask(method="PUT", body=b"x"), Origin((), 204, ()))
        assert (await new.ask(Ask())).is_forwarded

    run(main())


def test_new_settings_that_are_refused_change_nothing() -> None:
    async def main() -> None:
        old = Stand(max_bytes=1 << 20, max_followers=5, eviction="lru")
        await old.ask(Ask())
        new = Stand(max_bytes=65536, max_followers=7, eviction="sieve")
        new.cache.headgate_configure(Setup("cache", old.cache, {}))
        new.cache.close()  # in the same turn, as where a plugin behind it is refused
        await asyncio.sleep(0)
        shelf = old.cache.shelf
        assert (shelf.memory.max_bytes, shelf.memory.eviction, shelf.flights.max_followers) == (1 << 20, "lru", 5)

    run(main())


def test_smaller_budget_gives_up_the_least_recently_used() -> None:
    async def main() -> None:
        old = Stand()
        for number in range(100):
            await old.ask(Ask(target=f"/{number}"), Origin(pieces=(bytes(1000),)))
        new = Stand(max_bytes=65536)
        new.cache.headgate_configure(Setup("cache", old.cache, {}))
        await asyncio.sleep(0)  # by then it is in force
        assert new.cache.shelf.memory.used_bytes <= 65536
        assert not (await new.ask(Ask(target="/99"))).is_forwarded

    run(main())


def test_new_settings_change_who_goes_first() -> None:
    async def main() -> None:
        old = Stand(eviction="lru")
        await old.ask(Ask())
        new = Stand(eviction="sieve")
        new.cache.headgate_configure(Setup("cache", old.cache, {}))
        await asyncio.sleep(0)  # by then it is in force
        assert new.cache.shelf.memory.eviction == "sieve"
        assert not (await new.ask(Ask())).is_forwarded

    run(main())


def test_name_in_the_configuration_finds_the_options() -> None:
    async def main() -> None:
        stand = Stand()
        stand.cache.headgate_configure(Setup("pages", None, {}))
        ask = Ask(options={"pages": Cache.RouteOptions(enabled=False)})
        await stand.ask(ask)
        assert (await stand.ask(ask)).is_forwarded

    run(main())


def test_metrics_show_how_full_it_is() -> None:
    async def main() -> None:
        stand = Stand()
        registry = Registry()
        stand.cache.headgate_metrics(registry)
        await stand.ask(Ask())
        await stand.ask(NO_CACHE)
        lines = registry.render().decode().splitlines()
        assert 'headgate_cache_entries{plugin="cache"} 1' in lines
        for reason, count in (("size", 0), ("expired", 0), ("replaced", 1), ("invalidated", 0)):
            assert f'headgate_cache_evicted_entries{{plugin="cache",reason="{reason}"}} {count}' in lines
        assert f'headgate_cache_used_bytes{{plugin="cache"}} {stand.cache.shelf.memory.used_bytes}' in lines

    run(main())


def test_upgrade_is_no_business_of_a_cache() -> None:
    async def main() -> None:
        stand = Stand()
        exchange = exchange_for(Ask())
        exchange.request.is_upgrade = True
        assert stand.cache.headgate_cache(exchange) is None

    run(main())


def test_hits_do_not_share_their_fields() -> None:
    async def main() -> None:
        stand = Stand()
        await stand.ask(Ask())
        first = await stand.ask(Ask())
        first.fields.set("Cache-Control", "changed")
        assert (await stand.ask(Ask())).fields["cache-control"] == "max-age=60"

    run(main())


def test_head_judged_before_others_change_it() -> None:
    async def main() -> None:
        stand = Stand()
        exchange = exchange_for(Ask())
        verdict = stand.cache.headgate_cache(exchange)
        assert isinstance(verdict, Miss)
        assert verdict.store is not None
        response = Response(200, Fields([(b"Cache-Control", b"max-age=60")]), b"hello")
        stand.cache.headgate_response_head(exchange, response)
        response.fields.set("X-Request-Id", "1")
        assert verdict.store.begin(response)
        verdict.store.write(b"hello")
        verdict.store.commit()
        seen = await stand.ask(Ask())
        assert "x-request-id" not in seen.fields
        assert seen.cache_status == "headgate; hit; ttl=60"

    run(main())
