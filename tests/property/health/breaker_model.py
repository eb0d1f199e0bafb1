"""A breaker as its table says it, with the attempts themselves in place of tickets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from headgate.proxy.upstream.health.breaker import Admission, BreakerSettings, BreakerState


@dataclass(eq=False)
class Attempt:
    """One attempt: the period of the breaker in which it began, and its ticket."""

    period: int
    ticket: int
    admission: Admission


class BreakerModel:
    """The reference. A period ends with every opening and every closing."""

    def __init__(self, settings: BreakerSettings) -> None:
        self.settings = settings
        self.shares = [Fraction(share).limit_denominator(1000) for share in settings.ramp]
        self.state = BreakerState.CLOSED
        self.period = 0
        self.streak = 0
        self.due = 0
        self.rounds = 0
        self.probe: Attempt | None = None
        self.since = 0
        self.credit = Fraction(0)
        self.num_refusals = 0  # since anything else was heard
        self.refusing_since = 0
        self.before: list[Attempt] = []  # under way since before the first of them

    def state_at(self, now: float) -> BreakerState:
        if self.state is BreakerState.RAMPING and self.share_at(now) is None:
            return BreakerState.CLOSED
        return self.state

    def share_at(self, now: float) -> Fraction | None:
        step = int((now - self.since) // self.settings.ramp_step_s)
        return self.shares[step] if step < len(self.shares) else None

    def admission_at(self, now: float) -> Admission:
        state = self.state_at(now)
        if state is BreakerState.CLOSED:
            return Admission.CLOSED
        if state is BreakerState.RAMPING:
            return Admission.RAMPED if self.credit + (self.share_at(now) or 0) >= 1 else Admission.OPEN
        return Admission.PROBE if now >= self.due else Admission.OPEN

    def admit(self, now: int) -> None:
        admission = self.admission_at(now)
        self.state = self.state_at(now)
        if self.state is BreakerState.RAMPING:
            self.credit += (self.share_at(now) or 0) - (admission is Admission.RAMPED)
        if admission is Admission.PROBE:
            self.state = BreakerState.HALF_OPEN
            self.due = now + int(self.settings.probes_s[-1])

    def answers(self) -> None:
        self.num_refusals = 0

    def refused(self, now: int, attempt: Attempt, under_way: Iterable[Attempt]) -> None:
        if attempt is self.probe:
            self.failed(now, attempt)
            return
        self.state = self.state_at(now)
        self.left(attempt)
        if attempt.period != self.period or self.state not in (BreakerState.CLOSED, BreakerState.RAMPING):
            return
        if not self.num_refusals:
            self.refusing_since, self.before = now, list(under_way)
        self.num_refusals += 1
        is_long = now - self.refusing_since >= self.settings.refusing_s
        if is_long and self.num_refusals >= self.settings.failures and not self.before:
            self.open(now)

    def left(self, attempt: Attempt) -> None:
        self.before = [other for other in self.before if other is not attempt]

    def open(self, now: int) -> None:
        self.state, self.rounds, self.due = BreakerState.OPEN, 0, now + int(self.settings.probes_s[0])
        self.num_refusals = 0
        self.period += 1

    def succeeded(self, now: int, attempt: Attempt) -> None:
        self.state = self.state_at(now)
        self.num_refusals = 0
        if attempt.period != self.period:
            return
        if self.state is BreakerState.CLOSED:
            self.streak = 0
        elif self.state is not BreakerState.RAMPING or attempt.admission is Admission.OPEN:
            is_ramped = attempt is self.probe and bool(self.shares)
            self.state = BreakerState.RAMPING if is_ramped else BreakerState.CLOSED
            self.since, self.credit, self.streak, self.probe = now, Fraction(0), 0, None
            self.period += 1

    def failed(self, now: int, attempt: Attempt) -> None:
        self.state = self.state_at(now)
        self.left(attempt)
        if attempt.period != self.period:
            return
        waits = self.settings.probes_s
        self.streak += self.state is BreakerState.CLOSED
        is_enough = self.state is BreakerState.CLOSED and self.streak >= self.settings.failures
        if is_enough or self.state is BreakerState.RAMPING:
            self.open(now)
        elif attempt is self.probe:
            self.rounds += 1
            self.state, self.probe = BreakerState.OPEN, None
            self.due = now + int(waits[min(self.rounds, len(waits) - 1)])

    def abandoned(self, now: int, attempt: Attempt) -> None:
        self.left(attempt)
        self.state = self.state_at(now)
        if attempt is self.probe:
            self.state, self.probe, self.due = BreakerState.OPEN, None, now
