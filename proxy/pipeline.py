"""A request's way: every stage, in the order in which it runs."""

from __future__ import annotations

from collections.abc import Mapping

from ..ext.head_scan import BodyScan
from .behind import fetch_behind
from .body_scan import scan
from .courses import in_order
from .downstream.request_body import RequestBody
from .errors import GatewayError
from .exchange.exchange import Exchange
from .exchange.message import Response
from .exchange.priority import capped
from .http1.fields import end_to_end
from .max_forwards import answer_as_last_hop
from .outliving import SharedAsk
from .record import Record
from .refusal import rejected
from .revising import Revise, revised
from .snapshot import RouteProgram, Snapshot
from .targets import TargetCalls
from .verdicts import Companions, Hit, Identity, Miss, Reject, Reservation, Route


class Pipeline:
    """Leads one exchange to its answer. Every way out that is not an answer is a GatewayError."""

    __slots__ = ("_body", "_companions", "_exchange", "_record", "_revise", "_snapshot", "calls", "program")

    def __init__(self, exchange: Exchange, body: RequestBody, record: Record, snapshot: Snapshot) -> None:
        self._exchange = exchange
        self._body = body
        self._record = record
        self._snapshot = snapshot
        self._revise: Revise | None = None
        self._companions: Companions | None = None
        self.program: RouteProgram | None = None
        self.calls: TargetCalls | None = None

    async def answer(self, calls: TargetCalls) -> Response | SharedAsk:
        """Return the answer, from a cache, a plugin, or the targets; or how to get one that others want, too.

        Raises: GatewayError.
        """
        self.calls = calls
        program = self.matched(*self._snapshot.match(self._exchange.request))
        early = await self._authenticate(program)
        if early is not None:
            return early
        body_scan = await self._read_model(program)
        await self._route(program)
        self._authorize(program.reads_model and not self._body.is_empty)
        await self._admit(program)
        await self._change_request(program)
        return await self._answer_changed(program, body_scan, calls)

    async def _answer_changed(
        self, program: RouteProgram, body_scan: BodyScan | None, calls: TargetCalls
    ) -> Response | SharedAsk:
        """Go on with the request as the targets are to see it. Raises: GatewayError."""
        own = answer_as_last_hop(self._exchange.request) or await self._look_up(program)
        if own is not None:
            return own
        if self._body.is_replaced:
            body_scan = await self._scan_again(program)
        return await self._asked(program, calls, body_scan)

    def matched(self, program: RouteProgram, params: Mapping[str, str]) -> RouteProgram:
        """Begin with the route that was found. Raises: GatewayError for a body that is declared too large for it."""
        exchange, request = self._exchange, self._exchange.request
        self.program = program
        exchange.route = program.view
        exchange.params = params
        exchange.groups = program.view.groups
        until = exchange.now() + program.deadline_s
        exchange.is_hurried = exchange.deadline < until
        exchange.deadline = self._body.deadline = min(exchange.deadline, until)
        if request.is_upgrade and not program.is_websocket_allowed:
            request.is_upgrade = False
        self._body.limit(program.replay_buffer_bytes, program.view.body_limit_bytes)
        return program

    async def _authenticate(self, program: RouteProgram) -> Response | None:
        chain = program.chains["auth"]
        if not chain:
            return None
        return self._authenticated(program, await chain.first(self._exchange))

    def _authenticated(self, program: RouteProgram, verdict: Identity | Response | Reject | None) -> Response | None:
        """Take the verdict; return the answer to what needs no identity. Raises: GatewayError."""
        if isinstance(verdict, Identity):
            self._exchange.identity = verdict
            self._exchange.priority = capped(self._exchange.asked_priority, verdict.max_priority)
            if verdict.may_use_route(program.view.name):
                return None
            raise GatewayError("forbidden", f"identity {verdict.key_id} may not use route {program.view.name}")
        if isinstance(verdict, Response):
            return verdict
        if verdict is not None:
            raise rejected(verdict)
        raise GatewayError(
            "unauthenticated", "no auth plugin knew the credential", fields=((b"WWW-Authenticate", b"Bearer"),)
        )

    async def _read_model(self, program: RouteProgram) -> BodyScan | None:
        if not program.reads_model or self._body.is_empty:
            return None
        body_scan = scan(await self._body.read(program.scan_limit_bytes))
        self._exchange.body_scan = body_scan
        self._exchange.model = body_scan.model
        return body_scan

    async def _scan_again(self, program: RouteProgram) -> BodyScan | None:
        return scan(await self._body.read(program.scan_limit_bytes)) if program.reads_model else None

    async def _route(self, program: RouteProgram) -> None:
        chain = program.chains["route"]
        if not chain:
            return
        self._routed(await chain.first(self._exchange))

    def _routed(self, verdict: Route | Reject | None) -> None:
        if isinstance(verdict, Reject):
            raise rejected(verdict)
        if verdict is not None:
            if verdict.groups is not self._snapshot.models.get(verdict.model or ""):  # those were checked before
                self._snapshot.check_targets(verdict.groups)
            self._exchange.groups = verdict.groups
            self._exchange.model = verdict.model or self._exchange.model

    def _authorize(self, reads_model: bool) -> None:
        identity, model = self._exchange.identity, self._exchange.model
        if identity is None and self.program is not None and self.program.chains["auth"].is_used:  # not to happen
            raise GatewayError("internal", "the request went on without the identity that its route wants")
        if identity is not None and identity.models is not None and model is None and reads_model:
            # Without a name the service would choose, and perhaps one that this identity may not use.
            raise GatewayError("bad_body", "no `model` to check", public="the body must name a `model`")
        if identity is not None and model is not None and not identity.may_use_model(model):
            # Not 403: which models exist is not told to who may not use them.
            raise GatewayError("model_not_found", f"identity {identity.key_id} may not use model {model}")

    async def _admit(self, program: RouteProgram) -> None:
        chain = program.chains["ratelimit"]
        if not chain:
            return
        async for verdict in chain.each(self._exchange):
            self._admitted(verdict)

    def _admitted(self, verdict: Reject | Reservation) -> None:
        if isinstance(verdict, Reject):
            raise rejected(verdict)
        self._record.reserve(verdict)

    async def _change_request(self, program: RouteProgram) -> None:
        fields, edits, chain = self._exchange.request.fields, program.request_edits, program.chains["request"]
        if chain or (edits is not None and edits.set):
            fields.raw = end_to_end(fields.raw)  # first: the client's Connection names its own fields, not what is set
        if edits is not None:
            edits.apply(fields)
        if not chain:
            return
        self._changed(await chain.first(self._exchange))

    def _changed(self, verdict: Reject | None) -> None:
        """Take what came of asking every plugin: only a refusal is an answer, and it ends the stage."""
        if verdict is not None:
            raise rejected(verdict)

    async def _look_up(self, program: RouteProgram) -> Response | None:
        chain = program.chains["cache"]
        if not chain or self._exchange.request.is_upgrade:
            return None
        return self._looked_up(await chain.first(self._exchange))

    def _looked_up(self, verdict: Hit | Miss | None) -> Response | None:
        if verdict is None:
            return None
        self._record.cache_status = verdict.status
        if isinstance(verdict, Hit):
            self._record.is_hit = True
            if verdict.behind is not None and self.calls is not None and self.program is not None:
                fetch_behind(self._snapshot, self.program, self._exchange, self.calls, verdict.behind)
            return verdict.response
        self._record.keep_store(verdict.store, verdict.companions)
        self._revise = verdict.revise
        self._companions = verdict.companions
        return None

    async def _asked(
        self, program: RouteProgram, calls: TargetCalls, body_scan: BodyScan | None
    ) -> Response | SharedAsk:
        """Return what the aggregate stage or the targets answer, or what a cache gives in its place."""

        async def ask() -> Response:
            calls.prepare(program, body_scan)
            return await self._aggregate(program) or await calls.dispatch(in_order(self._exchange.groups))

        async def asked() -> Response:
            return await ask() if self._revise is None else await revised(self._record, self._revise, ask)

        return await asked() if self._companions is None else SharedAsk(self._companions, asked)

    async def _aggregate(self, program: RouteProgram) -> Response | None:
        chain = program.chains["aggregate"]
        if not chain:
            return None
        return self._aggregated(program, await chain.first(self._exchange))

    def _aggregated(self, program: RouteProgram, verdict: Response | Reject | None) -> Response | None:
        if isinstance(verdict, Reject):
            raise rejected(verdict)
        if verdict is None and self.calls is not None and self.calls.has_called:
            self._forbid_second_sending(program)
        return verdict

    def _forbid_second_sending(self, program: RouteProgram) -> None:
        """The stage fails open, but not where a target may have done already what the request asks for."""
        request = self._exchange.request
        if not program.may_resend(request.method, request.fields):
            raise GatewayError("stage_failed", "an aggregate plugin called a target and then gave no answer")
