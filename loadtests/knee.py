"""Where more load stops to bring more answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .figures import is_ok, latency_ms
from .records import Record
from .shapes.staircase import Step

_SETTLE_SHARE = 0.25  # of each step, at its beginning, in which queues are still those of the step before


@dataclass(frozen=True, slots=True)
class Level:
    """What one step brought: offered and answered a second, and the time to whole right answers."""

    offered: float
    answered: float
    p50_ms: float
    p99_ms: float

    @property
    def power(self) -> float:
        """Answers a second for each second that one takes."""
        return self.answered / (self.p50_ms / 1e3) if self.p50_ms else 0.0


def levels(records: Sequence[Record], steps: Sequence[Step]) -> list[Level]:
    """Return the level of each step, its beginning left out."""
    found = []
    for step in steps:
        begin = step.begin_s + _SETTLE_SHARE * (step.end_s - step.begin_s)
        width = step.end_s - begin
        due = [record for record in records if begin <= record.due_s < step.end_s]
        done = sum(is_ok(record) and begin <= record.end_s < step.end_s for record in records)
        found.append(Level(len(due) / width, done / width, latency_ms(due, 50), latency_ms(due, 99)))
    return found


def knee(found: Sequence[Level]) -> int:
    """Return the number of the level with the most power. Raises: ValueError where there is none.

    Source: Kleinrock, "Power and deterministic rules of thumb for probabilistic problems in computer
    communications" (ICC 1979): below the knee more load brings more answers at little cost, above it only waiting.
    """
    if not found:
        raise ValueError("expected levels to look for a knee in, got none")
    return max(range(len(found)), key=lambda number: (found[number].power, -number))


def holds_up(found: Sequence[Level]) -> float:
    """Return what the highest load brought, as a share of the most that any brought: below 1 it collapses."""
    most = max(level.answered for level in found)
    return found[-1].answered / most if most else 0.0
