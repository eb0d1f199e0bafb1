"""One floods, by its key or by its address; the others must not notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..crowd import Crowd
from ..figures import between, fairness, is_limited, is_ok, latency_ms, share
from ..records import Record
from ..shapes.curve import constant
from ..shapes.spike import spike
from ..slo import Threshold
from ..stand import TierSpec
from .scenario import ALWAYS, KEYS, Observed, Scenario

KEY_RATE, KEY_BURST = 20, 20
ADDRESS_RATE, ADDRESS_BURST = 100, 100
FLOODING_KEY, FLOODING_ADDRESS = 77, "127.0.0.2"
_FLOOD = 250.0
_DURING = (0.25, 0.9)  # of the time
_TIERS = {"heavy": TierSpec(32, 32, 40), "lite": TierSpec(32, 32, 40)}


def _flood(seconds: float, rate: float) -> tuple[float, float, float, tuple[float, float]]:
    return rate / 2, _FLOOD, seconds, (seconds * _DURING[0], seconds * _DURING[1])


def _key_crowds(seconds: float) -> tuple[Crowd, ...]:
    return (
        Crowd("chat", constant(50, seconds), KEYS),
        Crowd("abusive", spike(*_flood(seconds, KEY_RATE)), (FLOODING_KEY,)),
    )


def _address_crowds(seconds: float) -> tuple[Crowd, ...]:
    flood = spike(*_flood(seconds, ADDRESS_RATE))
    return (
        Crowd("chat", constant(20, seconds), KEYS[:5]),
        Crowd("chat", constant(20, seconds), KEYS[5:], address="127.0.0.3"),
        Crowd("abusive", flood, (FLOODING_KEY,), address=FLOODING_ADDRESS),
    )


def over_limit(records: Sequence[Record], rate: float, burst: float) -> float:
    """Return by how many admitted requests exceed `burst + rate · T` in the worst window; 0 where none does.

    A request was admitted at some instant between its sending and its answer. Only those count that must have been
    admitted inside a window. Cost: quadratic.
    """
    admitted = [(r.due_s + r.late_s, r.end_s) for r in records if not is_limited(r) and r.status]
    by_end = sorted(admitted, key=lambda one: one[1])
    worst = 0.0
    for begin_s, _ in admitted:
        inside = 0
        for sent_s, end_s in by_end:
            if sent_s >= begin_s:
                inside += 1
                worst = max(worst, inside - burst - rate * (end_s - begin_s))
    return worst


def admitted_of_limit(flood: Sequence[Record], rate: float, burst: float) -> float:
    """Return what a flood got of what its limit allows from its first request to its last answer.

    Before and after a flood less is asked than the limit allows: that time says nothing of the limit.
    """
    if not flood:
        return 0.0
    width_s = max(record.end_s for record in flood) - min(record.due_s for record in flood)
    return sum(map(is_ok, flood)) / (burst + rate * width_s)


def _figures(rate: float, burst: float) -> Callable[[Observed], Mapping[str, float]]:
    def figures(observed: Observed) -> Mapping[str, float]:
        bad = [record for record in observed.records if record.kind == "abusive"]
        good = [record for record in observed.records if record.kind != "abusive"]
        flood = between(bad, observed.seconds * _DURING[0], observed.seconds * _DURING[1])
        return {
            "others_ok": share(good, is_ok),
            "others_limited": share(good, is_limited),
            "others_p99_ms": latency_ms(good, 99),
            "fairness": fairness(good),
            "flood_limited": share(bad, is_limited),
            "over_limit": over_limit(bad, rate, burst),
            "admitted_of_limit": admitted_of_limit(flood, rate, burst),
        }

    return figures


def _thresholds(who: str, least_limited: float) -> tuple[Threshold, ...]:
    return (
        *ALWAYS,
        Threshold("others_ok", "whole right answers of all others", at_least=1, unit="%"),
        Threshold("others_limited", "their requests that were limited", at_most=0, unit="%"),
        Threshold("others_p99_ms", "p99 of their answers (tier: 40 ms)", at_most=150, unit="ms"),
        Threshold("fairness", "Jain's index over their keys", at_least=0.99),
        Threshold("flood_limited", f"requests of the {who} that were limited", at_least=least_limited, unit="%"),
        Threshold("over_limit", "its requests admitted beyond its limit, in the worst window", at_most=0),
        Threshold("admitted_of_limit", "what it got of what its limit allows", at_least=0.85, at_most=1, unit="%"),
    )


KEY_FLOODS = Scenario(
    name="key-floods",
    title=f"One key asks {_FLOOD:.0f} times a second, where each may {KEY_RATE} times",
    seconds=16,
    least_seconds=12,
    tiers=_TIERS,
    crowds=_key_crowds,
    figures=_figures(KEY_RATE, KEY_BURST),
    thresholds=_thresholds("key", 0.8),
)

ADDRESS_FLOODS = Scenario(
    name="address-floods",
    title=f"One address asks {_FLOOD:.0f} times a second, where each may {ADDRESS_RATE} times",
    seconds=16,
    least_seconds=12,
    tiers=_TIERS,
    crowds=_address_crowds,
    figures=_figures(ADDRESS_RATE, ADDRESS_BURST),
    thresholds=_thresholds("address", 0.4),
)
