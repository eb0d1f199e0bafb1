"""Calls the targets of an exchange: the whole list for dispatch, one of them for an aggregate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

from ..ext.head_scan import BodyScan
from ..ext.http1 import ResponseHead
from .courses import plan_of
from .downstream.request_body import RequestBody
from .errors import GatewayError
from .exchange.exchange import Exchange
from .exchange.machine import ExchangeMachine
from .exchange.message import Response, Usage
from .exchange.plan import Plan
from .exchange.progress import Progress
from .exchange.transcript import Transcript
from .forwarded import Origin
from .lane.body import WholeBody
from .outgoing import Outgoing
from .prefill import tokens_allowed
from .record import Record
from .snapshot import RouteProgram
from .upstream.adopted import AdoptedDispatch
from .upstream.cluster import Cluster
from .upstream.dispatch import Dispatch
from .upstream.gate import ClusterGate
from .upstream.work import Served, Work
from .usage import TappedBody, UsageTap
from .verdicts import CHAT_PATH, Target

MAX_CALLS = 64
AnyDispatch = TypeVar("AnyDispatch", bound=Dispatch)


async def no_call(target: Target, body: bytes | None = None) -> Response:
    """Stand for the calls of an exchange that is over. Raises: GatewayError."""
    raise GatewayError("internal", f"expected {target.name} to be called while its exchange is under way")


class TargetCalls:
    """Every upstream call of one exchange. `close` ends those that are still open."""

    __slots__ = (
        "_body",
        "_clusters",
        "_exchange",
        "_is_usage_wanted",
        "_num_choices",
        "_open",
        "_origin",
        "_outgoing",
        "_program",
        "_reading",
        "_style",
        "dispatched",
        "on_interim",
        "record",
    )

    def __init__(
        self,
        exchange: Exchange,
        body: RequestBody,
        record: Record,
        clusters: Mapping[str, Cluster],
        source: tuple[Origin, str],
    ) -> None:
        self._exchange = exchange
        self._body = body
        self.record = record
        self._clusters = clusters
        self._origin, self._style = source
        self._num_choices = 1
        self._is_usage_wanted = False
        self._program: RouteProgram | None = None
        self._outgoing: Outgoing | None = None
        self._open: list[Dispatch] = []
        self._reading = asyncio.Lock()
        self.dispatched: Dispatch | None = None
        self.on_interim: Callable[[ResponseHead], None] | None = None

    def prepare(self, program: RouteProgram, body_scan: BodyScan | None) -> None:
        """Fix what the targets get, after every stage that may change it."""
        self._program = program
        self._outgoing = Outgoing(self._exchange, self._body, self._origin, self._style, body_scan)
        if body_scan is not None:
            self._num_choices, self._is_usage_wanted = body_scan.num_choices, body_scan.is_usage_wanted
        self._exchange.call = self.call

    def apart(self, exchange: Exchange, record: Record) -> TargetCalls:
        """Return the calls of another exchange without a body, which came the same way."""
        return TargetCalls(exchange, WholeBody(0), record, self._clusters, (self._origin, self._style))

    async def dispatch(self, targets: tuple[Target, ...]) -> Response:
        """Try the targets in order. Raises: GatewayError where none answers."""
        if not targets:
            raise GatewayError("route_not_found", f"route {self._exchange.route.name} has no target for this request")
        if self._exchange.is_fallback_off:
            targets = targets[:1]
        return await self._run(targets, self.record.served)

    async def call(self, target: Target, body: bytes | None = None) -> Response:
        """Call one target, for an aggregate; the body of the answer is to be read to its end or closed.

        `body` is sent in place of the client's, by which nothing is continued. What the answer costs is added to what
        the exchange does. Raises: GatewayError.
        """
        if target.cluster not in self._clusters:
            raise GatewayError("internal", f"no cluster is called {target.cluster!r}")
        if len(self._open) >= MAX_CALLS:
            raise GatewayError("overloaded", f"expected at most {MAX_CALLS} calls for one request")
        self.record.has_called = True
        async with self._reading:  # calls run side by side, but one of them reads
            await self._body.read(self._program.replay_buffer_bytes if self._program else 0)
        served = Served()
        answer = await self._run((target,), served, is_call=True, body=body)
        if self._exchange.route.is_inference:
            answer.usage = self._usage_of(answer, served)
            self.record.usages.append(answer.usage)
        return answer

    def _usage_of(self, answer: Response, served: Served) -> Usage:
        if served.progress is not None:
            return served.progress.state
        tap = UsageTap(answer.fields.get("content-type") or "")
        if not isinstance(answer.body, bytes):
            answer.body = TappedBody(answer.body, tap)
        return tap

    async def _run(
        self, targets: tuple[Target, ...], served: Served, *, is_call: bool = False, body: bytes | None = None
    ) -> Response:
        program, outgoing = self._program, self._outgoing
        if program is None or outgoing is None:
            raise GatewayError("internal", "targets can be called from the aggregate stage on")
        work = self._work(self._plan(program, targets), targets, served)
        if served.num_attempts:  # asked once more, with the attempts that are left: one at least
            work.plan = replace(work.plan, max_attempts=max(1, work.plan.max_attempts - served.num_attempts))
        if is_call:
            work.request_for = outgoing.request_for_call
        if body is not None:
            work.request_for, work.is_usage_wanted = outgoing.request_with(body), False
            work.plan = replace(work.plan, prefills=())
        return await self._opened(Dispatch(work, served)).open()

    def adopt(
        self, plan: Plan, targets: tuple[Target, ...], begun: tuple[ClusterGate, ExchangeMachine]
    ) -> AdoptedDispatch:
        """Return who goes on with the dispatch that somebody else has begun."""
        served = self.record.served
        return self._opened(AdoptedDispatch(self._work(plan, targets, served), served, begun))

    def _opened(self, dispatch: AnyDispatch) -> AnyDispatch:
        self._open.append(dispatch)
        self.dispatched = dispatch
        return dispatch

    def _work(self, plan: Plan, targets: tuple[Target, ...], served: Served) -> Work:
        program, outgoing = self._program, self._outgoing
        if program is None or outgoing is None:
            raise GatewayError("internal", "targets can be called from the aggregate stage on")
        # Of several targets none may speak before it is chosen.
        interim = self.on_interim if len(targets) == 1 and served is self.record.served else None
        return Work(
            plan,
            targets,
            self._clusters,
            outgoing.request_for,
            new_progress=self._progress_of(program, is_told=any(plan.prefills)),
            is_body_whole=self._is_body_whole,
            tokens_allowed=self._tokens_allowed,
            is_usage_wanted=self._is_usage_wanted and program.resume_tries > 0,
            is_hurried=self._exchange.is_hurried,
            on_informational=interim,
        )

    def _plan(self, program: RouteProgram, targets: tuple[Target, ...]) -> Plan:
        request = self._exchange.request
        is_chat = program.view.is_inference and request.path.endswith(CHAT_PATH)
        plan = plan_of(
            program,
            targets,
            self._clusters,
            may_resend=program.may_resend(request.method, request.fields) and not request.is_upgrade,
            is_prefilled=is_chat and self._num_choices <= 1,
        )
        if self._exchange.is_fallback_off:
            plan = replace(plan, is_fallback_allowed=False)
        if request.is_upgrade:
            plan = replace(plan, commit="head", hedge=None, hold=None)
        return plan.at(self._exchange.deadline)

    def _tokens_allowed(self) -> float:
        return tokens_allowed(self._body.replay.joined()) if self._is_body_whole() else 0

    def _progress_of(self, program: RouteProgram, *, is_told: bool) -> Callable[[], Progress] | None:
        """Return what follows an event stream, where the route is about what such a stream says.

        `is_told`: somebody could be told what it said.
        """
        is_inference = program.view.is_inference
        if not is_inference and program.commit == "head":
            return None
        return partial(
            self._new_progress, is_strict=is_inference, is_skipping=program.is_skipping_malformed, is_told=is_told
        )

    def _new_progress(self, *, is_strict: bool, is_skipping: bool, is_told: bool) -> Progress:
        transcript = Transcript() if is_told else None
        return Progress(self._num_choices, is_strict=is_strict, is_skipping=is_skipping, transcript=transcript)

    def _is_body_whole(self) -> bool:
        self._body.take_arrived()  # an attempt that has no connection yet has not asked for it
        return self._body.replay.is_complete and self._body.replay.is_replayable

    @property
    def is_prepared(self) -> bool:
        """Whether it is fixed what the targets get."""
        return self._outgoing is not None

    @property
    def has_called(self) -> bool:
        """Whether any target was asked."""
        return bool(self._open)

    async def close(self) -> None:
        """Abort whatever is still open. Harmless for what has ended."""
        for dispatch in self._open:
            await dispatch.abandon()
