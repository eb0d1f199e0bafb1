"""Serves one request without a task: stages, one attempt, and the answer passed on as it comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...ext.lane import clock, decorate, joined, write_answer
from ..error_answer import error_response
from ..errors import GatewayError
from ..exchange.exchange import Exchange
from ..exchange.message import Response
from ..http1.status import NO_BODY, REASONS
from ..record import Record
from ..snapshot import RouteProgram, Snapshot
from ..stages import Waiting
from ..targets import TargetCalls, no_call
from ..verdicts import Target
from .asking import Asking, answer_early
from .body import WholeBody
from .call import InlineCall
from .pipeline import InlinePipeline
from .takeover import TakenOver

if TYPE_CHECKING:
    from ...ext.lane import Arrived, Downstream
    from .acceptor import LaneAcceptor

_LAST_READ_S = 1.0


class InlineServing:
    """One exchange. Every way out leads through `_end`, or to a task that takes it over and ends it.

    `is_begun`: the answer was begun; its head is written, unless it is `unsent`. `is_finishing`: all of it is written.
    """

    __slots__ = (
        "_calls",
        "_has_ended",
        "_params",
        "acceptor",
        "asking",
        "body",
        "call",
        "connection",
        "context",
        "exchange",
        "is_begun",
        "is_chunked",
        "is_finishing",
        "is_kept",
        "pipeline",
        "program",
        "record",
        "snapshot",
        "unsent",
    )

    def __init__(
        self,
        acceptor: LaneAcceptor,
        connection: Downstream,
        arrived: Arrived,
        snapshot: Snapshot,
        match: tuple[RouteProgram, Mapping[str, str]],
    ) -> None:
        self.acceptor = acceptor
        self.connection = connection
        self.snapshot = snapshot
        self.program, self._params = match
        self.exchange: Exchange = arrived.exchange
        self.record = Record(clock())
        self.body = WholeBody(arrived.length)
        self.exchange.request.body, self.exchange.models = self.body, snapshot.models
        self.pipeline = InlinePipeline(self.exchange, self.body, self.record, snapshot)
        self.asking: Asking | None = None
        self.call: InlineCall | None = None
        self._calls: TargetCalls | None = None  # made for whoever wants to wait
        self.is_begun = self.is_chunked = self.is_finishing = self._has_ended = False
        self.is_kept, self.unsent = arrived.is_kept, b""
        self.context = acceptor.context.copy()  # what its hooks set is of this exchange alone
        snapshot.num_exchanges += 1
        acceptor.gateway.observer.num_inflight += 1

    @property
    def calls(self) -> TargetCalls:
        """The calls of targets by whoever wants to wait for them."""
        if self._calls is None:
            told = (self.acceptor.told_of(self.connection, self.exchange).origin, self.connection.settings.forwarded)
            self._calls = TargetCalls(self.exchange, self.body, self.record, self.snapshot.clusters, told)
        return self._calls

    async def call_target(self, target: Target, body: bytes | None = None) -> Response:
        """Call one target, for an aggregate. Raises: GatewayError."""
        calls = self.pipeline.calls = self.calls
        if not calls.is_prepared:
            calls.prepare(self.program, self.pipeline.body_scan)
        return await calls.call(target, body)

    # -- what the connection tells

    def go(self, body: bytes | None) -> None:
        """Begin, with the body where it is there."""
        self.context.run(self.guarded, self._go, body)

    def _go(self, body: bytes | None) -> None:
        self.acceptor.check_address(self.exchange)
        self.pipeline.matched(self.program, self._params)
        early = self.pipeline.authenticate(self.program)
        if early is not None:
            answer_early(self, early, body)
        elif body is not None:
            self.proceed(body)

    def body_came(self, body: bytes) -> None:
        """The whole body is there."""
        self.context.run(self.guarded, self.proceed, body)

    def guarded(self, step: Callable[..., None], *told: Any) -> None:
        """Take a step; what goes wrong in it ends the exchange."""
        try:
            step(*told)
        except Exception as error:
            self.fail(error)

    def _ask_no_more(self) -> None:
        asking, self.asking = self.asking, None
        if asking is not None:
            asking.cancel()

    def body_late(self) -> None:
        """The client is silent inside its body, or too slow for the deadline."""
        timeout_s = self.connection.settings.body_timeout_s
        self.body.received_bytes = self.connection.received_bytes
        if self.exchange.now() >= self.exchange.deadline:
            error = GatewayError("deadline", "the body was not there in time")
        else:
            error = GatewayError("body_timeout", f"no byte of the body for {timeout_s:g} s")
        self.context.run(self.fail, error)

    @property
    def deadline(self) -> float:
        """When the exchange ends by itself."""
        return self.exchange.deadline

    def expired(self) -> None:
        """The instant has come that somebody waits for."""
        if self.is_finishing:
            self.context.run(self.client_stuck)
        elif self.call is not None:
            self.context.run(self.call.expired)

    def client_gone(self) -> None:
        """The connection is closed."""
        if not self.is_finishing and self.call is not None:
            self.call.abandon()
        self.context.run(self._leave)

    def client_slow(self) -> None:
        """The client takes nothing more for now."""
        if self.call is not None:
            self.call.pause()

    def client_reads(self) -> None:
        """It does again."""
        if self.is_finishing:
            self.context.run(self._end)
        elif self.call is not None:
            self.call.resume()

    def cut(self) -> None:
        """A drain's grace has ended: a task ends an answer that is under way."""
        if self.call is not None and self.call.wire is not None:
            self.context.run(TakenOver.go_on, self, self.call)
        elif self.is_finishing:  # the rest of the drain is for the client to read it
            self.connection.call_serving_at(self.exchange.now() + _LAST_READ_S)
        elif not self.is_begun:
            self.context.run(self.fail, GatewayError("draining", "cut at the end of the grace"))

    # -- stages

    def proceed(self, data: bytes) -> None:
        """Go on with a caller that is known, and the whole body."""
        self.body.complete(data)
        found = self.pipeline.answer_now(self.program, self.body)
        if found is None:
            self.pipeline.rescan(self.program, self.body)
            if self.program.chains["aggregate"].is_used:
                self.exchange.call = self.call_target
                found = self.pipeline.aggregate_now(self.program)
        if found is None:
            self._dispatch()
        elif isinstance(found, Waiting):
            TakenOver.wait(self, found)
        else:
            self.give(found)

    def give(self, found: Response) -> None:
        """Give an answer that no target gave."""
        if isinstance(found.body, bytes) and found.status >= 200 and found.status not in NO_BODY:
            self.record.offer(found)
            self._answer(found, found.body)
        else:
            TakenOver.answer(self, found)

    def _dispatch(self) -> None:
        targets, plan = self.acceptor.course_of(self)
        if not targets:
            raise GatewayError("route_not_found", f"route {self.exchange.route.name} has no target for this request")
        self.call = InlineCall(self, targets, plan)
        self.call.start()

    # -- the answer

    def begin(self, response: Response, length: int | None) -> bytes | None:
        """Return the head of an answer, to be written with the first piece of its body; None: a task is to write it.

        `length` is that of the body, None for one that is chunked. Raises: whatever a field is that cannot be written.
        """
        body, record, program = response.body, self.record, self.program
        if program.response_edits is not None:
            program.response_edits.apply(response.fields)
        if (chain := program.chains["response_head"]).is_used:
            chain.every_inline(self.exchange, response)
        if self.connection.is_last or self.acceptor.gateway.is_draining:
            self.is_kept = False
        self._decorate(response.fields.raw)
        status = response.status
        is_changed = response.body is not body or type(status) is not int or status < 200 or status in NO_BODY
        if is_changed or (record.meters and response.is_whole_events):
            return None  # a stage has changed it, or is to see its events
        reason = response.reason.encode("latin-1") or REASONS.get(status, b"")
        head = write_answer(status, reason, response.fields.raw, length, self.is_kept)
        if head is not None:
            record.status, record.first_byte_at = status, clock()
            self.is_begun, self.is_chunked = True, length is None
        return head

    def _decorate(self, raw: list[tuple[bytes, bytes]]) -> None:
        """Add what every answer carries. Raises: ValueError for a stage's field that is none."""
        record, served = self.record, self.record.served
        date, request_id = self.acceptor.gateway.date(), self.exchange.request_id
        name = served.target.name if served.target is not None else None
        decorate(raw, record.added_fields, date, request_id, name, served.num_attempts, record.cache_status)

    def _answer(self, response: Response, body: bytes) -> None:
        """Give an answer that is whole."""
        if not self.connection.has_body:  # the rest of it is not waited for (RFC 9112 §9.3), nor served
            self.connection.hold_body()
            self.is_kept = False
        if (head := self.begin(response, len(body))) is None:
            TakenOver.relay(self, response)
            return
        self.record.feed(body)
        self.record.sent_bytes = len(body)
        self.connection.transport.write(joined(head, body, False, True))
        self.finish()

    def finish(self) -> None:
        """The whole answer is written. It has ended once the client has read enough of it."""
        self.is_finishing = True
        self.record.is_complete = True
        if self.connection.writing_paused:
            self.connection.call_serving_at(self.exchange.now() + self.connection.settings.write_timeout_s)
        else:
            self._end()

    def fail(self, error: Exception) -> None:
        """Answer with an error; nothing of an answer has been written yet."""
        if self.call is not None:
            self.call.abandon()
        self._ask_no_more()
        if not isinstance(error, GatewayError):
            self.crash(error)
            return
        self.record.error = error
        self.record.drop_store()
        if error.kind.is_closing:
            self.is_kept = False
        response = error_response(error, self.exchange.request_id, self.exchange.request.path)
        assert isinstance(response.body, bytes)
        try:
            self._answer(response, response.body)
        except Exception as fault:  # in the very fields of the answer: nothing can be said any more
            self._give_up(fault)

    def crash(self, error: Exception) -> None:
        """A fault of the gateway itself: answer with an error where nothing was written yet, else end visibly."""
        self.acceptor.gateway.observer.crashed(error)
        if self.call is not None:
            self.call.abandon()
        if not self.is_begun:
            self.fail(GatewayError("internal", repr(error)))
            return
        self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """End without a word, or in the middle of one."""
        self.record.error = GatewayError("internal", repr(error))
        self.record.is_complete = False
        self.connection.reset()
        self._end()

    def client_stuck(self) -> None:
        """The client has read nothing for as long as it may."""
        if self.call is not None:
            self.call.abandon()
        self.connection.reset()
        self._leave("the client did not read on in time")

    def _leave(self, detail: str = "the connection closed") -> None:
        self.record.is_client_gone = True
        self.record.is_complete = False
        self.record.error = GatewayError("client_gone", detail)
        self.is_kept = False
        self._end()

    def _end(self) -> None:
        """Settle what was reserved, tell how the exchange ended, and let the connection go on."""
        if self._has_ended:
            return
        self._has_ended = True
        if self.asking is not None:
            self._ask_no_more()
        record, exchange, observer = self.record, self.exchange, self.acceptor.gateway.observer
        record.received_bytes += self.body.received_bytes
        record.release()
        outcome = record.outcome(clock(), exchange.model, exchange.extra)
        self.left()
        try:
            if (chain := self.program.chains["log"]).is_used:
                chain.every_inline(exchange, outcome)
        finally:
            observer.ended(exchange, outcome, "inline")
            self.untie()
            self.connection.handled(self.is_kept)

    def untie(self) -> None:
        """Let go of what knows this exchange in turn: then it is freed at once, not by the garbage collector."""
        call, self.call = self.call, None
        if call is not None:
            call.answer = None
        self.exchange.call = no_call

    def left(self) -> None:
        """The exchange is over."""
        self.snapshot.num_exchanges -= 1
        self.acceptor.gateway.observer.num_inflight -= 1
