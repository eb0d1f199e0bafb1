"""Drives the exchange machine with real I/O until an answer is committed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..errors import GatewayError
from ..exchange.fields import Fields
from ..exchange.machine import Attempt, Break, Command, ExchangeMachine, GiveUp, Hold
from ..exchange.message import Response
from ..exchange.plan import Plan
from ..exchange.sse import EventSplitter, data_of, is_error
from ..http1.fields import end_to_end
from ..http1.head import ResponseHead
from ..verdicts import Target
from .attempt import OutgoingHead, UpstreamAttempt
from .cluster import Cluster, Member
from .connection import UpgradedStream
from .retry_after import retry_after_s
from .sender import BodySource

_FIRST_EVENT_BYTES = 256 * 1024


@dataclass(slots=True)
class Work:
    """What is to be sent, and where.

    `head_for` writes the request head for a target and endpoint; `body_for` gives the body as that target wants it.
    """

    plan: Plan
    targets: tuple[Target, ...]
    clusters: Mapping[str, Cluster]
    head_for: Callable[[Target, Cluster, Member], OutgoingHead]
    body_for: Callable[[Target], BodySource]
    on_informational: Callable[[ResponseHead], None] | None = None


@dataclass(slots=True)
class Served:
    """Who answered, and what it took; filled in while the exchange runs."""

    target: Target | None = None
    num_attempts: int = 0
    is_fallback: bool = False
    failures: list[tuple[str, str]] = field(default_factory=list)


class UpstreamBody:
    """The committed answer's body. Ended, failed or closed, it gives the upstream back; `aclose` early aborts it.

    A class, not a generator: closing one that nobody began to read must abort the upstream, too.
    """

    __slots__ = ("_attempt", "_dispatch", "_first")

    def __init__(self, dispatch: Dispatch, attempt: UpstreamAttempt, first: list[bytes]) -> None:
        self._dispatch = dispatch
        self._attempt = attempt
        self._first = first[::-1]

    def __aiter__(self) -> UpstreamBody:
        return self

    async def __anext__(self) -> bytes:
        if self._first:
            return self._first.pop()
        try:
            piece = b"" if self._attempt.is_complete else await self._attempt.read_body()
        except GatewayError as error:
            raise await self._dispatch.fail(error) from error
        if piece:
            return piece
        await self._dispatch.end()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Give the upstream back; before the end of the body this aborts it."""
        await self._dispatch.abandon()


class Dispatch:
    """One request on its way through the targets of its route."""

    __slots__ = ("_attempt", "_loop", "_machine", "_tried", "_work", "served", "upgraded")

    def __init__(self, work: Work, served: Served) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._machine = ExchangeMachine(work.plan, random.random)
        self._attempt: UpstreamAttempt | None = None
        self._tried: set[Member] = set()
        self.served = served
        self.upgraded: UpgradedStream | None = None  # after a 101

    async def open(self) -> Response:
        """Return the committed answer. Its body yields pieces as they come and raises GatewayError when it breaks.

        Raises: GatewayError where no target answered. Cancel: the attempt under way is aborted at once.
        """
        command = self._machine.start(self._loop.time())
        try:
            while isinstance(command, Attempt):
                answer = await self._try(command)
                if isinstance(answer, Response):
                    return answer
                command = answer
        except BaseException:
            await self.abandon()
            raise
        finally:
            self._note()
        raise self._error(command)

    async def _try(self, command: Attempt) -> Response | Command:
        """Run one attempt: the committed answer, or what the machine wants next."""
        await self._close_attempt()
        await self._wait_until(command.at)
        self._machine.connecting_again(self._loop.time())
        attempt = self._attempt = UpstreamAttempt(self._machine, self._loop)
        try:
            return await self._exchange(attempt, self._work.targets[command.target], command)
        except GatewayError as error:
            if error.kind.source == "downstream":
                raise
            target = self._work.targets[command.target]
            self.served.failures.append((target.name, str(error)))
            return self._machine.failed(
                error.kind.name,
                self._loop.time(),
                has_sent=attempt.has_sent,
                is_replayable=self._work.body_for(target).replay.is_replayable,
            )

    async def _exchange(self, attempt: UpstreamAttempt, target: Target, command: Attempt) -> Response | Command:
        work = self._work
        cluster = work.clusters[target.cluster]
        body = work.body_for(target)
        await attempt.connect(cluster, self._tried, work.plan.deadline, is_fresh=command.is_fresh)
        if attempt.member is None:
            raise RuntimeError("expected a picked endpoint after connect")
        attempt.connection.on_informational = work.on_informational
        await attempt.send(work.head_for(target, cluster, attempt.member), body)
        head = await attempt.read_head()
        now = self._loop.time()
        decision = self._machine.answered(
            head.status, now, retry_after_s=retry_after_s(head.fields), is_replayable=body.replay.is_replayable
        )
        if isinstance(decision, Attempt):
            self.served.failures.append((target.name, f"status {head.status}"))
            return decision
        attempt.look()
        first: list[bytes] = []
        if isinstance(decision, Hold):
            first = await self._first_event(attempt, head)
        return self._response(attempt, head, target, first)

    async def _first_event(self, attempt: UpstreamAttempt, head: ResponseHead) -> list[bytes]:
        """Hold the answer until its first event (or byte): an error told there can still fall back."""
        pieces: list[bytes] = []
        splitter = EventSplitter(_FIRST_EVENT_BYTES) if _is_event_stream(head) else None
        while piece := await attempt.read_body():
            pieces.append(piece)
            if splitter is None:
                break
            events = splitter.feed(piece)
            if any(is_error(event) for event in events):
                raise GatewayError("error_event", "the first event reports an error")
            if splitter.is_overflowing or any(data_of(event) is not None for event in events):
                break
        else:
            if splitter is not None and not pieces:
                raise GatewayError("truncated", "the event stream ended before its first event")
        self._machine.began(self._loop.time())
        attempt.look()
        return pieces

    def _response(self, attempt: UpstreamAttempt, head: ResponseHead, target: Target, first: list[bytes]) -> Response:
        self.served.target = target
        fields = Fields(end_to_end(head.fields))
        fields.remove("content-length")
        fields.remove_prefix("x-headgate-")
        if head.status == 101:
            attempt.hold_timer()
            self.upgraded = attempt.connection.upgrade()
        body = UpstreamBody(self, attempt, first)
        return Response(head.status, fields, body, head.content_length, head.reason.decode("latin-1"))

    async def end(self) -> None:
        """The whole answer was read: keep the connection if it can be kept."""
        self._machine.finished()
        await self._close_attempt()

    async def fail(self, error: GatewayError) -> GatewayError:
        """The committed answer broke off; returns what to tell the client."""
        command = self._machine.failed(error.kind.name, self._loop.time(), has_sent=True)
        await self._close_attempt()
        if self.served.target is not None:
            self.served.failures.append((self.served.target.name, str(error)))
        return error if error.kind.source == "downstream" else self._error(command)

    async def abandon(self) -> None:
        """Nobody wants the rest: abort the upstream. Harmless once the answer has ended."""
        self._machine.client_gone()
        await self._close_attempt()

    async def _wait_until(self, instant: float) -> None:
        delay = instant - self._loop.time()
        if delay > 0:
            await asyncio.sleep(delay)

    async def _close_attempt(self) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            await attempt.close()

    def _note(self) -> None:
        self.served.num_attempts = self._machine.num_attempts
        self.served.is_fallback = self._machine.target > 0

    def _error(self, command: Command) -> GatewayError:
        if not isinstance(command, GiveUp | Break):
            raise RuntimeError(f"expected the end of the exchange, got {command}")
        detail = "; ".join(f"{name}: {why}" for name, why in self.served.failures)
        return GatewayError(command.kind, detail)


def _is_event_stream(head: ResponseHead) -> bool:
    for name, value in head.fields:
        if name.lower() == b"content-type":
            return value.lower().startswith(b"text/event-stream")
    return False
