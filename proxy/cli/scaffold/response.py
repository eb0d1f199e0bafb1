"""A plugin that changes the head of answers."""

from __future__ import annotations

from .kind import Kind

KIND = Kind(
    does="Sets fields on every answer that has none of that name",
    imports="""\
from collections.abc import Mapping

from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.message import Response
from headgate.proxy.hookspecs import Setup, hookimpl
from pydantic import BaseModel, ConfigDict, Field
""",
    config="""\
        fields: Mapping[str, str] = Field(
            default={"x-content-type-options": "nosniff"}, max_length=50, description="Fields by name."
        )
""",
    options="""\
        is_off: bool = Field(default=False, description="Whether answers of this route stay as they are.")
""",
    hooks='''\
    def __init__(self, config: Config) -> None:
        self._fields = tuple(config.fields.items())
        self._name = "plugin_name"

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Learn under which name routes set options."""
        self._name = setup.name

    @hookimpl
    def headgate_response_head(self, exchange: Exchange, response: Response) -> None:
        """Add what is not there, whoever gave the answer."""
        options = exchange.route.options.get(self._name)
        if isinstance(options, Made.RouteOptions) and options.is_off:
            return
        for name, value in self._fields:
            if name not in response.fields:
                response.fields.set(name, value)
''',
    stages=("response_head",),
    settings='{fields: {x-frame-options: "DENY"}}',
    test_imports="""\
from headgate.plugins.testing import Fetched, gateway_with, make_exchange, make_plugin, run_stage
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
""",
    tests="""\
def head(*raw: tuple[bytes, bytes], **options: bool) -> Fields:
    plugin = make_plugin(Made, {"fields": {"x-a": "ours"}}, name="plugin_name")
    exchange = make_exchange(options={"plugin_name": Made.RouteOptions.model_validate(options)})
    response = Response(200, Fields(raw))
    assert asyncio.run(run_stage(plugin, "response_head", exchange, response)).num_failures == 0
    return response.fields


def test_what_is_missing_is_added_and_what_is_there_stays() -> None:
    assert head()["x-a"] == "ours"
    assert head((b"X-A", b"theirs")).get_all("x-a") == ["theirs"]
    assert "x-a" not in head(is_off=True)


def test_every_answer_has_the_fields() -> None:
    async def main() -> Fetched:
        async with gateway_with({"plugin_name": Made}, CONFIG) as gate:
            return await gate.fetch()

    assert asyncio.run(main()).fields["x-frame-options"] == "DENY"
""",
)
