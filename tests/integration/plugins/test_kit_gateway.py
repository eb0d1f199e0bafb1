"""The kit's gateway: plugins that nobody installed, on real sockets."""

from __future__ import annotations

import asyncio
import gc

import pytest
from pydantic import BaseModel, ConfigDict

from headgate.plugins.testing import Fetched, Sent, gateway_with
from headgate.proxy.config.problems import ConfigErrors
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.hookspecs import hookimpl
from headgate.proxy.verdicts import Identity, Reject


class Badge:
    """Admits who shows the word, and marks request and answer."""

    class Config(BaseModel):
        """Settings."""

        model_config = ConfigDict(extra="forbid")
        word: str

    def __init__(self, config: Config) -> None:
        self._word = config.word

    @hookimpl
    def headgate_auth(self, exchange: Exchange) -> Identity | Reject | None:
        return Identity("k", "t") if exchange.request.fields.get("x-word") == self._word else None

    @hookimpl
    def headgate_request(self, exchange: Exchange) -> None:
        exchange.request.fields.set("x-badge", "seen")

    @hookimpl
    def headgate_response_head(self, exchange: Exchange, response: Response) -> None:
        response.fields.set("x-badged", "yes")


SETTINGS = {"badge": {"word": "please"}}


def test_each_stage_of_a_plugin_takes_part() -> None:
    async def main() -> tuple[Fetched, Fetched, int]:
        async with gateway_with({"badge": Badge}, settings=SETTINGS) as gate:
            refused = await gate.fetch("GET", "/a")
            taken = await gate.fetch("POST", "/b?c=d", b"body", {"x-word": "please"})
            assert 'headgate_requests_total{route="main",status="401"} 1' in gate.metrics()
            assert isinstance(gate.plugins["badge"], Badge)
            return refused, taken, len(gate.sent)

    refused, taken, num_sent = asyncio.run(main())
    assert (refused.status, refused.fields["x-badged"], num_sent) == (401, "yes", 1)
    told = taken.json()
    assert (taken.status, taken.fields["x-badged"]) == (200, "yes")
    assert (told["method"], told["target"], told["body"], told["fields"]["x-badge"]) == (
        "POST",
        "/b?c=d",
        "body",
        "seen",
    )


def test_the_origin_answers_as_the_test_says() -> None:
    def origin(sent: Sent) -> Response:
        return Response(404, Fields([(b"X-Kind", b"none"), (b"Content-Length", b"9")]), sent.target.encode())

    async def main() -> Fetched:
        async with gateway_with({"badge": Badge}, settings=SETTINGS, origin=origin) as gate:
            return await gate.fetch("GET", "/gone", fields={"x-word": "please"})

    answer = asyncio.run(main())
    assert (answer.status, answer.fields["x-kind"], answer.body) == (404, "none", b"/gone")


CONFIG = """
listeners: [{address: "0.0.0.0:8080"}]
clusters: {}
plugins: {door: {use: badge, word: open}}
stages: {auth: [door]}
routes: [{name: all, match: {path: "/{*rest}"}, targets: [origin]}]
"""


def test_a_whole_configuration_may_be_given() -> None:
    async def main() -> tuple[int, int]:
        async with gateway_with({"badge": Badge}, CONFIG) as gate:
            assert gate.port != 8080
            return (await gate.fetch()).status, (await gate.fetch(fields={"x-word": "open"})).status

    assert asyncio.run(main()) == (401, 200)


def test_what_the_gateway_refuses_is_refused() -> None:
    async def main() -> None:
        async with gateway_with({"badge": Badge}):
            raise AssertionError("expected a refusal")

    with pytest.raises(ConfigErrors, match="word"):
        asyncio.run(main())


def test_nothing_is_left_over_at_the_end() -> None:
    async def main() -> None:
        before = asyncio.all_tasks()
        async with gateway_with({"badge": Badge}, settings=SETTINGS) as gate:
            await gate.fetch()
        assert asyncio.all_tasks() == before

    asyncio.run(main())
    gc.collect()  # an unclosed socket would warn, which is an error here
