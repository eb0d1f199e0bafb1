"""`completion_cache` in a gateway that serves."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from openai import AsyncOpenAI

from headgate.plugins.api_key import digest

from ...http_client import Answer, Client, client, fetch
from ...running import WAIT_S, RunningGateway, gateway
from ...unit.plugins.completion_cache.answers import USAGE, chat, chunk, stream
from ...upstream import Call, upstream
from ..proxy.test_health_checks import reload

both_ways = pytest.mark.parametrize("way", ["lane", "reference"])
CHAT = "/v1/chat/completions"
PEPPER = "a pepper of the tests"
MESSAGES: Any = [{"role": "user", "content": "hi"}]
WHOLE = b"".join(stream())


def asking(**more: Any) -> bytes:
    return json.dumps({"model": "m", "temperature": 0, "messages": MESSAGES, **more}).encode()


STREAMED = asking(stream=True)


@contextlib.asynccontextmanager
async def cached(*urls: str, **more: Any) -> AsyncIterator[RunningGateway]:
    options = {"enabled": True, **more.pop("options", {})}
    environment: Any = {
        "PEPPER": PEPPER,
        **({"HEADGATE_NO_LANE": "1"} if more.pop("way", "lane") == "reference" else {}),
    }
    config = {
        "listeners": [{"address": "127.0.0.1:0"}],
        "clusters": {f"t{place}": {"endpoints": [url]} for place, url in enumerate(urls)},
        "plugins": {"completion_cache": more.pop("cache", {}), **more.pop("plugins", {})},
        "stages": {"cache": ["completion_cache"], "response_head": ["completion_cache"], **more.pop("stages", {})},
        "admin": {"address": "127.0.0.1:0"},
        "routes": [
            {
                "name": "chat",
                "match": {"path": CHAT},
                "kind": "inference",
                "targets": [f"t{place}" for place in range(len(urls))],
                "plugins": {"completion_cache": options},
                **more,
            }
        ],
    }
    async with gateway(config, **environment) as gate:
        yield gate


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


async def answer(call: Call) -> None:
    """Answer as a service does: a stream where one is asked for."""
    if json.loads(call.body).get("stream"):
        usage = bool(json.loads(call.body).get("stream_options"))
        await call.send(HEAD + chunked(*stream(has_usage=usage)) + END)
    else:
        await call.answer(chat(), "200 OK", "Content-Type: application/json")


class Steps:
    """A stream that goes on as the test says."""

    def __init__(self, pieces: Sequence[bytes] = stream()) -> None:
        self.pieces = pieces
        self.gates = [asyncio.Event() for _ in pieces]
        self.gone = asyncio.Event()

    async def __call__(self, call: Call) -> None:
        await call.send(HEAD)
        watch = asyncio.create_task(self._watch(call))
        for piece, gate in zip(self.pieces, self.gates, strict=True):
            await gate.wait()
            await call.send(chunked(piece))
        await call.send(END)
        watch.cancel()

    async def _watch(self, call: Call) -> None:
        await call.gone()
        self.gone.set()

    def go(self, number: int | None = None) -> None:
        for gate in self.gates[:number]:
            gate.set()


async def until_events(one: Client, number: int) -> bytes:
    """Read a head and so many events of a stream."""
    async with asyncio.timeout(WAIT_S):
        _, head = await one.head()
        assert b"chunked" in head.lower()
        body = b""
        while body.count(b"\n\n") < number:
            size = int(await one.reader.readuntil(b"\r\n"), 16)
            body += (await one.reader.readexactly(size + 2))[:-2]
    return body


async def until_told(gate: RunningGateway, *, followers: int = 0, gone: int = 0) -> None:
    """Wait until the gateway's metrics tell of so many requests that follow, and fetches without their client."""
    wanted = [f'headgate_completion_cache_flights{{plugin="completion_cache",client="gone"}} {gone}']
    if followers:
        wanted.append(f'headgate_completion_cache_followers{{plugin="completion_cache"}} {followers}')
    async with asyncio.timeout(WAIT_S):
        while True:  # it can only be asked for
            lines = (await fetch_admin(gate)).splitlines()
            if all(line in lines for line in wanted):
                return
            await asyncio.sleep(0.01)


async def fetch_admin(gate: RunningGateway) -> str:
    async with client(gate.admin_port) as connected:
        connected.writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return (await connected.answer("GET")).body.decode()


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
