"""More than both tiers can do, for a moment; the tiers say 503 and no time."""

from __future__ import annotations

from collections.abc import Mapping

from ..crowd import Crowd
from ..figures import between, fairness, is_ok, latency_ms, share
from ..shapes.spike import spike
from ..slo import Threshold
from ..stand import TierSpec
from .scenario import ALWAYS, KEYS, Observed, Scenario

HEAVY, LITE = TierSpec(6, 6, 60, busy_status=503), TierSpec(6, 6, 50, busy_status=503)
CAPACITY = HEAVY.per_s + LITE.per_s
_FULL = (0.3, 0.5)  # of the time
_WELL_S = 1.0


def _crowds(seconds: float) -> tuple[Crowd, ...]:
    during = (seconds * _FULL[0], seconds * _FULL[1])
    return (Crowd("chat", spike(CAPACITY * 0.4, CAPACITY * 1.3, seconds, during), KEYS),)


def _figures(observed: Observed) -> Mapping[str, float]:
    begin_s, end_s = observed.seconds * _FULL[0], observed.seconds * _FULL[1]
    full = between(observed.records, begin_s, end_s)
    after = between(observed.records, end_s + _WELL_S, observed.seconds)
    return {
        "ok_before": share(between(observed.records, 0, begin_s), is_ok),
        "full_of_capacity": sum(map(is_ok, full)) / (end_s - begin_s) / CAPACITY,
        "ok_after": share(after, is_ok),
        "full_p99_ms": latency_ms(full, 99),
        "fairness": fairness(full),
    }


OVERLOAD = Scenario(
    name="overload",
    title=f"1.3 times what two tiers can do ({CAPACITY:.0f}/s) for a moment; full tiers say 503 without a Retry-After",
    seconds=24,
    least_seconds=20,
    tiers={"heavy": HEAVY, "lite": LITE},
    crowds=_crowds,
    figures=_figures,
    thresholds=(
        *ALWAYS,
        Threshold("ok_before", "whole right answers at 0.4 of the capacity", at_least=0.99, unit="%"),
        Threshold("full_of_capacity", "answers a second during the overload, of the capacity", at_least=0.85, unit="%"),
        Threshold("ok_after", f"whole right answers from {_WELL_S:g} s after it on", at_least=0.99, unit="%"),
        Threshold("full_p99_ms", "p99 of answers during it: both queues are short", at_most=400, unit="ms"),
        Threshold("fairness", "Jain's index over keys during it", at_least=0.95),
    ),
)
