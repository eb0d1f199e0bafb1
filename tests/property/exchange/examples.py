"""What tests of single worlds share: small plans, and what became of them."""

from __future__ import annotations

from headgate.proxy.exchange.attempt import Purpose
from headgate.proxy.exchange.plan import Plan, Timeouts

from .log import Ended, Given
from .scenario import SILENCE, Fate
from .world import BEGUN_AT, Run

GOOD = Fate()
SILENT = Fate("head", SILENCE)
RESET = Fate("head", "reset")
TWO = Plan((Timeouts(), Timeouts()), 30.0, True)
ONE = Plan((Timeouts(),), 30.0, True)


def busy(retry_after_s: float | None, status: int = 503, head_s: float = 0.0) -> Fate:
    return Fate(status=status, retry_after_s=retry_after_s, head_s=head_s)


def starts(run: Run) -> list[tuple[int, Purpose, float]]:
    """Return the attempts: their targets, purposes, and when they started after the exchange did."""
    return [(e.target, e.purpose, round(e.starts_at - BEGUN_AT, 6)) for e in run.log.of(Given)]


def end(run: Run) -> tuple[str, float]:
    (ended,) = run.log.of(Ended)
    return ended.kind, round(ended.at - BEGUN_AT, 6)
