"""`cache` in a gateway that serves."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from headgate.plugins.api_key import digest, new_key

from ...http_client import Answer, client, fetch
from ...running import WAIT_S, RunningGateway, gateway
from ...upstream import Call, Upstream, upstream
from ..proxy.test_health_checks import reload

PEPPER = "a pepper of the tests"
FRESH = "Cache-Control: max-age=60"
ADMIN = {"address": "127.0.0.1:0", "token": "env:TOKEN", "hosts": ["gate.test"]}
BEARER = "Authorization: Bearer secret-of-the-test"


@contextlib.asynccontextmanager
async def cached(*urls: str, **more: Any) -> AsyncIterator[RunningGateway]:
    config = {
        "listeners": [{"address": "127.0.0.1:0"}],
        "clusters": {f"t{place}": {"endpoints": [url]} for place, url in enumerate(urls)},
        "plugins": {"cache": None, **more.pop("plugins", {})},
        "stages": {"cache": ["cache"], "response_head": ["cache"], **more.pop("stages", {})},
        **({"admin": more.pop("admin")} if "admin" in more else {}),
        "routes": [
            {"name": "all", "match": {"path": "/{*rest}"}, "targets": [f"t{n}" for n in range(len(urls))], **more}
        ],
    }
    async with gateway(config, PEPPER=PEPPER, TOKEN="secret-of-the-test") as gate:
        yield gate


async def fresh(call: Call) -> None:
    await call.answer(b"hello", "200 OK", FRESH, 'ETag: "v1"', "X-Own: 1")


def names(answer: Answer) -> list[str]:
    return [line.partition(b":")[0].decode().lower() for line in answer.head.split(b"\r\n")[1:] if line]


def test_second_request_is_answered_from_memory() -> None:
    async def main() -> tuple[list[Answer], Upstream]:
        async with upstream(fresh) as served, cached(served.url) as gate:
            answers = [await fetch(gate.port, "GET", "/a") for _ in range(3)]
            await gate.until(lambda: len(gate.log()) == 3)
            assert [line["cache"] for line in gate.log()] == ["miss", "hit", "hit"]
            return answers, served

    (first, second, third), served = asyncio.run(main())
    assert len(served.calls) == 1
    assert [answer.body for answer in (first, second, third)] == [b"hello"] * 3
    assert first.field("cache-status") == "headgate; fwd=uri-miss; stored"
    assert (second.field("cache-status") or "").startswith("headgate; hit; ttl=")
    assert (first.field("x-headgate-cache"), second.field("x-headgate-cache")) == ("miss", "hit")
    assert second.field("age") is not None
    assert second.field("x-headgate-target") is None  # no target gave this answer
    assert first.field("x-request-id") != second.field("x-request-id")
    assert len(names(third)) == len(set(names(third)))


def test_head_and_304_are_answered_on_one_connection() -> None:
    async def main() -> tuple[list[Answer], Upstream]:
        async with upstream(fresh) as served, cached(served.url) as gate, client(gate.port) as one:
            wishes = (("GET",), ("HEAD",), ("GET", 'If-None-Match: "v1"'), ("GET",))
            return [await one.request(method, "/a", None, *fields) for method, *fields in wishes], served

    (_, head, unmodified, last), served = asyncio.run(main())
    assert len(served.calls) == 1
    assert (head.status, head.body, head.field("content-length")) == (200, b"", "5")
    assert (unmodified.status, unmodified.body, unmodified.field("etag")) == (304, b"", '"v1"')
    assert last.body == b"hello"


def test_304_does_not_declare_another_length_than_the_200() -> None:
    async def main() -> Answer:
        async with upstream(fresh) as served, cached(served.url) as gate:
            await fetch(gate.port, "GET", "/a")
            return await fetch(gate.port, "GET", "/a", None, 'If-None-Match: "v1"')

    unmodified = asyncio.run(main())
    assert unmodified.status == 304
    assert unmodified.field("content-length") in (None, "5")  # RFC 9110 §8.6


def test_answer_is_not_replaced_by_one_that_was_under_way_before() -> None:
    is_let_go = asyncio.Event()

    async def script(call: Call) -> None:
        name = "".join(call.fields("x-name"))
        if name == "old":
            await is_let_go.wait()
        await call.answer(name.encode(), "200 OK", FRESH)

    async def main() -> None:
        async with upstream(script) as served, cached(served.url) as gate:
            await fetch(gate.port, "GET", "/a")
            anew = "Cache-Control: no-cache"
            under_way = asyncio.create_task(fetch(gate.port, "GET", "/a", None, anew, "X-Name: old"))
            await served.until(lambda: len(served.calls) == 2)
            await fetch(gate.port, "GET", "/a", None, anew, "X-Name: new")
            is_let_go.set()
            assert (await under_way).body == b"old"
            seen = await fetch(gate.port, "GET", "/a")
            assert (seen.field("x-headgate-cache"), seen.body) == ("hit", b"new")

    asyncio.run(main())


def test_tenants_do_not_see_each_others_answers(tmp_path: Path) -> None:
    mine, theirs = new_key("test"), new_key("test")
    keys = [
        {"id": f"{tenant}-1", "tenant": tenant, "digests": [{"digest": digest(key, PEPPER)}]}
        for tenant, key in (("mine", mine), ("theirs", theirs))
    ]
    (tmp_path / "keys.json").write_text(json.dumps({"keys": keys}))

    async def count(call: Call) -> None:
        await call.answer(b"%d" % len(served_calls), "200 OK", FRESH)

    served_calls: list[Call] = []

    async def main() -> list[bytes]:
        async with upstream(count) as served:
            nonlocal served_calls
            served_calls = served.calls
            plugins = {"api_key": {"pepper": "env:PEPPER", "keys_file": str(tmp_path / "keys.json")}}
            async with cached(served.url, plugins=plugins, stages={"auth": ["api_key"]}) as gate:
                who = (mine, theirs, mine, theirs)
                return [(await fetch(gate.port, "GET", "/a", None, f"X-API-Key: {key}")).body for key in who]

    assert asyncio.run(main()) == [b"1", b"2", b"1", b"2"]


def test_answer_cut_anywhere_is_not_stored() -> None:
    whole = f"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{FRESH}\r\n\r\nhello".encode()
    chunked = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{FRESH}\r\n\r\n5\r\nhello\r\n0\r\n\r\n".encode()
    cuts = [(answer, end) for answer in (whole, chunked) for end in range(answer.index(b"\r\n\r\n"), len(answer))]

    async def cut(call: Call) -> None:
        place = int(call.line.split()[1].removeprefix("/"))
        answer, end = cuts[place]
        await call.send(answer if "again" in call.fields("x-turn") else answer[:end])
        if "again" not in call.fields("x-turn"):
            call.writer.close()

    async def main() -> None:
        async with upstream(cut) as served, cached(served.url, retry={"on": []}) as gate:
            for place in range(len(cuts)):
                await fetch(gate.port, "GET", f"/{place}")
                again = await fetch(gate.port, "GET", f"/{place}", None, "X-Turn: again")
                assert (again.status, again.body, again.field("x-headgate-cache")) == (200, b"hello", "miss"), cuts[
                    place
                ]

    asyncio.run(main())


def test_answer_of_a_fallback_is_not_stored() -> None:
    async def failing(call: Call) -> None:
        await call.answer(b"no", "503 Service Unavailable")

    async def main() -> list[str | None]:
        async with upstream(failing) as first, upstream(fresh) as second, cached(first.url, second.url) as gate:
            answers = [await fetch(gate.port, "GET", "/a") for _ in range(2)]
            assert [answer.body for answer in answers] == [b"hello"] * 2
            return [answer.field("x-headgate-cache") for answer in answers]

    assert asyncio.run(main()) == ["miss", "miss"]


def test_answers_of_before_a_reload_that_leads_elsewhere_are_given_until_they_are_given_up() -> None:
    async def other(call: Call) -> None:
        await call.answer(b"other", "200 OK", FRESH)

    async def main() -> None:
        async with (
            upstream(fresh) as first,
            upstream(other) as second,
            cached(first.url, second.url, admin=ADMIN, targets=["t0"]) as gate,
        ):

            async def ask() -> tuple[str | None, bytes]:
                seen = await fetch(gate.port, "GET", "/a")
                return seen.field("x-headgate-cache"), seen.body

            assert await ask() == ("miss", b"hello")
            config = json.loads(gate.config_path.read_text())
            config["routes"][0]["targets"] = ["t1"]
            await reload(gate, config, 2)
            assert await ask() == ("hit", b"hello")
            told = await fetch(gate.admin_port, "POST", "/plugins/cache/evict?route=all", None, BEARER)
            assert json.loads(told.body) == {"evicted": 1}
            assert await ask() == ("miss", b"other")
            config["routes"][0] |= {"targets": ["t0"], "name": "all-2"}
            await reload(gate, config, 3)
            assert await ask() == ("miss", b"hello")

    asyncio.run(main())


def test_unsafe_request_removes_what_it_changed() -> None:
    async def main() -> int:
        async with upstream(fresh) as served, cached(served.url, stages={"response_head": []}) as gate:
            for method in ("GET", "GET", "PUT", "GET"):
                await fetch(gate.port, method, "/a", b"new" if method == "PUT" else None)
            return len(served.calls)

    assert asyncio.run(main()) == 3


def test_many_wait_for_one_fetch_even_if_its_client_leaves() -> None:
    async def main() -> None:
        asked, go_on = asyncio.Queue[Call](), asyncio.Event()

        async def slow(call: Call) -> None:
            asked.put_nowait(call)
            if asked.qsize() + gone < 2:
                await call.gone()
                return
            await go_on.wait()
            await fresh(call)

        gone = 0
        async with upstream(slow) as served, cached(served.url) as gate:
            async with client(gate.port) as leader:
                await leader.send("GET", "/a")
                await asyncio.wait_for(asked.get(), WAIT_S)
                followers = [asyncio.create_task(fetch(gate.port, "GET", "/a")) for _ in range(5)]
                gone = 1
            await asyncio.wait_for(asked.get(), WAIT_S)
            go_on.set()
            answers = await asyncio.wait_for(asyncio.gather(*followers), WAIT_S)
            assert [answer.body for answer in answers] == [b"hello"] * 5
            assert len(served.calls) == 2

    asyncio.run(main())


def test_every_answer_says_what_the_cache_did() -> None:
    async def main() -> list[str | None]:
        async with upstream(fresh) as served, cached(served.url) as gate:
            asked = [
                await fetch(gate.port, method, "/a", b"x" if method == "POST" else None, *fields)
                for method, *fields in (("POST",), ("GET", "Range: bytes=0-1"), ("OPTIONS",), ("HEAD",))
            ]
            return [answer.field("cache-status") for answer in asked]

    assert asyncio.run(main()) == [
        "headgate; fwd=method",
        "headgate; fwd=bypass",
        "headgate; fwd=method",
        "headgate; fwd=uri-miss",
    ]


def test_fields_of_one_connection_are_not_stored() -> None:
    async def hopping(call: Call) -> None:
        own = ("Connection: X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic", "X-Kept: 1")
        await call.answer(b"hello", "200 OK", FRESH, *own)

    async def main() -> list[Answer]:
        async with upstream(hopping) as served, cached(served.url) as gate:
            return [await fetch(gate.port, "GET", "/a") for _ in range(2)]

    for answer in asyncio.run(main()):
        assert answer.field("x-kept") == "1"
        assert answer.field("x-hop") is answer.field("keep-alive") is None
    assert answer.field("proxy-authenticate") is None


def test_operator_gives_answers_up() -> None:
    async def main() -> list[Answer]:
        async with upstream(fresh) as served, cached(served.url, admin=ADMIN) as gate:
            for path in ("/a", "/a/b", "/c"):
                await fetch(gate.port, "GET", path)
            calls = [
                await fetch(gate.admin_port, method, f"/plugins/{call}", None, *fields)
                for method, call, *fields in (
                    ("POST", "cache/evict?prefix=/a"),
                    ("GET", "cache/evict?prefix=/a", BEARER),
                    ("POST", "cache/evict", BEARER),
                    ("POST", "none/evict?all=true", BEARER),
                    ("POST", "cache/evict?prefix=/a", BEARER),
                    ("POST", "cache/evict?prefix=/a", BEARER),
                )
            ]
            again = [await fetch(gate.port, "GET", path) for path in ("/a", "/a/b", "/c")]
            assert [answer.field("x-headgate-cache") for answer in again] == ["miss", "miss", "hit"]
            return calls

    refused, wrong_method, unclear, unknown, first, second = asyncio.run(main())
    assert [answer.status for answer in (refused, wrong_method, unclear, unknown)] == [401, 405, 422, 404]
    assert json.loads(unclear.body)["detail"] == "expected at least one of url, prefix, tenant, route, all, got none"
    assert [json.loads(answer.body) for answer in (first, second)] == [{"evicted": 2}, {"evicted": 0}]
