"""The plugin: which exchanges it answers."""

from __future__ import annotations

from collections.abc import Awaitable

from ...proxy.exchange.exchange import Exchange
from ...proxy.exchange.message import Response
from ...proxy.hookspecs import Setup, hookimpl
from ...proxy.observe.metrics import Counter, Registry
from ...proxy.verdicts import Reject
from .asking import Asking, Counts
from .options import AggregateOptions

_DEFAULTS = AggregateOptions()


class Aggregate:
    """Fans a request out to the route's targets, its branches. Losers are cancelled; no branch outlives the exchange.

    Each branch is one `exchange.call`: with the retries of the route on its own target, and no other target's.
    """

    RouteOptions = AggregateOptions

    def __init__(self) -> None:
        self._name = "aggregate"
        self._counts = Counts(
            Counter("headgate_aggregate_branches_total", "Branches by how they ended", ("route", "branch", "outcome")),
            Counter("headgate_aggregate_judgements_total", "What judges came to", ("route", "result")),
        )

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Learn the name under which routes set options."""
        self._name = setup.name

    @hookimpl
    def headgate_metrics(self, registry: Registry) -> None:
        """Show what is counted."""
        self._counts = Counts(registry.register(self._counts.branches), registry.register(self._counts.judgements))

    @hookimpl
    def headgate_aggregate(self, exchange: Exchange) -> Response | Reject | Awaitable[Response] | None:
        """Ask the targets; None where the route has none, and for what becomes a tunnel."""
        if exchange.request.is_upgrade or not any(exchange.groups):
            return None
        return self._answer(exchange)

    async def _answer(self, exchange: Exchange) -> Response:
        options = exchange.route.options.get(self._name, _DEFAULTS)
        # Read once, before the branches begin: no two of them may wait for the client's body.
        request = await exchange.request.body.read(options.max_body_bytes)
        return await Asking(exchange, options, self._counts).answer(request)
