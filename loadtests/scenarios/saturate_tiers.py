"""The search for the limit of two tiers that help each other."""

from __future__ import annotations

from collections.abc import Mapping

from ..crowd import Crowd
from ..figures import between, fairness, is_by, is_ok, share
from ..knee import holds_up, knee, levels
from ..records import LIMITED, REFUSED
from ..shapes.staircase import Staircase
from ..slo import Threshold
from ..stand import TierSpec
from .scenario import ALWAYS, KEYS, Observed, Scenario

HEAVY, LITE = TierSpec(6, 6, 60), TierSpec(6, 6, 50)
CAPACITY = HEAVY.per_s + LITE.per_s


def staircase(seconds: float) -> Staircase:
    """Return the steps: from a part of what heavy can do to more than both can."""
    return Staircase(HEAVY.per_s / 2, CAPACITY * 1.4, 8, seconds)


def _crowds(seconds: float) -> tuple[Crowd, ...]:
    return (Crowd("chat", staircase(seconds).curve(), KEYS),)


def _figures(observed: Observed) -> Mapping[str, float]:
    steps = staircase(observed.seconds).steps()
    found = levels(observed.records, steps)
    answered = [record for record in observed.records if is_ok(record)]
    quiet = between(answered, steps[0].begin_s, steps[0].end_s)
    full = [r for step in steps if HEAVY.per_s * 1.3 < step.rate for r in between(answered, step.begin_s, step.end_s)]
    spared = [
        r for step in steps if step.rate < CAPACITY * 0.8 for r in between(observed.records, step.begin_s, step.end_s)
    ]
    failed = [record for record in observed.records if not is_ok(record)]
    found_up = [one.name for one in observed.saturation.found]
    return {
        "knee_of_capacity": found[knee(found)].answered / CAPACITY,
        "most_of_capacity": max(level.answered for level in found) / CAPACITY,
        "holds_up": holds_up(found),
        "ok_below": share(spared, is_ok),
        "typed": share(failed, lambda record: record.outcome in (REFUSED, LIMITED)),
        "lite_when_quiet": share(quiet, is_by("lite")),
        "lite_when_full": share(full, is_by("lite")),
        "heavy_first": float(observed.saturation.first == "heavy slots"),
        "lite_later": float("lite slots" in found_up),
        "fairness": fairness(observed.records),
    }


SATURATE_TIERS = Scenario(
    name="saturate-tiers",
    title=f"Steps up to 1.4 times what two tiers can do together ({CAPACITY:.0f}/s)",
    seconds=32,
    least_seconds=24,
    tiers={"heavy": HEAVY, "lite": LITE},
    crowds=_crowds,
    figures=_figures,
    staircase=staircase,
    thresholds=(
        *ALWAYS,
        Threshold(
            "knee_of_capacity", "the knee, as a share of both tiers' capacity", at_least=0.3, at_most=1.05, unit="%"
        ),
        Threshold("most_of_capacity", "most answers a second, as a share of it", at_least=0.85, at_most=1.05, unit="%"),
        Threshold("holds_up", "answers a second at the highest load, as a share of the most", at_least=0.9, unit="%"),
        Threshold("ok_below", "whole right answers at up to 0.8 of the capacity", at_least=0.99, unit="%"),
        Threshold("typed", "refusals of a known form, of all failures", at_least=1, unit="%"),
        Threshold("lite_when_quiet", "share answered by lite on the first step", at_most=0.05, unit="%"),
        Threshold("lite_when_full", "share answered by lite above heavy's capacity", at_least=0.2, unit="%"),
        Threshold("heavy_first", "1: heavy's slots were used up first", at_least=1),
        Threshold("lite_later", "1: lite's slots were used up, too", at_least=1),
        Threshold("fairness", "Jain's index over keys, all steps", at_least=0.98),
    ),
)
