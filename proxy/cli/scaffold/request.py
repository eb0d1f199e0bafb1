"""A plugin that changes requests."""

from __future__ import annotations

from .kind import Kind

KIND = Kind(
    does="Tells services who asks",
    imports="""\
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.hookspecs import Setup, hookimpl
from headgate.proxy.verdicts import Reject
from pydantic import BaseModel, ConfigDict, Field
""",
    config="""\
        field: str = Field(default="x-tenant", min_length=1, description="Name of the field that services read.")
""",
    options="""\
        is_needed: bool = Field(default=False, description="Whether a request of nobody's is refused.")
""",
    hooks='''\
    def __init__(self, config: Config) -> None:
        self._field = config.field
        self._name = "plugin_name"

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Learn under which name routes set options."""
        self._name = setup.name

    @hookimpl
    def headgate_request(self, exchange: Exchange) -> Reject | None:
        """Set the field to the tenant; what a client wrote there goes in any case."""
        exchange.request.fields.remove(self._field)
        if exchange.identity is not None:
            exchange.request.fields.set(self._field, exchange.identity.tenant)
            return None
        options = exchange.route.options.get(self._name)
        if isinstance(options, Made.RouteOptions) and options.is_needed:
            return Reject("forbidden", "this needs a tenant")
        return None
''',
    stages=("request",),
    settings="{field: x-tenant}",
    test_imports="""\
from headgate.plugins.testing import Fetched, gateway_with, make_exchange, make_plugin, run_stage
from headgate.proxy.verdicts import Identity
""",
    tests="""\
def test_services_are_told_the_tenant() -> None:
    exchange = make_exchange(fields=[("X-Tenant", "forged")], identity=Identity("key", "acme"))
    ran = asyncio.run(run_stage(make_plugin(Made), "request", exchange))
    assert (ran.answer, ran.num_failures) == (None, 0)
    assert exchange.request.fields.get_all("x-tenant") == ["acme"]


def test_a_route_may_need_a_tenant() -> None:
    exchange = make_exchange(options={"plugin_name": Made.RouteOptions(is_needed=True)})
    ran = asyncio.run(run_stage(make_plugin(Made, name="plugin_name"), "request", exchange))
    assert ran.answer.kind == "forbidden"


def test_no_client_names_its_own_tenant() -> None:
    async def main() -> Fetched:
        async with gateway_with({"plugin_name": Made}, CONFIG) as gate:
            return await gate.fetch(fields={"X-Tenant": "forged"})

    assert "x-tenant" not in asyncio.run(main()).json()["fields"]
""",
)
