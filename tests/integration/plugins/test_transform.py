"""`transform` in a gateway that serves: what is set is what targets and clients see, with the lane and without it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ...http_client import Answer, client, fetch
from ...running import WAYS, RunningGateway, gateway, plain
from ...upstream import Call, Upstream, upstream

BOTH_WAYS = pytest.mark.parametrize("way", ["lane", "reference"])
OPTIONS: dict[str, Any] = {
    "path": {"strip_prefix": "/api", "regex": {"match": r"/users/(\d+)", "to": "/u/{1}"}, "prefix": "/v2"},
    "query": {"remove": ["debug"], "set": {"route": "{route}"}},
    "request": {
        "remove": ["x-internal"],
        "rename": {"x-old": "x-new"},
        "set": {"x-team": "red {client}"},
        "append": {"x-trail": "{request_id}"},
    },
    "response": {
        "remove": ["server"],
        "rename": {"x-up": "x-down"},
        "set": {"x-served": "{route}"},
        "append": {"x-from": "gate"},
    },
}


async def show(call: Call) -> None:
    await call.answer(b"fine", "200 OK", "Server: secret", "X-Up: 1", "X-From: target")


@contextlib.asynccontextmanager
async def serving(way: str, options: dict[str, Any] = OPTIONS) -> AsyncIterator[tuple[RunningGateway, Upstream]]:
    environment = WAYS[way]
    async with upstream(show) as target:
        config = {
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {"address": "127.0.0.1:0", "token": "env:TOKEN", "hosts": ["gate.test"]},
            "clusters": {"up": {"endpoints": [target.url]}},
            "plugins": {"transform": {}},
            "routes": [
                {"name": "plain", "match": {"path": "/plain"}, "targets": ["up"]},
                {
                    "name": "api",
                    "match": {"path": "/{*rest}"},
                    "targets": ["up"],
                    "stages": {"request": ["transform"], "response_head": ["transform"]},
                    "plugins": {"transform": options},
                },
            ],
        }
        async with gateway(config, TOKEN="token", **environment) as gate:
            yield gate, target


async def ask(gate: RunningGateway, path: str, *fields: str) -> Answer:
    return await fetch(gate.port, "POST", path, b"{}", "X-Request-Id: r1", *fields)


@BOTH_WAYS
def test_what_is_set_is_what_the_target_and_the_client_see(way: str) -> None:
    async def main() -> None:
        async with serving(way) as (gate, target):
            fields = ("X-Internal: 1", "X-Old: o", "X-New: n", "X-Team: forged", "X-Trail: a")
            for _ in range(2):  # over a new connection to the target, and over a kept one
                answer = await ask(gate, "/api/users/17?debug=1&a=%20", *fields)
                call = target.calls[-1]
                assert call.line == "POST /v2/u/17?a=%20&route=api HTTP/1.1"
                names = ("x-internal", "x-old", "x-new", "x-team", "x-trail")
                seen = [call.fields(name) for name in names]
                assert seen == [[], [], ["o"], ["red 127.0.0.1"], ["a", "r1"]]
                heads = [line for line in answer.head.split(b"\r\n") if line.lower().startswith(b"x-from")]
                assert heads == [b"X-From: target", b"x-from: gate"]
                told = [answer.field(name) for name in ("server", "x-up", "x-down", "x-served")]
                assert told == [None, None, "1", "api"]
            shown = await fetch(gate.admin_port, "GET", "/metrics", None, "Authorization: Bearer token")
            assert (b'headgate_served_total{way="inline"} 2' in shown.body) is (way == "lane")
            config = await fetch(gate.admin_port, "GET", "/config", None, "Authorization: Bearer token")
            assert b"red {client}" in config.body

    asyncio.run(main())


@BOTH_WAYS
def test_a_client_cannot_take_away_what_is_set(way: str) -> None:
    async def main() -> None:
        async with serving(way) as (gate, target):
            await ask(gate, "/api/x", "X-Team: forged", "Connection: keep-alive, x-team, x-trail")
            assert target.calls[0].fields("x-team") == ["red 127.0.0.1"]
            assert target.calls[0].fields("x-trail") == ["r1"]

    asyncio.run(main())


@BOTH_WAYS
def test_a_route_without_it_is_left_alone(way: str) -> None:
    async def main() -> None:
        async with serving(way) as (gate, target):
            answer = await ask(gate, "/plain?debug=1", "X-Internal: 1")
            assert target.calls[0].line == "POST /plain?debug=1 HTTP/1.1"
            assert target.calls[0].fields("x-internal") == ["1"]
            assert (answer.field("server"), answer.field("x-served")) == ("secret", None)

    asyncio.run(main())


@BOTH_WAYS
def test_a_path_that_is_none_once_it_is_rewritten_reaches_nobody(way: str) -> None:
    async def main() -> None:
        async with serving(way, {"path": {"regex": {"match": "/go(.*)", "to": "/{1}"}}}) as (gate, target):
            answer = await ask(gate, "/go/evil.example/x")
            assert (answer.status, target.calls) == (400, [])
            assert (await ask(gate, "/gone")).status == 200
            assert target.calls[0].line == "POST /ne HTTP/1.1"

    asyncio.run(main())


@BOTH_WAYS
def test_errors_of_the_gateway_have_their_fields_changed_too(way: str) -> None:
    async def main() -> None:
        async with serving(way, {**OPTIONS, "path": {"regex": {"match": "/no", "to": "//"}}}) as (gate, _):
            answer = await ask(gate, "/no")
            assert (answer.status, answer.field("x-served")) == (400, "api")

    asyncio.run(main())


@BOTH_WAYS
@pytest.mark.parametrize("kind", ["http", "inference"])
def test_members_of_a_body_are_what_the_target_sees(way: str, kind: str) -> None:
    environment = WAYS[way]
    sent = b'{"model": "m", "user": "forged", "x": 1.00}'
    head = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def main() -> None:
        async with upstream(show) as target:
            route: dict[str, Any] = {
                "kind": kind,
                "stages": {"request": ["transform_body"]},
                "plugins": {"transform_body": {"set": {"user": "u-{route}"}, "max_body": "1KiB"}},
            }
            config = {**plain(target.url, **route), "plugins": {"transform_body": {}}}
            async with gateway(config, **environment) as gate, client(gate.port) as one:
                answers = [await one.request("POST", "/x", sent)]
                one.writer.write(b"%b%x\r\n%b\r\n0\r\n\r\n" % (head, len(sent), sent))
                answers.append(await one.answer("POST"))
                assert [answer.status for answer in answers] == [200, 200]
                wanted = b'{"model":"m","x":1.00,"user":"u-all"}'
                assert [call.body for call in target.calls] == [wanted, wanted]
                assert (await one.request("POST", "/x", b'{"model": "m"')).status == 400
                assert (
                    await fetch(gate.port, "POST", "/x", b'{"model": "m", "a": "%b"}' % (b"a" * 1024))
                ).status == 413
                assert len(target.calls) == 2

    asyncio.run(main())
