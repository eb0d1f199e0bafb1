"""The machine that decides what happens to an exchange.

Pure: no asyncio, no clock, no sockets; `now`, randomness and the gate (breakers, budgets) are passed in. A driver moves
bytes, arms timers, and reports what it saw; each report returns the next command.

`TABLE` in states.py is the whole theory: what each state takes, and what it may become. Before the commit point the
client has seen nothing and another attempt may still answer; from there on it gets this answer, its exact continuation,
or a visible break. While an exchange is `opening` a second attempt (a hedge) may run beside the first; whichever
answers first wins, and the other one is given up.

What must never happen: an attempt at or after the deadline; a second sending of what may not be sent twice; a fallback
without a cause; silence retried on the target that was silent; after the commit point any byte that does not continue
what the client has; two outcomes of one exchange; an attempt whose end the gate does not hear of, or hears twice.
"""

from __future__ import annotations

from collections.abc import Callable

from . import patience
from .attempt import ANSWERING, AWAITING_EVENT, AWAITING_HEAD, CONNECTING, FIRST, OVER, Attempt
from .choice import Choice
from .command import COMMIT, HOLD, WAIT, Break, Command, GiveUp
from .gate import OK, OPEN_GATE, Gate, Report, report_of
from .plan import BUSY_STATUSES, Plan
from .states import BROKEN, COMMITTED, DONE, ENDED, FAILED, GONE, HOLDING, IDLE, OPENING, RESUMING, State, out_of_order


class ExchangeMachine:
    """Retry, fallback, hedge, hold-back, commit point and resume of one exchange.

    `running` are the attempts under way: at most one, and its hedges. `losers` are those that a commit left behind, to
    be aborted by the driver. `target` is the one asked last. `is_resumable` is set by the driver: the committed
    answer could be continued.
    """

    __slots__ = (
        "_choice",
        "_gate",
        "_held_since",
        "_is_replayable",
        "_num_first",
        "_plan",
        "_random",
        "failures",
        "is_resumable",
        "losers",
        "running",
        "state",
    )

    def __init__(self, plan: Plan, random: Callable[[], float], gate: Gate = OPEN_GATE) -> None:
        self._plan = plan
        self._gate = gate
        self._random = random
        self._choice: Choice | None = None  # made once there is something to choose: mostly there is not
        self._num_first = 0
        self._held_since = 0.0
        self._is_replayable = True
        self.is_resumable = False
        self.state: State = IDLE
        self.running: list[Attempt] = []
        self.losers: list[Attempt] = []
        self.failures: list[tuple[int, str]] = []  # (target, kind); bounded by max_attempts

    @property
    def num_attempts(self) -> int:
        """How many attempts were begun or are about to begin."""
        if self._choice is not None:
            return self._choice.num_attempts
        return self._num_first

    @property
    def target(self) -> int:
        """The target asked last."""
        return self._choice.target if self._choice is not None else 0

    # -- reports: the way to an answer

    def start(self, now: float) -> Command:
        """Begin: the first attempt, or the end where nothing may be tried."""
        if self.state is not IDLE:
            raise out_of_order(self.state, IDLE)
        plan = self._plan
        if not plan.timeouts or now >= plan.deadline:
            return self._give_up("deadline" if plan.timeouts else "internal")
        self.state = OPENING
        ticket = self._gate.admit(0, FIRST, now)
        if ticket is not None:
            self._num_first = 1
            attempt = Attempt(1, 0, now, FIRST, ticket)
            self.running.append(attempt)
            return attempt
        self._choice = Choice(plan, self._gate, self._random, is_admitted=False)
        other = self._choice.next_target(now)
        return self._begin(other) if other is not None else self._give_up("unavailable")

    def connected(self, attempt: Attempt, now: float) -> None:
        """The attempt has a connection; its request is being sent."""
        if attempt.phase is not OVER:
            attempt.phase = AWAITING_HEAD
            attempt.since = attempt.share_from = now

    def progressed(self, attempt: Attempt, now: float) -> None:
        """Bytes moved: the target is not silent. Before the first event they are no progress: pings are no answer."""
        if attempt.phase is not AWAITING_EVENT:
            attempt.since = now
            if attempt.phase is AWAITING_HEAD:
                attempt.share_from = now

    def body_gone(self) -> None:
        """The request's body is no longer there as a whole: from now on it cannot be sent again."""
        self._is_replayable = False

    def answered(
        self,
        attempt: Attempt,
        status: int,
        now: float,
        retry_after_s: float | None = None,
        *,
        is_too_long: bool = False,
    ) -> Command:
        """A whole response head came. `is_too_long`: the target says that the prompt does not fit its context."""
        if attempt.phase is OVER:
            return WAIT
        if self.state is RESUMING and status != 200:
            return self._refused(attempt, status, now, retry_after_s)
        if (status in self._plan.faults or is_too_long) and self.state is OPENING:
            better = self._better(attempt, status, now, retry_after_s, is_too_long)
            if better is not None:
                return better
        # Nothing better is left: the client gets the target's own words.
        if self._plan.commit == "head" or status >= 400:
            return self._answering(attempt, now, is_held=status < 400)
        attempt.phase = AWAITING_EVENT
        attempt.since = now
        return HOLD

    def began(self, attempt: Attempt, now: float) -> Command:
        """The first event or byte of the answer came, and is no error."""
        if attempt.phase is OVER:
            return WAIT
        return self._answering(attempt, now, is_held=True)

    def held(self, attempt: Attempt, num_tokens: int, size_bytes: int, now: float) -> Command:
        """So much of the answer is held back by now."""
        if attempt.phase is OVER:
            return WAIT
        if self.state is not HOLDING:
            return COMMIT if self.state is COMMITTED else WAIT
        rule = self._plan.hold
        if rule is None or size_bytes >= rule.cap_bytes or 0 < rule.tokens <= num_tokens or now >= self.hold_due_at():
            self.state = COMMITTED
            return COMMIT
        return HOLD

    def moved(self) -> None:
        """The committed answer goes on after a resume: a later break has all its tries."""
        self._choices().moved()

    def finished(self, attempt: Attempt, now: float) -> None:
        """The whole answer is there, and was passed on or is to be passed on as a whole."""
        if attempt.phase is OVER:
            return
        if self.state is not COMMITTED and self.state is not HOLDING:
            raise out_of_order(self.state, COMMITTED, HOLDING)
        self._part(attempt, OK, now)
        self.state = DONE

    # -- reports: what goes wrong

    def failed(self, attempt: Attempt, kind: str, now: float, *, has_sent: bool, can_resume: bool = False) -> Command:
        """The attempt ended without a whole answer.

        `has_sent`: bytes of the request may have reached the target. `can_resume`: what the client has of a committed
        answer can be continued.
        """
        if self.state in ENDED:
            return GiveUp(kind)
        if attempt.phase is OVER:  # what was given up still reports that it failed
            return WAIT
        self.failures.append((attempt.target, kind))
        self._part(attempt, report_of(kind), now)
        if self.state is COMMITTED or self.state is RESUMING:
            return self._broke(kind, now, can_resume)
        next_step = self._after(attempt, kind, now, has_sent=has_sent)
        return next_step or self._give_up("deadline" if now >= self._plan.deadline else kind)

    def client_gone(self, now: float) -> None:
        """The client left: nothing more is tried."""
        if self.state not in ENDED:
            self.state = GONE
            self._drop_others(None, now)

    # -- timers

    def timer_of(self, attempt: Attempt) -> tuple[float, str]:
        """Return the instant at which the attempt fails by itself, and the error that this is."""
        if attempt.phase is CONNECTING or attempt.phase is OVER:
            return self._plan.deadline, "deadline"
        return patience.timer(self._plan, attempt, self._num_others())

    def begin_by(self, attempt: Attempt) -> float:
        """Return when the attempt must have begun to answer, so that others have their share; infinity: never."""
        return patience.begin_by(self._plan, attempt, self._num_others())

    def hedge_due_at(self) -> float:
        """Return when a hedge may begin; infinity where there will be none."""
        rule = self._plan.hedge
        if rule is None or self.state is not OPENING or not self.running:
            return patience.NEVER
        if not self._may_send_again() or (self._choice is not None and self._choice.num_hedges >= rule.max_hedges):
            return patience.NEVER
        return self.running[-1].at + rule.delay_s

    def hedge_due(self, now: float, *, is_ready: bool = True) -> Attempt | None:
        """The time for a hedge has come: return it, or None (then for good) where it may not be.

        `is_ready`: the request is there as a whole, so that it can be sent twice.
        """
        if now < self.hedge_due_at():
            return None
        hedge = self._choices().hedge(self.running[-1], now, is_ready=is_ready)
        return self._begin(hedge) if hedge is not None else None

    def hold_due_at(self) -> float:
        """Return when what is held back goes to the client by itself; infinity where it does not."""
        rule = self._plan.hold
        return self._held_since + rule.due_s if rule is not None and self.state is HOLDING else patience.NEVER

    # -- inside

    def _choices(self) -> Choice:
        if self._choice is None:
            self._choice = Choice(self._plan, self._gate, self._random, is_admitted=True)
        return self._choice

    def _may_send_again(self) -> bool:
        return self._plan.may_resend and self._is_replayable

    def _after(
        self,
        attempt: Attempt,
        kind: str,
        now: float,
        status: int = 0,
        retry_after_s: float | None = None,
        *,
        has_sent: bool = True,
    ) -> Command | None:
        """Return what follows a failure before the commit point, or None where nothing does."""
        if kind == "busy":
            self._choices().busy(now, retry_after_s)
        if any(other is not attempt for other in self.running):
            return WAIT
        if not self._is_replayable or (has_sent and not self._plan.may_resend):
            return None
        if (attempt_after := self._choices().after(kind, now, status, retry_after_s)) is None:
            return None
        self.state = OPENING
        return self._begin(attempt_after)

    def _better(
        self, attempt: Attempt, status: int, now: float, retry_after_s: float | None, is_too_long: bool
    ) -> Command | None:
        """Return what is better than to give the client this head; None where nothing is."""
        kind = self._plan.fault_of(status)
        if kind is None:
            return self._larger(attempt, now) if is_too_long else None
        self.failures.append((attempt.target, kind))
        self._tell(attempt, report_of(kind, status, retry_after_s), now)
        if (next_step := self._after(attempt, kind, now, status, retry_after_s)) is not None:
            self._leave(attempt)
        return next_step

    def _larger(self, attempt: Attempt, now: float) -> Command | None:
        larger = self._choices().larger(now) if self._may_send_again() else None
        if larger is None:
            return None
        self._part(attempt, Report.NEUTRAL, now)
        self._drop_others(None, now)
        return self._begin(larger)

    def _answering(self, attempt: Attempt, now: float, *, is_held: bool) -> Command:
        attempt.phase = ANSWERING
        attempt.since = now
        if attempt.ticket is not None:
            self._gate.began(attempt, now)
        if len(self.running) > 1:
            self._drop_others(attempt, now)
        if self._plan.hold is None or not is_held or self.state is RESUMING:
            self.state = COMMITTED
            return COMMIT
        self.state = HOLDING
        self._held_since = now
        return HOLD

    def _refused(self, attempt: Attempt, status: int, now: float, retry_after_s: float | None) -> Command:
        """A resume was answered by a status: one that is the request's own fault is not tried again."""
        is_busy = status in BUSY_STATUSES
        if is_busy:
            self._choices().busy(now, retry_after_s)
        kind = "busy" if is_busy else "unhealthy_status"
        self._tell(attempt, report_of(kind, status, retry_after_s) if status >= 500 else Report.NEUTRAL, now)
        return self.failed(attempt, kind, now, has_sent=True, can_resume=is_busy or status >= 500)

    def _broke(self, kind: str, now: float, can_resume: bool) -> Command:
        attempt = self._choices().resume(now) if can_resume and self._may_send_again() else None
        if attempt is None:
            self.state = BROKEN
            return Break(kind)
        self.state = RESUMING
        return self._begin(attempt)

    def _num_others(self) -> int:
        """Return for how many further attempts time is to be left: at other targets, or to continue the answer."""
        plan, choice = self._plan, self._choice
        if not (plan.may_resend and self._is_replayable):
            return 0
        if self.state is COMMITTED or self.state is RESUMING:
            return min(1, choice.num_resumes_left if choice else plan.max_resumes) if self.is_resumable else 0
        return choice.num_left if choice else plan.max_fallbacks

    def _begin(self, attempt: Attempt) -> Attempt:
        self.running.append(attempt)
        return attempt

    def _tell(self, attempt: Attempt, report: Report, now: float) -> None:
        if attempt.ticket is not None:
            self._gate.ended(attempt, report, now)
            attempt.ticket = None

    def _part(self, attempt: Attempt, report: Report, now: float) -> None:
        self._tell(attempt, report, now)
        attempt.phase = OVER
        self.running.remove(attempt)

    def _leave(self, attempt: Attempt) -> None:
        attempt.phase = OVER
        self.running.remove(attempt)

    def _drop_others(self, kept: Attempt | None, now: float) -> None:
        for attempt in [attempt for attempt in self.running if attempt is not kept]:
            self._part(attempt, Report.NEUTRAL, now)
            self.losers.append(attempt)

    def _give_up(self, kind: str) -> GiveUp:
        self.state = FAILED
        return GiveUp(kind)
