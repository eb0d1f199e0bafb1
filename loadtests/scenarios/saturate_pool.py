"""The search for the limit of a pool of connections."""

from __future__ import annotations

from collections.abc import Mapping

from ..crowd import Crowd
from ..figures import is_ok, latency_ms, share
from ..knee import holds_up, knee, levels
from ..records import REFUSED
from ..shapes.staircase import Staircase
from ..slo import Threshold
from ..stand import TierSpec
from .scenario import ALWAYS, KEYS, Observed, Scenario

CONNECTIONS, WAITING, SERVICE_MS = 8, 16, 60
CAPACITY = CONNECTIONS / SERVICE_MS * 1e3
# The pool's queue, then a service; half as much again for the machine.
_LONGEST_MS = (WAITING / CONNECTIONS + 1) * SERVICE_MS * 1.5


def staircase(seconds: float) -> Staircase:
    """Return the steps: from a quarter of what the pool can do to twice as much."""
    return Staircase(CAPACITY / 4, CAPACITY * 2, 8, seconds)


def _crowds(seconds: float) -> tuple[Crowd, ...]:
    return (Crowd("chat", staircase(seconds).curve(), KEYS, model="heavy"),)


def _figures(observed: Observed) -> Mapping[str, float]:
    found = levels(observed.records, staircase(observed.seconds).steps())
    best = found[knee(found)]
    below = [record for record in observed.records if record.due_s < observed.seconds * 3 / 8]
    failed = [record for record in observed.records if not is_ok(record)]
    return {
        "knee_of_capacity": best.answered / CAPACITY,
        "most_of_capacity": max(level.answered for level in found) / CAPACITY,
        "holds_up": holds_up(found),
        "ok_below": share(below, is_ok),
        "full_p99_ms": latency_ms(observed.records, 99),
        "typed": share(failed, lambda record: record.outcome == REFUSED and record.detail == "pool_full"),
        "pool_first": float(observed.saturation.first == "heavy pool"),
    }


SATURATE_POOL = Scenario(
    name="saturate-pool",
    title=f"Steps up to twice what a pool of {CONNECTIONS} connections can do ({CAPACITY:.0f}/s); nobody else helps",
    seconds=32,
    least_seconds=24,
    # The tier has more slots than the pool has connections: it is the pool that is small.
    tiers={"heavy": TierSpec(64, 0, SERVICE_MS), "lite": TierSpec(1, 0, 10)},
    crowds=_crowds,
    figures=_figures,
    staircase=staircase,
    thresholds=(
        *ALWAYS,
        Threshold(
            "knee_of_capacity", "the knee, as a share of the pool's capacity", at_least=0.6, at_most=1.05, unit="%"
        ),
        Threshold("most_of_capacity", "most answers a second, as a share of it", at_least=0.9, at_most=1.05, unit="%"),
        Threshold("holds_up", "answers a second at the highest load, as a share of the most", at_least=0.9, unit="%"),
        Threshold("ok_below", "whole right answers on the first three steps", at_least=1, unit="%"),
        Threshold("full_p99_ms", "p99 of answers over all steps: the queue is bounded", at_most=_LONGEST_MS, unit="ms"),
        Threshold("typed", "refusals that say pool_full, of all", at_least=1, unit="%"),
        Threshold("pool_first", "1: the pool is what was used up first", at_least=1),
    ),
)
