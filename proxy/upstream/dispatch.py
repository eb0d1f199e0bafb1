"""Drives the exchange machine with real I/O: to a committed answer, and through the breaks of one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable

from ..errors import GatewayError
from ..exchange.attempt import Attempt, Phase
from ..exchange.command import COMMIT, Break, Command, Commit, GiveUp, Hold, Wait
from ..exchange.fields import Fields
from ..exchange.machine import ExchangeMachine
from ..exchange.message import Response
from ..exchange.states import ENDED
from ..http1.fields import end_to_end
from .answer_body import AnswerBody
from .attempt import UpstreamAttempt
from .cluster import Member
from .connection import UpgradedStream
from .continuity import Continuity
from .gate import ClusterGate
from .opened import Opened
from .retry_after import retry_after_s
from .work import Served, Work

_USAGE_S = 3.0


class Dispatch:
    """One request on its way through the targets of its route."""

    __slots__ = (
        "_broke_at",
        "_continuity",
        "_gate",
        "_loop",
        "_machine",
        "_num_before",
        "_open",
        "_tasks",
        "_tried",
        "_work",
        "served",
        "upgraded",
    )

    def __init__(self, work: Work, served: Served, begun: tuple[ClusterGate, ExchangeMachine] | None = None) -> None:
        """`begun`: the machine that somebody else has started, and its gate."""
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._num_before = 0  # attempts of an earlier dispatch of the same exchange
        if begun is None:
            self._num_before = served.num_attempts
            gate = ClusterGate(work.targets, work.clusters, is_hurried=work.is_hurried)
            begun = gate, ExchangeMachine(work.plan, random.random, gate)
        self._gate, self._machine = begun
        self._continuity = Continuity(work)
        served.preferred = work.targets[0]
        self._open: dict[Attempt, UpstreamAttempt] = {}
        self._tasks: dict[Attempt, asyncio.Task[Opened | Command]] = {}  # where hedges may run
        self._tried: set[Member] = set()
        self.served = served
        self._broke_at: int | None = None  # after so many events, and nothing has come since
        self.upgraded: UpgradedStream | None = None  # after a 101

    async def open(self) -> Response:
        """Return the committed answer. Its body yields portions as they come and raises GatewayError when it breaks.

        Raises: GatewayError where no target answered. Cancel: the attempts under way are aborted at once.
        """
        return await self.open_from(self._machine.start(self._loop.time()))

    async def open_from(self, command: Command) -> Response:
        """As `open`, where the machine was started and said `command`."""
        run = self._race if self._work.plan.hedge is not None else self._try
        try:
            while isinstance(command, Attempt):
                result = await run(command)
                if isinstance(result, Opened):
                    return self._response(result)
                command = result
        except BaseException:
            await self.abandon()
            raise
        finally:
            self.served.is_fallback = self._machine.target > 0
        raise self._error(command)

    # -- one attempt

    async def _try(self, attempt: Attempt, continued: Opened | None = None) -> Opened | Command:
        """Run one attempt: the answer to give to the client, or what the machine wants next."""
        await self._wait_until(attempt.at)
        self._ended(attempt, "abandoned")  # unless it comes to another end
        upstream = self._open[attempt] = UpstreamAttempt(attempt, self._machine, self._loop)
        return await self._ended_well(upstream, self._exchange(upstream, continued), continued)

    async def _ended_well(
        self, upstream: UpstreamAttempt, work: Awaitable[Opened | Command], continued: Opened | None
    ) -> Opened | Command:
        """Return what comes of an attempt; tell the machine where it fails, and give back what it had."""
        try:
            result = await work
        except GatewayError as error:
            if error.kind.source == "downstream":
                raise
            # An answer that does not continue the first one is no better the next time.
            can_resume = continued is not None and error.kind.name != "malformed_answer"
            result = self._failed(upstream, error, can_resume=can_resume)
        if not isinstance(result, Opened):
            await self._close(upstream.attempt)
        return result

    async def _exchange(self, upstream: UpstreamAttempt, continued: Opened | None) -> Opened | Command:
        await self._ask(upstream, continued)
        return await self._until_commit(upstream, *await self._read_answer(upstream, continued))

    async def _until_commit(self, upstream: UpstreamAttempt, opened: Opened, command: Command) -> Opened | Command:
        if isinstance(command, Hold) and upstream.attempt.phase is Phase.AWAITING_EVENT:
            await opened.hold_first()
            command = self._machine.began(upstream.attempt, self._loop.time())
        while isinstance(command, Hold):
            upstream.look()
            await self._drop_losers()  # they must not go on while the winner is held back
            command = await self._hold(opened)
        if not isinstance(command, Commit):
            return command
        upstream.look()
        return opened

    async def _ask(self, upstream: UpstreamAttempt, continued: Opened | None) -> None:
        """Send the request."""
        work, attempt = self._work, upstream.attempt
        target = work.targets[attempt.target]
        cluster = work.clusters[target.cluster]
        member = await upstream.connect(cluster, self._tried, work.plan.deadline)
        upstream.connection.on_informational = work.on_informational
        told = self._continuity.continuation(continued, attempt.target) if continued is not None else None
        await upstream.send(*work.request_for(target, cluster, member, told))

    async def _read_answer(self, upstream: UpstreamAttempt, continued: Opened | None) -> tuple[Opened, Command]:
        """Read the answer's head; return what the machine makes of it."""
        work, attempt = self._work, upstream.attempt
        head = await upstream.read_head()
        if continued is not None:
            opened = self._continuity.joined(upstream, head, continued)
        else:
            opened = Opened(upstream, head, work.new_progress() if work.new_progress else None)
        is_too_long = await opened.hold_refusal() if self._work.plan.may_be_too_long(head.status) else False
        is_over = attempt.phase is Phase.OVER  # another one was first, in this turn of the loop
        command = self._machine.answered(
            attempt, head.status, self._loop.time(), retry_after_s(head.fields), is_too_long=is_too_long
        )
        if not (is_over or isinstance(command, Commit | Hold)):
            self._note_failure(attempt, f"status {head.status}")
        upstream.look()
        return opened, command

    async def _hold(self, opened: Opened) -> Command:
        """Hold one more portion back; a whole answer needs no more holding."""
        machine, attempt = self._machine, opened.attempt.attempt
        command = machine.held(attempt, opened.num_tokens, opened.held_bytes, self._loop.time())
        if not isinstance(command, Hold):
            return command
        await opened.hold_until(machine.hold_due_at())
        if opened.is_ended:
            machine.finished(attempt, self._loop.time())
            return COMMIT
        return machine.held(attempt, opened.num_tokens, opened.held_bytes, self._loop.time())

    # -- a second attempt beside a slow one

    async def _race(self, first: Attempt) -> Opened | Command:
        """Run an attempt, and hedges beside it: the first answer wins, the others are aborted."""
        self._launch(first)
        while True:
            due_s = self._machine.hedge_due_at() - self._loop.time()
            done, _ = await asyncio.wait(
                self._tasks.values(),
                timeout=max(0.0, due_s) if due_s < float("inf") else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not done:
                self._hedge()
            for attempt in [attempt for attempt, task in self._tasks.items() if task in done]:
                result = self._tasks.pop(attempt).result()
                if not isinstance(result, Wait):
                    await self._drop_losers()
                    return result

    def _launch(self, attempt: Attempt) -> None:
        self._tasks[attempt] = self._loop.create_task(self._try(attempt), name=f"attempt {attempt.number}")

    def _hedge(self) -> None:
        # Only once the request is there as a whole: two attempts cannot both read it from the client.
        hedge = self._machine.hedge_due(self._loop.time(), is_ready=self._work.is_body_whole())
        if hedge is not None:
            self._launch(hedge)

    async def _drop_losers(self) -> None:
        for attempt in self._machine.losers:
            task = self._tasks.pop(attempt, None)
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
            await self._close(attempt)
        self._machine.losers.clear()

    # -- the committed answer

    def _response(self, opened: Opened) -> Response:
        upstream, head = opened.attempt, opened.head
        self._ended(upstream.attempt, "answered")
        self.served.target = self._work.targets[upstream.attempt.target]
        self._continuity.commit(opened)
        self.passed(opened)
        fields = Fields(end_to_end(head.fields))
        fields.remove("content-length")
        fields.remove_prefix("x-headgate-")
        if head.status == 101:
            upstream.hold_timer()
            self.upgraded = upstream.connection.upgrade()
        self.served.progress = opened.progress
        return Response(
            head.status,
            fields,
            AnswerBody(self, opened),
            head.content_length if opened.progress is None else None,  # its formal end may be added
            head.reason.decode("latin-1"),
            is_whole_events=opened.progress is not None,
        )

    async def recover(self, error: GatewayError, opened: Opened) -> Opened:
        """Return the answer that goes on where `opened` broke off. Raises: GatewayError, to be told to the client."""
        if opened.progress is None or not opened.progress.is_whole:
            return await self._recover(error, opened)
        # Only the usage is missing: an answer neither fails for it, nor ends much later.
        try:
            async with asyncio.timeout(_USAGE_S):
                return await self._recover(error, opened)
        except (GatewayError, TimeoutError):
            opened.finish()
            return opened

    async def _recover(self, error: GatewayError, opened: Opened) -> Opened:
        is_own = error.kind.source != "downstream"
        self._gate.continuing = self._continuity.targets(opened) if is_own else ()
        command = self._failed(opened.attempt, error, can_resume=bool(self._gate.continuing))
        await self._close(opened.attempt.attempt)
        self._broke_at = opened.progress.num_events if opened.progress is not None else None
        while isinstance(command, Attempt):
            result = await self._try(command, opened)
            if isinstance(result, Opened):
                self._resumed(result)
                return result
            command = result
        raise self._break(command, error) if is_own else error

    def passed(self, opened: Opened) -> None:
        """A portion goes to the client: by now the answer may be one that could go on, or no longer one."""
        if self._broke_at is not None and opened.progress is not None and opened.progress.num_events > self._broke_at:
            self._broke_at = None
            self._machine.moved()
        is_resumable = bool(self._continuity.targets(opened))
        if is_resumable is not self._machine.is_resumable:
            self._machine.is_resumable = is_resumable
            opened.attempt.look()

    def _resumed(self, opened: Opened) -> None:
        """Tell in the stream that somebody else goes on with it.

        The comment is a line of the next event. As an event by itself it would be read as one without data by clients
        that remember ids, the openai client among them.
        """
        self.served.num_resumes += 1
        self.served.is_prefilled = self.served.is_prefilled or opened.is_prefilled
        self.served.is_fallback = self._machine.target > 0
        self._ended(opened.attempt.attempt, "answered")
        self.served.target = self._work.targets[opened.attempt.attempt.target]
        self.passed(opened)
        if opened.held:
            told = f": headgate target={self.served.target.name} attempts={self.served.num_attempts}\n"
            opened.held[0] = told.encode() + opened.held[0]

    async def end(self, opened: Opened) -> None:
        """The whole answer was read: keep the connection if it can be kept."""
        if self._machine.state not in ENDED:
            self._machine.finished(opened.attempt.attempt, self._loop.time())
        await self._close(opened.attempt.attempt)

    async def abandon(self) -> None:
        """Nobody wants the rest: abort the upstream. Harmless once the answer has ended."""
        self._machine.client_gone(self._loop.time())
        for task in self._tasks.values():
            task.cancel()
        for upstream in self._open.values():
            upstream.abort()
        if self._tasks:
            await asyncio.wait(self._tasks.values())
            self._tasks.clear()
        for attempt in list(self._open):
            await self._close(attempt)

    # -- inside

    def _failed(self, upstream: UpstreamAttempt, error: GatewayError, *, can_resume: bool) -> Command:
        attempt = upstream.attempt
        if attempt.phase is not Phase.OVER:
            self._note_failure(attempt, str(error))
        return self._machine.failed(
            attempt, error.kind.name, self._loop.time(), has_sent=upstream.has_sent, can_resume=can_resume
        )

    def _ended(self, attempt: Attempt, how: str) -> None:
        self.served.ends[self._num_before + attempt.number] = (self._work.targets[attempt.target].name, how)

    def _note_failure(self, attempt: Attempt, why: str) -> None:
        target = self._work.targets[attempt.target]
        self.served.failures.append((target.name, why))
        self._ended(attempt, why.partition(":")[0])
        self._work.clusters[target.cluster].remember(f"{target.name}: {why}")

    async def _wait_until(self, instant: float) -> None:
        delay = instant - self._loop.time()
        if delay > 0:
            await asyncio.sleep(delay)

    async def _close(self, attempt: Attempt) -> None:
        upstream = self._open.pop(attempt, None)
        if upstream is not None:
            await upstream.close()

    def _break(self, command: Command, first: GatewayError) -> GatewayError:
        """Return what broke the answer off: not what came of the attempts to continue it, unless that was the end."""
        error = self._error(command)
        if error.kind.name == "deadline":
            return error
        return GatewayError(first.kind.name, error.detail, event=first.event)

    def _error(self, command: Command) -> GatewayError:
        if not isinstance(command, GiveUp | Break):
            raise RuntimeError(f"expected the end of the exchange, got {command}")
        detail = "; ".join(f"{name}: {why}" for name, why in self.served.failures)
        if command.kind == "unavailable":
            clusters = {target.cluster: self._work.clusters[target.cluster] for target in self._work.targets}
            before = "; ".join(cluster.last_failure for cluster in clusters.values() if cluster.last_failure)
            detail = f"not asked, for what failed before: {before}"
        return GatewayError(command.kind, detail)
