"""A plugin that admits or refuses."""

from __future__ import annotations

from .kind import Kind

KIND = Kind(
    does="Admits so many requests of a caller at once",
    imports="""\
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.hookspecs import Setup, hookimpl
from headgate.proxy.verdicts import Reject, Reservation, Settlement
from pydantic import BaseModel, ConfigDict, Field
""",
    config="""\
        at_once: int = Field(default=8, ge=1, le=10_000, description="Requests of one caller that may run at once.")
""",
    options="""\
        at_once: int | None = Field(default=None, ge=1, le=10_000, description="The same, where this route is asked.")
""",
    hooks='''\
    def __init__(self, config: Config) -> None:
        self._at_once = config.at_once

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Take the table of places, which all workers have in common."""
        self._name = setup.name
        self._slots = setup.slots

    @hookimpl
    def headgate_ratelimit(self, exchange: Exchange) -> Reject | Reservation:
        """Take a place, which is given back when the exchange ends, however it does."""
        options = exchange.route.options.get(self._name)
        own = options.at_once if isinstance(options, Made.RouteOptions) else None
        identity = exchange.identity
        caller = identity.key_id if identity is not None else exchange.request.client
        place = self._slots.take((self._name, caller), self._at_once if own is None else own)
        if place is None:
            return Reject("too_many_parallel", fields=(("Retry-After", "1"),))

        def settle(settlement: Settlement) -> None:
            self._slots.give_back(place)

        return Reservation(settle)
''',
    stages=("ratelimit",),
    settings="{at_once: 8}",
    test_imports="""\
from headgate.plugins.testing import Fetched, gateway_with, make_exchange, make_plugin, run_stage
from headgate.plugins.testing.laws import LimiterMachine
from headgate.proxy.verdicts import Reject
""",
    tests='''\
class Laws(LimiterMachine):
    """What any limiter has to keep."""

    max_at_once = 2

    def make(self) -> Made:
        return make_plugin(Made, {"at_once": 2}, name="plugin_name")


Laws.TestCase.settings = settings(max_examples=30, stateful_step_count=30)
TestLaws = Laws.TestCase


def test_a_route_sets_its_own_limit() -> None:
    plugin = make_plugin(Made, {"at_once": 8}, name="plugin_name")
    options = {"plugin_name": Made.RouteOptions(at_once=1)}
    runs = [asyncio.run(run_stage(plugin, "ratelimit", make_exchange(options=options))) for _ in range(2)]
    assert [isinstance(ran.answer, Reject) for ran in runs] == [False, True]


def test_places_are_given_back() -> None:
    async def main() -> list[Fetched]:
        async with gateway_with({"plugin_name": Made}, CONFIG) as gate:
            return [await gate.fetch() for _ in range(10)]

    assert [answer.status for answer in asyncio.run(main())] == [200] * 10
''',
)
