"""`headers` in a gateway that serves: preflights pass without a key, and every answer has its fields."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headgate.plugins.api_key import digest, new_key

from ...http_client import Answer, client, fetch
from ...running import WAYS, gateway
from ...upstream import Call, Upstream, upstream

KEY, PEPPER = new_key("test"), "a pepper of the tests"
APP = "https://app.example"
PREFLIGHT = (f"Origin: {APP}", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization")


async def answer_ok(call: Call) -> None:
    await call.answer(b"ok", "200 OK", "Server: theirs", "Access-Control-Allow-Origin: *")


def config(served: Upstream) -> dict[str, Any]:
    key = {"id": "k", "tenant": "t", "digests": [{"digest": digest(KEY, PEPPER)}]}
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "clusters": {"up": {"endpoints": [served.url]}},
        "plugins": {
            "headers": {"preset": "api", "cors": {"allow_origins": [APP]}},
            "api_key": {"pepper": "env:PEPPER", "inline": [key]},
        },
        "stages": {"auth": ["headers", "api_key"], "response_head": ["headers"]},
        "routes": [
            {"name": "all", "match": {"path": "/{*rest}"}, "targets": ["up"]},
            {
                "name": "open",
                "match": {"path": "/open"},
                "targets": ["up"],
                "stages": {"auth": [], "aggregate": ["headers"]},
            },
        ],
    }


@pytest.mark.parametrize("environment", WAYS.values(), ids=WAYS)
def test_a_page_gets_through_and_no_preflight_reaches_the_service(environment: dict[str, str]) -> None:
    async def main() -> tuple[list[Answer], list[str]]:
        async with (
            upstream(answer_ok) as served,
            gateway(config(served), False, False, PEPPER=PEPPER, **environment) as gate,
            client(gate.port) as page,
        ):
            answers = [
                await page.request("OPTIONS", "/v1/chat", None, *PREFLIGHT),
                await page.request("POST", "/v1/chat", b"{}", f"Origin: {APP}", f"Authorization: Bearer {KEY}"),
                await page.request("GET", "/v1/chat", None, f"Origin: {APP}"),
                await page.request("GET", "/open", None, f"Origin: {APP}"),
                await page.request("OPTIONS", "/open", None, *PREFLIGHT),
                await page.request("OPTIONS", "/open", None),
            ]
            answers.append(await fetch(gate.port, "OPTIONS", "/v1/chat", None))
            await gate.until(lambda: len(gate.log()) == 7)
            assert [line["status"] for line in gate.log()] == [answer.status for answer in answers]
            return answers, [call.line for call in served.calls]

    answers, lines = asyncio.run(main())
    assert [answer.status for answer in answers] == [204, 200, 401, 200, 204, 200, 401]
    assert lines == [f"{line} HTTP/1.1" for line in ("POST /v1/chat", "GET /open", "OPTIONS /open")]
    for answer in answers[:5]:
        assert answer.field("access-control-allow-origin") == APP
    for answer in answers:
        assert answer.field("vary") == "Origin" and answer.field("x-content-type-options") == "nosniff"
        assert answer.field("server") is None
    assert answers[0].field("access-control-allow-headers") == "authorization, content-type"
    assert answers[0].field("access-control-max-age") == "600"
