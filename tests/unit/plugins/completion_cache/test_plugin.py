"""What is stored, for whom, and what it is answered with."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.plugins.completion_cache.asked import read_asked
from headgate.proxy.verdicts import Target

from ....virtual_clock import run
from .answers import chat, stream, texts_of
from .stand import Ask, Origin, Stand, streamed


def test_second_request_is_answered_from_memory() -> None:
    async def main() -> None:
        stand = Stand()
        first, second = await stand.ask(Ask()), await stand.ask(Ask())
        assert stand.num_forwarded == 1
        assert first.body == second.body == chat()
        assert first.cache_status == "headgate; fwd=uri-miss; stored"
        assert second.cache_status == "headgate; hit; ttl=3600"
        assert (first.verdict, second.verdict) == ("miss", "hit")

    run(main())


def test_stream_is_replayed_as_one() -> None:
    async def main() -> None:
        stand = Stand()
        first, second = await stand.ask(Ask(is_stream=True)), await stand.ask(Ask(is_stream=True))
        assert stand.num_forwarded == 1
        assert first.body == second.body == b"".join(stream())
        assert second.response is not None and second.response.fields.get("content-type") == "text/event-stream"

    run(main())


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"temperature": 0.7}, "not-repeatable"),
        ({"temperature": None}, "not-repeatable"),
        ({"temperature": False}, "not-repeatable"),
        ({"temperature": 1, "seed": None}, "not-repeatable"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"functions": [{"name": "f"}]}, "tools"),
        ({"store": True}, "stateful"),
        ({"previous_response_id": "r1"}, "stateful"),
        ({"long": "x" * 300_000}, "too-large"),
    ],
)
def test_request_that_is_not_repeatable_is_passed_by(body: dict[str, Any], why: str) -> None:
    async def main() -> None:
        stand = Stand()
        for _ in range(2):
            seen = await stand.ask(Ask(body))
            assert (seen.verdict, seen.cache_status) == ("bypass", f"headgate; fwd=bypass; detail={why}")
        assert stand.num_forwarded == 2

    run(main())


@pytest.mark.parametrize(
    "data", [b"no", b"[]", b'{"a":1,"a":2}', b'{"a":{"b":1,"b":1}}', b'{"a":NaN}', b"\xff{}", b"["]
)
def test_body_that_is_no_sound_object_is_passed_by(data: bytes) -> None:
    async def main() -> None:
        stand = Stand()
        exchange = Ask(options={"when": "always"}).exchange()
        exchange.request.body.replace(data)
        verdict = stand.cache.headgate_cache(exchange)
        assert verdict is not None and not asyncio.iscoroutine(verdict)
        assert verdict.status == "bypass"  # type: ignore[union-attr]

    run(main())


@pytest.mark.parametrize(
    "ask",
    [
        Ask({"temperature": 1, "seed": 4}),
        Ask({"temperature": 0.0}),
        Ask({"temperature": 2}, options={"when": "always"}),
    ],
)
@pytest.mark.parametrize("body", [chat(), b'{"object": "list", "data": [{"embedding": [1]}]}'])
def test_request_that_is_repeatable_is_stored(ask: Ask, body: bytes) -> None:
    async def main() -> None:
        stand = Stand()
        assert [(await stand.ask(ask, Origin((body,)))).verdict for _ in range(2)] == ["miss", "hit"]

    run(main())


BASE = Ask(tenant="t")
OTHERS = [
    Ask(tenant="u"),
    Ask(),
    Ask({"seed": 1}, tenant="t"),
    Ask({"max_tokens": 5}, tenant="t"),
    Ask({"messages": [{"role": "user", "content": "ho"}]}, tenant="t"),
    Ask({"model": "other"}, tenant="t"),
    Ask(tenant="t", model="routed"),
    Ask(tenant="t", route="other"),
    Ask(tenant="t", target="/v1/completions"),
    Ask(tenant="t", groups=((Target("main"),), (Target("second"),))),
    Ask(tenant="t", groups=((Target("main", "m2"),),)),
    Ask(tenant="t", options={"revision": "2"}),
    Ask(tenant="t", fields=(("OpenAI-Beta", "x"),)),
    Ask(tenant="t", fields=(("Authorization", "Bearer left"),)),
    Ask(tenant="t", fields=(("Cookie", "session=1"),)),
]
SAME = [
    Ask({"user": "me", "metadata": {"a": "b"}, "stream": False}, tenant="t"),
    Ask({"stream_options": None, "safety_identifier": "x"}, tenant="t"),
    Ask(tenant="t", fields=(("X-Other", "1"), ("Accept-Encoding", "gzip"))),
]


@pytest.mark.parametrize("ask", OTHERS)
def test_request_that_differs_gets_its_own_answer(ask: Ask) -> None:
    async def main() -> None:
        stand = Stand()
        await stand.ask(BASE)
        assert (await stand.ask(ask)).verdict == "miss"

    run(main())


@pytest.mark.parametrize("ask", SAME)
def test_request_that_says_the_same_gets_the_same(ask: Ask) -> None:
    async def main() -> None:
        stand = Stand()
        await stand.ask(BASE)
        assert (await stand.ask(ask)).verdict == "hit"

    run(main())


def digest_of(value: object) -> bytes:
    exchange = Ask(options={"when": "always"}).exchange()
    options = exchange.route.options["completion_cache"]
    return read_asked(exchange, json.dumps(value).encode(), options, is_shared=False).key.digest


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=4), values, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "c", "messages", "temperature"]), VALUES)


def turned(value: object) -> object:
    """The same value, its members in another order."""
    if isinstance(value, dict):
        return {name: turned(member) for name, member in reversed(value.items())}
    return [turned(each) for each in value] if isinstance(value, list) else value


@given(OBJECTS, OBJECTS)
def test_key_is_that_of_the_value_and_of_no_other(one: dict[str, object], other: dict[str, object]) -> None:
    assert digest_of(one) == digest_of(turned(one))
    is_same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest_of(one) == digest_of(other)) is is_same


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Cookie"])
def test_shared_cache_is_for_all_but_never_crosses_credentials_of_targets(name: str) -> None:
    async def main() -> None:
        stand = Stand(share="all")
        asks = [Ask(tenant="t"), Ask(tenant="u"), *(Ask(fields=((name, value),)) for value in ("a", "b", "a"))]
        assert [(await stand.ask(ask)).verdict for ask in asks] == ["miss", "hit", "miss", "miss", "hit"]

    run(main())


def test_answer_is_given_for_its_time() -> None:
    async def main() -> None:
        stand, ask = Stand(), Ask(options={"ttl": "10s"})
        await stand.ask(ask)
        await asyncio.sleep(9)
        assert (await stand.ask(ask)).cache_status == "headgate; hit; ttl=1"
        await asyncio.sleep(1)
        assert (await stand.ask(ask)).verdict == "miss"

    run(main())


def test_request_may_refuse_what_is_stored() -> None:
    async def main() -> None:
        stand = Stand()
        await stand.ask(Ask())
        new = Origin((chat("new"),))
        passed = await stand.ask(Ask(fields=(("Cache-Control", "no-store"),)), new)
        assert (passed.body, passed.verdict) == (chat("new"), "bypass")
        assert (await stand.ask(Ask())).body == chat()
        renewed = await stand.ask(Ask(fields=(("Cache-Control", "no-cache"),)), new)
        assert renewed.cache_status == "headgate; fwd=request; stored"
        assert (await stand.ask(Ask())).body == chat("new")
        only = Ask({"seed": 9}, fields=(("Cache-Control", "only-if-cached"),))
        assert (await stand.ask(only)).verdict == "only-if-cached"
        assert stand.num_forwarded == 3

    run(main())


def test_renewed_answer_takes_the_place_of_that_in_the_other_form() -> None:
    async def main() -> None:
        stand = Stand()
        await stand.ask(Ask(is_stream=True))
        await stand.ask(Ask(fields=(("Cache-Control", "no-cache"),)), Origin((chat("new"),)))
        seen = await stand.ask(Ask(is_stream=True))
        assert (seen.verdict, texts_of(seen.body)) == ("hit", {0: "new"})

    run(main())


RENEWING = (("Cache-Control", "no-cache"),)


@pytest.mark.parametrize(
    ("renewing", "new"),
    [
        (Ask(fields=RENEWING), Origin((chat("new"),))),
        (Ask(is_stream=True, fields=RENEWING), streamed(*stream("new", has_usage=True))),
    ],
)
def test_answer_asked_for_before_the_stored_one_does_not_take_its_place(renewing: Ask, new: Origin) -> None:
    async def main() -> None:
        stand = Stand()
        under_way = asyncio.create_task(stand.ask(Ask(), Origin(delay_s=2)))
        await asyncio.sleep(1)
        await stand.ask(renewing, new)
        assert (await under_way).body == chat()
        for is_stream in (False, True):
            seen = await stand.ask(Ask(is_stream=is_stream))
            assert seen.verdict == "hit" and b"new" in seen.body and b"hello" not in seen.body

    run(main())


def test_answer_asked_for_after_the_stored_one_takes_its_place() -> None:
    async def main() -> None:
        stand = Stand()
        renewing = asyncio.create_task(stand.ask(Ask(fields=RENEWING), Origin(delay_s=2)))
        await asyncio.sleep(1)
        await stand.ask(Ask(fields=RENEWING), Origin((chat("new"),), delay_s=5))
        await renewing
        assert (await stand.ask(Ask())).body == chat("new")

    run(main())


def test_route_that_does_not_turn_it_on_pays_nothing() -> None:
    async def main() -> None:
        stand = Stand()
        exchange = Ask(options={}).exchange()
        for options in ({}, {"completion_cache": stand.cache.RouteOptions()}):
            exchange.route.options = options
            assert stand.cache.headgate_cache(exchange) is None
        exchange.request.method = "GET"
        exchange.route.options = {"completion_cache": stand.cache.RouteOptions(enabled=True)}
        assert stand.cache.headgate_cache(exchange) is None

    run(main())


def test_older_answer_is_given_where_all_targets_fail() -> None:
    async def main() -> None:
        stand, ask = Stand(), Ask(options={"ttl": "10s", "stale_if_error": "20s"})
        await stand.ask(ask)
        await asyncio.sleep(15)
        for failing in (Origin(end="error"), Origin(status=503), Origin(status=429)):
            seen = await stand.ask(ask, failing)
            assert (seen.body, seen.verdict) == (chat(), "stale")
            assert "detail=stale-if-error" in seen.cache_status
        seen = await stand.ask(Ask(is_stream=True, options=ask.options), Origin(end="error"))
        assert (texts_of(seen.body), seen.verdict) == ({0: "hello you"}, "stale")
        assert (await stand.ask(ask, Origin(status=404))).verdict == "miss"
        await asyncio.sleep(16)
        assert (await stand.ask(ask, Origin(end="error"))).error == "reset"
        assert stand.num_open == 0

    run(main())


def test_newer_answer_replaces_the_older_one() -> None:
    async def main() -> None:
        stand, ask = Stand(), Ask(options={"ttl": "10s", "stale_if_error": "20s"})
        await stand.ask(ask)
        await asyncio.sleep(15)
        seen = await stand.ask(ask, Origin((chat("new"),)))
        assert (seen.body, seen.cache_status) == (chat("new"), "headgate; fwd=stale; stored")
        assert (await stand.ask(ask)).body == chat("new")

    run(main())


def test_what_is_collected_is_not_counted_twice() -> None:
    async def main() -> None:
        stand = Stand(max_bytes=65536, max_entry=16384, eviction="lru")
        for seed in range(4):
            await stand.ask(Ask({"seed": seed}), Origin((chat("x" * 14_500),)))
        assert len(stand.cache.shelf.memory) == 4  # which fit, but not with a fifth of their size

    run(main())


def test_operator_gives_answers_up() -> None:
    async def main() -> None:
        stand = Stand()
        for tenant in ("t", "u"):
            for route in ("main", "other"):
                await stand.ask(Ask(tenant=tenant, route=route))
        assert stand.cache.operate("evict", {"tenant": "t", "route": "main"}) == {"evicted": 1}
        assert stand.cache.operate("evict", {"tenant": "t"}) == {"evicted": 1}
        under_way = asyncio.create_task(stand.ask(Ask(), Origin(delay_s=1)))
        await asyncio.sleep(0.5)
        assert stand.cache.operate("evict", {"all": "true"}) == {"evicted": 2}
        await under_way
        assert len(stand.cache.shelf.memory) == 0
        for wrong in ({}, {"url": "x"}, {"all": "yes"}, {"all": "true", "tenant": "t"}):
            with pytest.raises(ValueError, match="expected"):
                stand.cache.operate("evict", wrong)
        with pytest.raises(ValueError, match="evict"):
            stand.cache.operate("fill", {})

    run(main())
