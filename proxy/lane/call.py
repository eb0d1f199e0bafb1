"""One attempt at the first target of an exchange, as long as nothing goes wrong with it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ...ext.http1 import ChunkError, ChunkScanner, HeadLimits, LengthScanner
from ...ext.lane import read_answer, write_request
from ..errors import GatewayError
from ..exchange.attempt import Attempt, Phase
from ..exchange.machine import ExchangeMachine
from ..exchange.plan import Plan
from ..upstream.attempt import UpstreamAttempt
from ..upstream.cluster import Member
from ..upstream.codec import ExchangeCodec
from ..upstream.connection import UpstreamConnection
from ..upstream.gate import ClusterGate, Ticket
from ..upstream.wire import Wire
from ..verdicts import Target
from .answer import BUFFERED_BYTES, InlineAnswer
from .connecting import Connecting
from .takeover import TakenOver, response_head

if TYPE_CHECKING:
    from ...ext.lane import AnswerHead
    from .serving import InlineServing

_NO_BYTES = b""


class InlineCall:
    """An attempt whose bytes are passed on at once. What does not go well is taken over by a task, as it stands."""

    __slots__ = (
        "_cluster",
        "_is_paused",
        "_slow_until",
        "answer",
        "attempt",
        "connecting",
        "gate",
        "machine",
        "member",
        "plan",
        "serving",
        "targets",
        "wire",
    )

    def __init__(self, serving: InlineServing, targets: tuple[Target, ...], plan: Plan) -> None:
        self.serving = serving
        self.targets = targets
        self.plan = plan
        self.gate = ClusterGate(targets, serving.snapshot.clusters, is_hurried=serving.exchange.is_hurried)
        self.machine = ExchangeMachine(plan, random.random, self.gate)
        self.attempt: Attempt | None = None
        self.member: Member | None = None
        self.wire: Wire | None = None
        self.connecting: Connecting | None = None
        self.answer: InlineAnswer | None = None
        self._is_paused = False

    def start(self) -> None:
        """Send the request, at once or as soon as there is a connection; a task goes on where it may not begin yet."""
        serving, now = self.serving, self.serving.exchange.now()
        serving.record.served.preferred = self.targets[0]
        command = self.machine.start(now)
        if not isinstance(command, Attempt) or command.at > now or command.target:
            TakenOver.dispatch(serving, self, command)
            return
        self.attempt = command
        self._cluster = serving.snapshot.clusters[self.targets[0].cluster]
        self.member = member = self._cluster.pick((), now)
        request = self._request(member)
        if request is None:
            self._leave_member()
            TakenOver.dispatch(serving, self, command)
            return
        if isinstance(command.ticket, Ticket):
            command.ticket.member = member
        serving.record.served.ends[1] = (self.targets[0].name, "abandoned")  # unless it comes to another end
        wire = member.pool.take_idle(now)
        if wire is None:
            self.connecting = Connecting(self, command, member, request)
        else:
            self._send(command, wire, request)

    def connected(self, attempt: Attempt, wire: Wire, request: list[bytes]) -> None:
        """A connection was waited for, and is there."""
        self.connecting = None
        self.serving.guarded(self._send_first, attempt, wire, request)

    def _send_first(self, attempt: Attempt, wire: Wire, request: list[bytes]) -> None:
        if wire.has_unread:  # what was said before the request is no answer to it
            self._leave_early(wire)
            return
        self._send(attempt, wire, request)
        if not wire.is_open:  # nobody was told
            TakenOver.go_on(self.serving, self)

    def _leave_early(self, wire: Wire) -> None:
        assert self.member is not None
        wire.abort()
        self.member.pool.give_back(wire, False)
        self.unconnected(GatewayError("malformed_answer", "expected nothing before the request, got bytes"))

    def unconnected(self, error: GatewayError) -> None:
        """A connection was waited for, and cannot be had: a task sees what else there is."""
        self.connecting = None
        member = self._leave_member()
        TakenOver.unconnected(self.serving, self, member, error)

    def _send(self, attempt: Attempt, wire: Wire, request: list[bytes]) -> None:
        self.wire = wire
        self.machine.connected(attempt, self.serving.exchange.now())
        wire.num_uses += 1
        wire.receiver = self
        for piece in request:
            wire.write(piece)
        self.serving.connection.call_serving_at(self.machine.timer_of(attempt)[0])

    def _request(self, member: Member) -> list[bytes] | None:
        """Return the request for an endpoint, in few pieces; None where the reference path is to write it."""
        serving, target, acceptor = self.serving, self.targets[0], self.serving.acceptor
        exchange, scan = serving.exchange, serving.pipeline.body_scan
        data, wanted = serving.body.data, target.model or serving.exchange.model
        if scan is not None and wanted is not None and scan.model != wanted:
            data = scan.with_model(wanted)
        shape = acceptor.shape_of(self._cluster)
        host = serving.exchange.request.host if shape.is_host_preserved else member.endpoint.authority
        length = len(data) if data or exchange.request.method in ("POST", "PUT", "PATCH") else -1
        told = acceptor.told_of(serving.connection, exchange).lines
        head = write_request(exchange, acceptor.facts, host.encode("latin-1"), told, shape.dropped, shape.added, length)
        if head is None or shape.is_odd:
            return None
        return [head + data] if len(data) <= BUFFERED_BYTES else [head, data]

    # -- what the target sends

    def upstream_data(self, data: bytes) -> None:
        """Bytes came."""
        self.serving.context.run(self._take, data)

    def _take(self, data: bytes) -> None:
        answer = self.answer
        try:
            if answer is None:
                self._take_head(data)
            else:
                answer.take(data)
        except ChunkError as error:
            self._broken(GatewayError("malformed_answer", str(error)))
        except GatewayError as error:
            self._broken(error)
        except Exception as error:
            self.serving.crash(error)

    def _broken(self, error: GatewayError) -> None:
        if self.answer is not None and self.answer.is_ending:
            self.answer.end_early()
        else:
            TakenOver.go_on(self.serving, self, error)

    def upstream_moved(self) -> None:
        """The connection was closed, from whatever side."""
        self.serving.context.run(self._moved)

    def _moved(self) -> None:
        if self.answer is not None and self.answer.is_ending:
            self.answer.end_early()
        else:
            TakenOver.go_on(self.serving, self)

    def upstream_writable(self) -> None:
        """The target takes what it is sent."""
        if self.attempt is not None:
            self.machine.progressed(self.attempt, self.serving.exchange.now())

    def expired(self) -> None:
        """The armed instant has come; by now it may be a later one."""
        if self.attempt is None or self.connecting is not None:  # the wait for a connection has a bound of its own
            return
        now = self.serving.exchange.now()
        instant = self._due(self.attempt)
        if self._is_paused and now >= self._slow_until:
            self.serving.client_stuck()
        elif instant > now:
            self.serving.connection.call_serving_at(instant)
        elif self.answer is not None and self.answer.is_ending:
            self.answer.end_early()
        else:
            TakenOver.go_on(self.serving, self)

    def _due(self, attempt: Attempt) -> float:
        """Return when somebody has waited too long: for the target, or for a client that does not read."""
        if self.answer is not None and self.answer.is_ending:
            return min(self.answer.ends_at, self._slow_until) if self._is_paused else self.answer.ends_at
        if self._is_paused:  # the target is not silent: it is not listened to
            return float(min(self._slow_until, self.plan.deadline))
        return self.machine.timer_of(attempt)[0]

    def _take_head(self, data: bytes) -> None:
        assert self.attempt is not None
        limits = self._cluster.settings.pool
        head = read_answer(data, self.serving.acceptor.facts, limits.max_head_bytes, limits.max_fields)
        if head is None or not self._is_inline(head):
            self._leave_head(data)
            return
        scanner = ChunkScanner() if head.length is None else LengthScanner(head.length)
        rest = data[head.size :]
        try:
            piece, size = scanner.decode(rest)
        except ChunkError:  # nothing is committed yet
            self._leave_head(data)
            return
        answer = self.answer = InlineAnswer(self, self.attempt, head, scanner)
        answer.has_excess = size < len(rest)
        self.machine.answered(self.attempt, head.status, self.serving.exchange.now())
        if self.attempt.phase is not Phase.ANSWERING:
            answer.took(piece, _NO_BYTES)
            if self.wire is not None and not self.serving.is_begun:
                self.serving.connection.call_serving_at(self._due(self.attempt))
        elif (written := answer.commit(piece)) is not None:
            answer.took(piece, written)

    def _leave_head(self, data: bytes) -> None:
        """Let the reference path read the head."""
        assert self.wire is not None
        self.wire.push_back(data)
        TakenOver.go_on(self.serving, self)

    def _is_inline(self, head: AnswerHead) -> bool:
        """Whether an answer is one of those that are passed on without a task."""
        program, plan = self.serving.program, self.plan
        if head.status in plan.faults or (head.status >= 400 and plan.may_be_too_long(head.status)):
            return False
        if not head.is_event_stream:
            return True
        if not self.is_followed(head):
            is_fed = self.serving.record.is_fed  # as it comes, while only whole events are passed on
            return not (program.view.is_inference or is_fed) and program.commit == "head"
        scan = self.serving.pipeline.body_scan
        is_usage_owed = scan is not None and scan.is_usage_wanted and plan.resume_tries and head.numerics is not None
        return not is_usage_owed and not any(plan.prefills)

    def is_followed(self, head: AnswerHead) -> bool:
        """Whether the events of a stream are looked into."""
        program = self.serving.program
        return head.status == 200 and (program.view.is_inference or program.commit == "first_event")

    # -- a client that is slow

    def pause(self) -> None:
        """Read no more from the target for now."""
        if self.wire is not None and self.attempt is not None and not self._is_paused:
            connection = self.serving.connection
            self._is_paused = True
            self._slow_until = self.serving.exchange.now() + connection.settings.write_timeout_s
            self.wire.pause()
            connection.call_serving_at(self._due(self.attempt))

    def resume(self) -> None:
        """Read on."""
        if self.wire is not None and self.attempt is not None and self._is_paused:
            self._is_paused = False
            self.machine.progressed(self.attempt, self.serving.exchange.now())
            self.serving.connection.call_serving_at(self._due(self.attempt))
            self.wire.resume()

    # -- the end

    def let_go(self, *, is_reusable: bool) -> None:
        """Give the connection back, and the endpoint's count."""
        wire, self.wire = self.wire, None
        connecting, self.connecting = self.connecting, None
        if connecting is not None:
            connecting.cancel()
        member, self.member = self.member, None
        if member is None:
            return
        member.num_active -= 1
        if wire is None:
            return
        wire.receiver = None
        wire.resume()
        if is_reusable and wire.is_clean:
            member.pool.give_back(wire, True)
        else:
            wire.abort()
            member.pool.give_back(wire, False)

    def _leave_member(self) -> Member:
        member, self.member = self.member, None
        assert member is not None
        member.num_active -= 1
        return member

    def abandon(self) -> None:
        """Nobody wants the rest: abort the target."""
        self.machine.client_gone(self.serving.exchange.now())
        self.let_go(is_reusable=False)

    def adopted(self) -> UpstreamAttempt:
        """Let go of the attempt, for somebody else to go on with it."""
        assert self.attempt is not None and self.wire is not None and self.member is not None
        wire, member, answer, limits = self.wire, self.member, self.answer, self._cluster.settings.pool
        wire.receiver = self.wire = self.member = None
        wire.resume()
        head = response_head(answer.head) if answer is not None else None
        codec = ExchangeCodec.adopted(
            HeadLimits(max_head_bytes=limits.max_head_bytes, max_fields=limits.max_fields),
            self.serving.exchange.request.method.encode("latin-1"),
            head,
            answer.scanner if answer is not None else None,
            unread=answer.unread if answer is not None else _NO_BYTES,
            has_excess=answer is not None and answer.has_excess,
        )
        connection = UpstreamConnection.adopted(wire, codec, member.pool.give_back)
        return UpstreamAttempt.adopted(self.attempt, self.machine, member, connection)
