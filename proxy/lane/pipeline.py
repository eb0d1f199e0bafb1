"""The stages of a request, in the order of the reference pipeline, called without a task."""

from __future__ import annotations

from ...ext.head_scan import BodyScan
from ..body_scan import scan
from ..courses import in_order
from ..exchange.message import Response
from ..max_forwards import answer_as_last_hop
from ..pipeline import Pipeline, rejected
from ..snapshot import RouteProgram
from ..stages import Waiting
from ..targets import TargetCalls
from ..verdicts import Hit, Miss
from .body import WholeBody


def is_inline(program: RouteProgram) -> bool:
    """Whether a route's exchanges can be served without a task: nothing of it has to wait but for bytes."""
    chains = program.chains
    is_plain = program.hold is None and program.hedge is None and not chains["event"]
    return is_plain and all(chain.is_inline for chain in chains.values())


def _needs_task(verdict: Hit | Miss | Waiting | None) -> bool:
    """Whether a cache has the last word on what the targets say, or wants something fetched beside its answer."""
    if type(verdict) is Hit:
        return verdict.behind is not None
    return type(verdict) is Miss and verdict.revise is not None


async def _known(verdict: Hit | Miss | None) -> Hit | Miss | None:
    return verdict


class InlinePipeline(Pipeline):
    """Leads one exchange to its answer, or to its targets."""

    __slots__ = ("_is_aggregating", "body_scan")

    body_scan: BodyScan | None

    def authenticate(self, program: RouteProgram) -> None:
        """Ask who it is. Raises: GatewayError."""
        self.body_scan = None
        self._is_aggregating = False
        chain = program.chains["auth"]
        if chain.is_used:
            self._authenticated(program, chain.first_inline(self._exchange))

    def answer_now(self, program: RouteProgram, body: WholeBody) -> Response | Waiting | None:
        """Return the answer, or what has to be waited for; None: the targets are to give it. Raises: GatewayError."""
        exchange, chains = self._exchange, program.chains
        reads_model = program.reads_model and not body.is_empty
        if reads_model:
            self.body_scan = scan(body.read_now(program.scan_limit_bytes))
            exchange.model = self.body_scan.model
        if (chain := chains["route"]).is_used:
            self._routed(chain.first_inline(exchange))
        self._authorize(reads_model)
        for verdict in chains["ratelimit"].each_inline(exchange):
            self._admitted(verdict)
        self._change_request_now(program)
        own = answer_as_last_hop(exchange.request)
        if own is not None or not (chain := chains["cache"]).is_used:
            return own
        verdict = chain.first_inline(exchange)
        if _needs_task(verdict):
            return Waiting(_known(verdict), None)
        return verdict if isinstance(verdict, Waiting) else self._looked_up(verdict)

    def _change_request_now(self, program: RouteProgram) -> None:
        program.request_edits.apply(self._exchange.request.fields)
        if (chain := program.chains["request"]).is_used:
            for verdict in chain.each_inline(self._exchange):
                raise rejected(verdict)

    def aggregate_now(self, program: RouteProgram) -> Response | Waiting | None:
        """Ask whoever answers in place of the targets. Raises: GatewayError."""
        chain = program.chains["aggregate"]
        if not chain.is_used:
            return None
        self._is_aggregating = True
        verdict = chain.first_inline(self._exchange)
        return verdict if isinstance(verdict, Waiting) else self._aggregated(program, verdict)

    async def answer_later(self, waiting: Waiting, calls: TargetCalls) -> Response:
        """Go on behind a stage that has to wait: the cache's, or the one that answers in place of the targets."""
        program, body = self.program, self._body
        assert program is not None and isinstance(body, WholeBody)
        if not self._is_aggregating:
            self.calls = calls
            own = self._looked_up(await waiting)
            if own is not None:
                return own
            return await self._asked(program, calls, self.rescan(program, body))
        own = self._aggregated(program, await waiting)
        if own is None and not calls.is_prepared:
            calls.prepare(program, self.body_scan)
        return own or await calls.dispatch(in_order(self._exchange.groups))

    def rescan(self, program: RouteProgram, body: WholeBody) -> BodyScan | None:
        """Return what the body says, which a stage may have replaced. Raises: GatewayError."""
        if body.is_replaced:
            self.body_scan = scan(body.read_now(program.scan_limit_bytes)) if program.reads_model else None
        return self.body_scan
