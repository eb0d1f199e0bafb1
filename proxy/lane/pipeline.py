"""The stages of a request, in the order of the reference pipeline, called without a task."""

from __future__ import annotations

from ...ext.head_scan import BodyScan
from ..body_scan import scan
from ..courses import in_order
from ..exchange.message import Response
from ..max_forwards import answer_as_last_hop
from ..outliving import SharedAsk
from ..pipeline import Pipeline
from ..snapshot import RouteProgram
from ..stages import Waiting
from ..targets import TargetCalls
from ..verdicts import Hit, Identity, Miss, Reject
from .body import WholeBody


def is_inline(program: RouteProgram) -> bool:
    """Whether a route's exchanges can be served without a task: nothing of it has to wait but for bytes."""
    chains = program.chains
    is_plain = program.hold is None and program.hedge is None and not chains["event"]
    return is_plain and all(chain.is_inline for chain in chains.values())


async def _known(verdict: Hit | Miss) -> Hit | Miss:
    return verdict


class InlinePipeline(Pipeline):
    """Leads one exchange to its answer, or to its targets."""

    __slots__ = ("_waiting_stage", "body_scan")

    body_scan: BodyScan | None

    def authenticate(self, program: RouteProgram) -> Response | Waiting | None:
        """Ask who it is; return an answer that needs no identity, or what is to be waited for. Raises: GatewayError."""
        self.body_scan = None
        self._waiting_stage = ""
        chain = program.chains["auth"]
        if not chain.is_used:
            return None
        verdict = chain.first_inline(self._exchange)
        return verdict if isinstance(verdict, Waiting) else self._authenticated(program, verdict)

    def known(self, program: RouteProgram, verdict: Identity | Response | Reject | None) -> Response | None:
        """Take the verdict that was waited for; return an answer that needs no identity. Raises: GatewayError."""
        return self._authenticated(program, verdict)

    def answer_now(self, program: RouteProgram, body: WholeBody) -> Response | Waiting | None:
        """Return the answer, or what has to be waited for; None: the targets are to give it. Raises: GatewayError."""
        exchange, chains = self._exchange, program.chains
        reads_model = program.reads_model and not body.is_empty
        if reads_model:
            exchange.body_scan = self.body_scan = scan(body.read_now(program.scan_limit_bytes))
            exchange.model = self.body_scan.model
        if (chain := chains["route"]).is_used:
            self._routed(chain.first_inline(exchange))
        self._authorize(reads_model)
        for verdict in chains["ratelimit"].each_inline(exchange):
            self._admitted(verdict)
        if program.request_edits is not None:
            program.request_edits.apply(exchange.request.fields)
        if (chain := chains["request"]).is_used:
            verdict = chain.first_inline(exchange)
            if isinstance(verdict, Waiting):
                self._waiting_stage = "request"
                return verdict
            self._changed(verdict)
        return self._look_up_now(program)

    def _look_up_now(self, program: RouteProgram) -> Response | Waiting | None:
        own = answer_as_last_hop(self._exchange.request)
        if own is not None or not (chain := program.chains["cache"]).is_used:
            return own
        self._waiting_stage = "cache"
        verdict: Hit | Miss | Waiting | None = chain.first_inline(self._exchange)
        if isinstance(verdict, Miss):
            if verdict.revise is None and verdict.companions is None:
                return self._looked_up(verdict)
            # It has the last word on what the targets say, or that is not for the client alone.
            self._record.keep_store(verdict.store, verdict.companions)  # should the task never begin
            return Waiting(_known(verdict), None)
        if isinstance(verdict, Hit):
            return self._looked_up(verdict) if verdict.behind is None else Waiting(_known(verdict), None)
        return verdict

    def aggregate_now(self, program: RouteProgram) -> Response | Waiting | None:
        """Ask whoever answers in place of the targets. Raises: GatewayError."""
        chain = program.chains["aggregate"]
        if not chain.is_used:
            return None
        self._waiting_stage = "aggregate"
        verdict = chain.first_inline(self._exchange)
        return verdict if isinstance(verdict, Waiting) else self._aggregated(program, verdict)

    async def answer_later(self, waiting: Waiting, calls: TargetCalls) -> Response | SharedAsk:
        """Go on behind a stage of the request, the cache or an aggregate that has to wait."""
        program, body = self.program, self._body
        assert program is not None and isinstance(body, WholeBody)
        self.calls = calls
        if self._waiting_stage == "request":
            self._changed(await waiting)
            return await self._answer_changed(program, self.body_scan, calls)
        if self._waiting_stage == "cache":
            own = self._looked_up(await waiting)
            return own or await self._asked(program, calls, self.rescan(program, body))
        own = self._aggregated(program, await waiting)
        if own is None and not calls.is_prepared:
            calls.prepare(program, self.body_scan)
        return own or await calls.dispatch(in_order(self._exchange.groups))

    def rescan(self, program: RouteProgram, body: WholeBody) -> BodyScan | None:
        """Return what the body says, which a stage may have replaced. Raises: GatewayError."""
        if body.is_replaced:
            self.body_scan = scan(body.read_now(program.scan_limit_bytes)) if program.reads_model else None
        return self.body_scan
