"""`completion_cache` in a gateway that serves."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from openai import AsyncOpenAI

from headgate.plugins.api_key import digest

from ...http_client import client, fetch
from ...unit.plugins.completion_cache.answers import USAGE, chat
from ...upstream import Call, upstream
from ..proxy.test_health_checks import reload
from .completions_cached import (
    CHAT,
    END,
    MESSAGES,
    PEPPER,
    STREAMED,
    answer,
    asking,
    both_ways,
    cached,
    chunked,
)


@both_ways
def test_hits_in_both_forms_are_read_by_the_openai_client(way: str) -> None:
    async def main() -> None:
        async with upstream(answer) as served, cached(served.url, way=way) as gate:
            api = AsyncOpenAI(base_url=f"http://127.0.0.1:{gate.port}/v1", api_key="none", max_retries=0)
            create = api.chat.completions.create
            about: Any = {"model": "m", "messages": MESSAGES, "temperature": 0}
            for seed, is_stream_first in ((1, True), (2, False)):
                seen = []
                for is_stream in (is_stream_first, not is_stream_first, is_stream_first):
                    if is_stream:
                        options: Any = {"include_usage": True}
                        events = await create(**about, seed=seed, stream=True, stream_options=options)
                        chunks = [chunk async for chunk in events]
                        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
                        ends = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
                        assert chunks[-1].usage is not None
                        seen.append((chunks[0].id, said, ends[-1], chunks[-1].usage.total_tokens))
                    else:
                        whole = await create(**about, seed=seed)
                        choice = whole.choices[0]
                        assert whole.usage is not None
                        seen.append((whole.id, choice.message.content, choice.finish_reason, whole.usage.total_tokens))
                assert seen == [("c1", "hello you", "stop", USAGE["total_tokens"])] * 3
            assert len(served.calls) == 2
            await gate.until(lambda: len(gate.log()) == 6)
            assert [line["cache"] for line in gate.log()] == ["miss", "hit", "hit"] * 2
            await api.close()

    asyncio.run(main())


def test_hit_says_so_and_names_no_target() -> None:
    async def main() -> None:
        async with upstream(answer) as served, cached(served.url) as gate:
            first, second = [await fetch(gate.port, "POST", CHAT, asking()) for _ in range(2)]
            assert (first.body, second.body) == (chat(), chat())
            assert first.field("cache-status") == "headgate; fwd=uri-miss; stored"
            assert (second.field("cache-status") or "").startswith("headgate; hit; ttl=")
            assert (first.field("x-headgate-target"), second.field("x-headgate-target")) == ("t0", None)
            assert served.calls[0].fields("accept-encoding") == ["identity"]

    asyncio.run(main())


def test_fallback_answers_but_is_not_stored() -> None:
    async def failing(call: Call) -> None:
        await call.answer(b"", "503 Service Unavailable")

    async def main() -> None:
        async with (
            upstream(failing) as first,
            upstream(answer) as second,
            cached(first.url, second.url) as gate,
        ):
            for body in (asking(), STREAMED):
                answers = [await fetch(gate.port, "POST", CHAT, body) for _ in range(2)]
                assert [each.field("x-headgate-cache") for each in answers] == ["miss", "miss"]
                assert {each.field("x-headgate-target") for each in answers} == {"t1"}
            assert len(second.calls) == 4

    asyncio.run(main())


@both_ways
def test_older_answer_is_the_last_tier(way: str) -> None:
    is_well = True

    async def script(call: Call) -> None:
        if is_well:
            await answer(call)
        else:
            call.reset()

    async def main() -> None:
        nonlocal is_well
        options = {"ttl": "50ms", "stale_if_error": "1h"}
        async with upstream(script) as served, cached(served.url, way=way, options=options) as gate:
            await fetch(gate.port, "POST", CHAT, asking())
            await asyncio.sleep(0.1)
            is_well = False
            seen = await fetch(gate.port, "POST", CHAT, asking())
            assert (seen.status, seen.body) == (200, chat())
            assert seen.field("x-headgate-cache") == "stale"
            assert "stale-if-error" in (seen.field("cache-status") or "")

    asyncio.run(main())


def test_tenants_have_caches_of_their_own() -> None:
    async def main() -> None:
        inline = [
            {"id": name, "tenant": name, "digests": [{"digest": digest(name, PEPPER)}]} for name in ("mine", "theirs")
        ]
        plugins = {"api_key": {"pepper": "env:PEPPER", "inline": inline}}
        async with (
            upstream(answer) as served,
            cached(served.url, plugins=plugins, stages={"auth": ["api_key"]}) as gate,
        ):
            told = []
            for name in ("mine", "theirs", "mine", "theirs"):
                seen = await fetch(gate.port, "POST", CHAT, asking(), f"Authorization: Bearer {name}")
                told.append(seen.field("x-headgate-cache"))
            assert told == ["miss", "miss", "hit", "hit"]

    asyncio.run(main())


def test_body_in_chunks_is_the_same_request() -> None:
    async def main() -> None:
        async with upstream(answer) as served, cached(served.url) as gate, client(gate.port) as one:
            await fetch(gate.port, "POST", CHAT, asking())
            await one.send("POST", CHAT, None, "Transfer-Encoding: chunked")
            one.writer.write(chunked(asking()[:20], asking()[20:]) + END)
            seen = await one.answer("POST")
            assert (seen.field("x-headgate-cache"), seen.body) == ("hit", chat())
            assert len(served.calls) == 1

    asyncio.run(main())


@both_ways
def test_renewed_answer_is_not_replaced_by_one_that_was_under_way(way: str) -> None:
    is_let_go = asyncio.Event()

    async def script(call: Call) -> None:
        is_new = bool(call.fields("cache-control"))
        if not is_new:
            await is_let_go.wait()
        await call.answer(chat("new" if is_new else "old"), "200 OK", "Content-Type: application/json")

    async def main() -> None:
        async with upstream(script) as served, cached(served.url, way=way) as gate:
            under_way = asyncio.create_task(fetch(gate.port, "POST", CHAT, asking()))
            await served.until(lambda: served.calls)
            await fetch(gate.port, "POST", CHAT, asking(), "Cache-Control: no-cache")
            is_let_go.set()
            assert (await under_way).body == chat("old")
            seen = await fetch(gate.port, "POST", CHAT, asking())
            assert (seen.field("x-headgate-cache"), seen.body) == ("hit", chat("new"))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("order", "posts", "is_page_kept"),
    [
        (["completion_cache", "cache"], ["miss", "hit"], True),
        (["cache", "completion_cache"], ["bypass", "bypass"], False),
    ],
)
def test_order_of_both_caches_says_which_of_them_sees_a_post(
    order: list[str], posts: list[str], is_page_kept: bool
) -> None:
    async def script(call: Call) -> None:
        if call.line.startswith("GET "):
            await call.answer(b"page", "200 OK", "Cache-Control: max-age=60")
        else:
            await answer(call)

    async def main() -> None:
        both = {"plugins": {"cache": {}}, "stages": {"cache": order}}
        async with upstream(script) as served, cached(served.url, **both) as gate:

            async def told(method: str, body: bytes | None = None) -> str | None:
                return (await fetch(gate.port, method, CHAT, body)).field("x-headgate-cache")

            assert [await told("GET"), await told("GET")] == ["miss", "hit"]
            assert [await told("POST", asking()), await told("POST", asking())] == posts
            assert await told("GET") == ("hit" if is_page_kept else "miss")

    asyncio.run(main())


def test_change_of_what_shapes_answers_begins_anew() -> None:
    async def main() -> None:
        async with upstream(answer) as served, cached(served.url) as gate:
            assert (await fetch(gate.port, "POST", CHAT, asking())).field("x-headgate-cache") == "miss"
            config = json.loads(gate.config_path.read_text())
            changes = ({"deadline": "50s"}, "hit"), ({"request_headers": {"set": {"x-own": "1"}}}, "miss")
            for version, (change, wanted) in enumerate(changes, 2):
                config["routes"][0] |= change
                await reload(gate, config, version)
                assert (await fetch(gate.port, "POST", CHAT, asking())).field("x-headgate-cache") == wanted

    asyncio.run(main())
