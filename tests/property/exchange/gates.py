"""Gates for scripted worlds: what they refuse is scripted or reckoned, and every ticket is watched."""

from __future__ import annotations

from typing import Protocol

from headgate.proxy.exchange.attempt import Attempt, Purpose
from headgate.proxy.exchange.gate import Report

from .log import Asked, HeardBegin, Log, Told
from .scenario import Scenario


class Judge(Protocol):
    """Decides what a gate grants, and learns from what it hears."""

    def allows(self, target: int, purpose: Purpose, now: float) -> bool:
        """Whether such an attempt may begin; takes what it needs."""

    def hears(self, target: int, purpose: Purpose, report: Report, now: float) -> None:
        """An attempt is over."""


class ScriptedJudge:
    """Breakers that are open or not, and a budget for what is not a target's first attempt."""

    def __init__(self, scenario: Scenario) -> None:
        self._open = scenario.open
        self._budget = scenario.budget

    def allows(self, target: int, purpose: Purpose, now: float) -> bool:
        """Admit by script."""
        if purpose is Purpose.FIRST:
            return target not in self._open
        self._budget -= 1
        return self._budget >= 0

    def hears(self, target: int, purpose: Purpose, report: Report, now: float) -> None:
        """Forget."""


class WatchedGate:
    """Writes down what the machine asks and tells; tells apart every ticket, and demands each back exactly once."""

    def __init__(self, log: Log, judge: Judge) -> None:
        self._log = log
        self._judge = judge
        self._out: set[int] = set()
        self._begun: set[int] = set()
        self._next = 0

    @property
    def num_out(self) -> int:
        """How many tickets have not come back."""
        return len(self._out)

    def admit(self, target: int, purpose: Purpose, now: float) -> object | None:
        """Ask the judge."""
        is_granted = self._judge.allows(target, purpose, now)
        self._log.add(Asked(now, target, purpose, is_granted))
        if not is_granted:
            return None
        self._next += 1
        self._out.add(self._next)
        return self._next

    def began(self, attempt: Attempt, now: float) -> None:
        """Take note: once a ticket, before its end."""
        assert attempt.ticket in self._out, "an answer began without a ticket"
        assert isinstance(attempt.ticket, int)
        assert attempt.ticket not in self._begun, "an answer began twice"
        self._begun.add(attempt.ticket)
        self._log.add(HeardBegin(now, attempt.number))

    def ended(self, attempt: Attempt, report: Report, now: float) -> None:
        """Take the ticket back."""
        assert isinstance(attempt.ticket, int)
        assert attempt.ticket in self._out, "the gate was told twice, or of an attempt that it never admitted"
        self._out.remove(attempt.ticket)
        self._log.add(Told(now, attempt.number, attempt.target, report))
        self._judge.hears(attempt.target, attempt.purpose, report, now)
