"""The machine that decides what happens to an exchange.

Pure: no asyncio, no clock, no sockets; `now` and randomness are passed in. A driver moves bytes, arms the one timer,
and reports what it saw; each report returns the next command.

States and what leads out of them:

| state          | report             | becomes                                                        |
|----------------|--------------------|----------------------------------------------------------------|
| idle           | start              | connecting                                                     |
| connecting     | connected          | awaiting_head                                                  |
| connecting     | failed             | waiting or failed                                              |
| awaiting_head  | answered           | committed (commit: head), awaiting_event, waiting, or failed   |
| awaiting_head  | failed             | waiting or failed                                              |
| awaiting_event | began              | committed                                                      |
| awaiting_event | failed             | waiting or failed                                              |
| waiting        | connecting_again   | connecting                                                     |
| committed      | finished           | done                                                           |
| committed      | failed             | broken                                                         |
| any but ended  | client_gone        | gone                                                           |

Ended states (done, failed, broken, gone) are final: one exchange, one outcome. What must never happen: an attempt after
the deadline; an attempt after the commit point; a second sending of what may not be sent twice; a fallback without
a cause; silence retried on the target that was silent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ..errors import KINDS, Retryable
from .plan import BUSY_STATUSES, CAUSES, Plan


class State(StrEnum):
    """Where an exchange stands."""

    IDLE = "idle"
    CONNECTING = "connecting"
    AWAITING_HEAD = "awaiting_head"
    AWAITING_EVENT = "awaiting_event"
    WAITING = "waiting"
    COMMITTED = "committed"
    DONE = "done"
    FAILED = "failed"
    BROKEN = "broken"
    GONE = "gone"


ENDED = frozenset({State.DONE, State.FAILED, State.BROKEN, State.GONE})


@dataclass(frozen=True, slots=True)
class Attempt:
    """Try target number `target`, not before the instant `at`. `is_fresh`: on a new connection."""

    target: int
    at: float
    is_fresh: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """The answer is not committed yet: wait for its first event or byte."""


@dataclass(frozen=True, slots=True)
class Commit:
    """Give the client this answer; from now on no other."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No attempt is left: end the exchange with this error."""

    kind: str


@dataclass(frozen=True, slots=True)
class Break:
    """The committed answer ended early: the client must see that it is not complete."""

    kind: str


Command = Attempt | Hold | Commit | GiveUp | Break
_HOLD, _COMMIT = Hold(), Commit()


class ExchangeMachine:
    """Retry, fallback and the commit point of one exchange.

    `num_attempts` counts attempts started; `target` is the one in use; `random` returns a float in [0, 1).
    """

    __slots__ = ("_busy_waited", "_plan", "_random", "_since", "_tries", "failures", "num_attempts", "state", "target")

    def __init__(self, plan: Plan, random: Callable[[], float]) -> None:
        self._plan = plan
        self._random = random
        self._since = 0.0
        self._tries = 0  # on the target in use
        self._busy_waited = False
        self.state = State.IDLE
        self.num_attempts = 0
        self.target = 0
        self.failures: list[tuple[int, str]] = []  # (target, kind); bounded by max_attempts

    def start(self, now: float) -> Command:
        """Begin: the first attempt, or the end where the deadline has passed already."""
        self._expect(State.IDLE)
        if now >= self._plan.deadline or not self._plan.timeouts:
            return self._give_up("deadline" if self._plan.timeouts else "internal")
        return self._attempt(0, now)

    def connecting_again(self, now: float) -> None:
        """The wait that an Attempt asked for is over."""
        if self.state is State.WAITING:
            self._to(State.CONNECTING, now)

    def connected(self, now: float) -> None:
        """A connection is there; the request is being sent."""
        self._expect(State.CONNECTING)
        self._to(State.AWAITING_HEAD, now)

    def progressed(self, now: float) -> None:
        """Bytes moved in either direction: the target is not silent."""
        self._since = now

    def answered(
        self, status: int, now: float, *, retry_after_s: float | None = None, is_replayable: bool = True
    ) -> Command:
        """A whole response head came. `is_replayable`: the request's body is still there as a whole."""
        self._expect(State.AWAITING_HEAD)
        kind = self._fault_of(status)
        if kind is not None:
            self.failures.append((self.target, kind))
            if self._may_go_on(kind, now, self._plan.may_resend and is_replayable):
                next_step = self._next(kind, now, status, retry_after_s)
                if next_step is not None:
                    return next_step
        # Nothing better is left: the client gets the target's own words.
        if self._plan.commit == "head" or status >= 400:
            self._to(State.COMMITTED, now)
            return _COMMIT
        self._to(State.AWAITING_EVENT, now)
        return _HOLD

    def began(self, now: float) -> Command:
        """The first event or byte of the answer came, and is no error."""
        self._expect(State.AWAITING_EVENT)
        self._to(State.COMMITTED, now)
        return _COMMIT

    def failed(self, kind: str, now: float, *, has_sent: bool, is_replayable: bool = True) -> Command:
        """The attempt ended without a whole answer. `has_sent`: bytes of the request may have reached the target."""
        if self.state is State.COMMITTED:
            self.state = State.BROKEN
            return Break(kind)
        if self.state in ENDED:  # what was given up still reports that it failed
            return GiveUp(kind)
        self._expect(State.CONNECTING, State.AWAITING_HEAD, State.AWAITING_EVENT)
        self.failures.append((self.target, kind))
        if self._may_go_on(kind, now, is_replayable and (self._plan.may_resend or not has_sent)):
            next_step = self._next(kind, now, 0, None)
            if next_step is not None:
                return next_step
        return self._give_up("deadline" if now >= self._plan.deadline else kind)

    def finished(self) -> None:
        """The whole answer was passed on."""
        self._expect(State.COMMITTED)
        self.state = State.DONE

    def client_gone(self) -> None:
        """The client left: nothing more is tried."""
        if self.state not in ENDED:
            self.state = State.GONE

    def timer(self) -> tuple[float, str]:
        """Return the instant at which the present state ends by itself, and the error that this is."""
        deadline = self._plan.deadline
        if self.state in (State.IDLE, State.CONNECTING, State.WAITING) or self.state in ENDED:
            return deadline, "deadline"
        timeouts = self._plan.timeouts[self.target]
        if self.state is State.AWAITING_HEAD:
            instant, kind = self._since + timeouts.head_s, "silent"
        elif self.state is State.AWAITING_EVENT:
            instant, kind = self._since + timeouts.first_event_s, "first_event_timeout"
        else:
            instant, kind = self._since + timeouts.idle_s, "stalled"
        return (instant, kind) if instant < deadline else (deadline, "deadline")

    def _fault_of(self, status: int) -> str | None:
        if status in BUSY_STATUSES:
            return "busy"
        plan = self._plan
        is_fault = status in plan.retry.statuses or status in plan.fallback.statuses
        return "unhealthy_status" if is_fault else None

    def _may_go_on(self, kind: str, now: float, may_send: bool) -> bool:
        plan = self._plan
        return may_send and kind in CAUSES and now < plan.deadline and self.num_attempts < plan.max_attempts

    def _next(self, kind: str, now: float, status: int, retry_after_s: float | None) -> Attempt | None:
        """Return the next attempt that the plan allows after `kind`, or None."""
        if kind == "busy" and (waited := self._wait_for_busy(now, retry_after_s)) is not None:
            return waited
        if (again := self._retry(kind, now, status)) is not None:
            return again
        return self._fall_back(kind, now, status) or self._retry_busy_alone(kind, now, status)

    def _wait_for_busy(self, now: float, retry_after_s: float | None) -> Attempt | None:
        # 429/503 mean busy, not broken: a short wait that the target asked for is waited out once.
        if retry_after_s is None or self._busy_waited or retry_after_s > self._plan.busy_wait_s:
            return None
        if now + retry_after_s >= self._plan.deadline:
            return None
        self._busy_waited = True
        return self._attempt(self.target, now + retry_after_s)

    def _retry(self, kind: str, now: float, status: int) -> Attempt | None:
        rule, cause = self._plan.retry, CAUSES[kind]
        retryable = KINDS[kind].retryable
        # Silence is never retried on the same target; a busy one is left alone while others are there.
        if retryable is Retryable.NO or cause == "busy" or cause not in rule.on:
            return None
        if cause == "status" and status not in rule.statuses:
            return None
        return self._again(now, is_fresh=retryable is Retryable.REUSED)

    def _retry_busy_alone(self, kind: str, now: float, status: int) -> Attempt | None:
        rule = self._plan.retry
        if kind != "busy" or "status" not in rule.on or status not in rule.statuses or self._busy_waited:
            return None
        return self._again(now, is_fresh=False)

    def _again(self, now: float, *, is_fresh: bool) -> Attempt | None:
        rule = self._plan.retry
        if self._tries >= rule.tries_per_target:
            return None
        ceiling = min(rule.max_backoff_s, rule.backoff_s * 2.0 ** (self._tries - 1))
        at = now if is_fresh else now + ceiling * self._random()  # full jitter: a herd must not return together
        return self._attempt(self.target, at, is_fresh) if at < self._plan.deadline else None

    def _fall_back(self, kind: str, now: float, status: int) -> Attempt | None:
        plan = self._plan
        if not plan.is_fallback_allowed or CAUSES[kind] not in plan.fallback.on:
            return None
        if kind == "unhealthy_status" and status not in plan.fallback.statuses:
            return None
        if self.target + 1 >= len(plan.timeouts):
            return None
        self._tries = 0
        self._busy_waited = False
        return self._attempt(self.target + 1, now)

    def _attempt(self, target: int, at: float, is_fresh: bool = False) -> Attempt:
        self.target = target
        self.num_attempts += 1
        self._tries += 1
        self._to(State.WAITING if self.num_attempts > 1 else State.CONNECTING, at)
        return Attempt(target, at, is_fresh)

    def _give_up(self, kind: str) -> GiveUp:
        self.state = State.FAILED
        return GiveUp(kind)

    def _to(self, state: State, now: float) -> None:
        self.state = state
        self._since = now

    def _expect(self, *states: State) -> None:
        if self.state not in states:
            raise RuntimeError(
                f"expected state {' or '.join(states)}, got {self.state}: the driver reported out of order"
            )
