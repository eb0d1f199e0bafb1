"""What the machine asks of the world's memory: breakers and budgets, shared by all exchanges."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from .attempt import Attempt, Purpose
from .plan import CAUSES, NEUTRAL


class Report(StrEnum):
    """What an attempt says of its target."""

    OK = "ok"
    FAILED = "failed"
    DOWN = "down"  # a 503 that names no time: the endpoint answers, the service behind it is full or out of order
    SILENT = "silent"  # nothing came in the time that it had; how much that was is not always its own fault
    NEUTRAL = "neutral"  # busy, the client's own fault, gone, or lost against another attempt


OK = Report.OK  # by itself, as every exchange that goes well asks for it

_SILENT = frozenset({"connect_timeout", "silent", "first_event_timeout", "stalled"})


def report_of(kind: str, status: int = 0, retry_after_s: float | None = None) -> Report:
    """Return what an error of that name, or a head with that status, says of the target where it happened."""
    if status == 503 and retry_after_s is None:
        return Report.DOWN
    if kind in _SILENT:
        return Report.SILENT
    return Report.NEUTRAL if kind in NEUTRAL or kind not in CAUSES else Report.FAILED


class Gate(Protocol):
    """Lets attempts begin, and hears of each exactly once how it ended. Targets are numbers in the plan's order."""

    def admit(self, target: int, purpose: Purpose, now: float) -> object | None:
        """Take what an attempt needs (its breaker's leave, its place in a budget); None where it may not begin."""

    def began(self, attempt: Attempt, now: float) -> None:
        """The attempt's answer has begun."""

    def ended(self, attempt: Attempt, report: Report, now: float) -> None:
        """The attempt is over. Called exactly once for every ticket given."""


class OpenGate:
    """Admits everything and remembers nothing."""

    __slots__ = ()

    def admit(self, target: int, purpose: Purpose, now: float) -> object | None:
        """Admit."""
        return self

    def began(self, attempt: Attempt, now: float) -> None:
        """Forget."""

    def ended(self, attempt: Attempt, report: Report, now: float) -> None:
        """Forget."""


OPEN_GATE = OpenGate()
