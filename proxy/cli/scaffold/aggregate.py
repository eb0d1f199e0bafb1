"""A plugin that answers in place of dispatch."""

from __future__ import annotations

from .kind import Kind

KIND = Kind(
    does="Asks every target of the route at once, and tells how each answered",
    imports="""\
import asyncio
import json

from headgate.proxy.errors import GatewayError
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.hookspecs import Setup, hookimpl
from headgate.proxy.verdicts import Target
from pydantic import BaseModel, ConfigDict, Field
""",
    config="""\
        max_body_bytes: int = Field(default=65_536, ge=1, description="The most that is read of each answer.")
""",
    options="""\
        tells_size: bool = Field(default=True, description="Whether the sizes of the answers are told, too.")
""",
    hooks='''\
    def __init__(self, config: Config) -> None:
        self._max_body_bytes = config.max_body_bytes
        self._name = "plugin_name"

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Learn under which name routes set options."""
        self._name = setup.name

    @hookimpl
    async def headgate_aggregate(self, exchange: Exchange) -> Response:
        """Ask all targets; the deadline of the exchange bounds the wait."""
        options = exchange.route.options.get(self._name)
        tells_size = not isinstance(options, Made.RouteOptions) or options.tells_size
        targets = [target for group in exchange.groups for target in group]
        told = await asyncio.gather(*(self._ask(exchange, target, tells_size) for target in targets))
        answered = dict(zip((target.name for target in targets), told, strict=True))
        body = json.dumps(answered).encode()
        return Response(200, Fields([(b"Content-Type", b"application/json")]), body, len(body))

    async def _ask(self, exchange: Exchange, target: Target, tells_size: bool) -> dict[str, int | str]:
        try:
            answer = await exchange.call(target)
            size_bytes = await self._read(answer)
        except GatewayError as error:
            return {"error": error.kind.name}
        return {"status": answer.status, "bytes": size_bytes} if tells_size else {"status": answer.status}

    async def _read(self, answer: Response) -> int:
        """Read a body to its end: its connection is free again only then."""
        if isinstance(answer.body, bytes):
            return len(answer.body)
        size_bytes = 0
        async for piece in answer.body:
            size_bytes += len(piece)
            if size_bytes > self._max_body_bytes:  # the gateway closes what is left open when the exchange ends
                raise GatewayError("answer_too_large", f"more than {self._max_body_bytes} bytes")
        return size_bytes
''',
    stages=("aggregate",),
    settings="{max_body_bytes: 65536}",
    test_imports="""\
from headgate.plugins.testing import Fetched, Sent, gateway_with, make_exchange, make_plugin, run_stage
from headgate.proxy.errors import GatewayError
from headgate.proxy.exchange.message import Response
from headgate.proxy.verdicts import Target
""",
    tests="""\
async def answer(target: Target, body: bytes | None = None) -> Response:
    if target.cluster == "down":
        raise GatewayError("connect_failed")
    return Response(200, body=b"four")


def test_each_target_is_told_of() -> None:
    exchange = make_exchange(groups=((Target("up"),), (Target("down"),)), call=answer)
    ran = asyncio.run(run_stage(make_plugin(Made), "aggregate", exchange))
    assert json.loads(ran.answer.body) == {"up": {"status": 200, "bytes": 4}, "down": {"error": "connect_failed"}}


def test_a_gateway_asks_its_targets() -> None:
    def large(sent: Sent) -> Response:
        return Response(200, body=bytes(100_000))

    async def main() -> tuple[Fetched, Fetched]:
        async with gateway_with({"plugin_name": Made}, CONFIG) as gate:
            good = await gate.fetch()
        async with gateway_with({"plugin_name": Made}, CONFIG, origin=large) as gate:
            return good, await gate.fetch()

    good, too_large = asyncio.run(main())
    assert good.json()["origin"]["status"] == 200
    assert too_large.json() == {"origin": {"error": "answer_too_large"}}
""",
)
