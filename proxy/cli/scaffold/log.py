"""A plugin that sees how exchanges end."""

from __future__ import annotations

from .kind import Kind

KIND = Kind(
    does="Counts the exchanges that took long, and marks their log lines",
    imports="""\
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.hookspecs import Setup, hookimpl
from headgate.proxy.observe.metrics import Counter, Registry
from headgate.proxy.verdicts import Outcome
from pydantic import BaseModel, ConfigDict, Field
""",
    config="""\
        slow_s: float = Field(default=1.0, ge=0, description="From how many seconds on an exchange is slow.")
""",
    options="""\
        slow_s: float | None = Field(default=None, ge=0, description="The same, for this route.")
""",
    hooks='''\
    def __init__(self, config: Config) -> None:
        self._slow_s = config.slow_s
        self._slow = Counter("plugin_name_slow", "Exchanges that took long.", ("route",))
        self._name = "plugin_name"

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Learn under which name routes set options."""
        self._name = setup.name

    @hookimpl
    def headgate_metrics(self, registry: Registry) -> None:
        """Show the counter; one that an earlier instance registered goes on."""
        self._slow = registry.register(self._slow)

    @hookimpl
    def headgate_log(self, exchange: Exchange, outcome: Outcome) -> None:
        """See how long it took."""
        options = exchange.route.options.get(self._name)
        own = options.slow_s if isinstance(options, Made.RouteOptions) else None
        if outcome.duration_s >= (self._slow_s if own is None else own):
            self._slow.add(exchange.route.name)
            exchange.extra["plugin_name"] = "slow"
''',
    stages=("log",),
    settings="{slow_s: 0}",
    test_imports="""\
from headgate.plugins.testing import gateway_with, make_exchange, make_plugin, run_stage
from headgate.proxy.verdicts import Outcome
""",
    tests="""\
def mark(duration_s: float, slow_s: float | None = None) -> str | None:
    plugin = make_plugin(Made, {"slow_s": 2.0}, name="plugin_name")
    exchange = make_exchange(options={"plugin_name": Made.RouteOptions(slow_s=slow_s)})
    outcome = Outcome(200, None, "", None, 1, False, None, 0, 0, duration_s, None, None, None, None, False)
    assert asyncio.run(run_stage(plugin, "log", exchange, outcome)).num_failures == 0
    return exchange.extra.get("plugin_name")


def test_what_took_long_is_marked() -> None:
    assert (mark(1.9), mark(2.0), mark(2.0, 3.0), mark(0.5, 0.4)) == (None, "slow", None, "slow")


def test_it_is_counted_where_metrics_are_shown() -> None:
    async def main() -> str:
        async with gateway_with({"plugin_name": Made}, CONFIG) as gate:
            await gate.fetch()
        return gate.metrics()

    assert 'plugin_name_slow_total{route="main"} 1' in asyncio.run(main())
""",
)
