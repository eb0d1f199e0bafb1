"""Everything is dead for a while, and then everybody comes at once."""

from __future__ import annotations

from collections.abc import Mapping

from ..crowd import Crowd
from ..figures import between, is_ok, percentile, share
from ..records import REFUSED
from ..sampling import Sample
from ..shapes.spike import spike
from ..slo import Threshold
from ..stand import TierSpec
from .scenario import ALWAYS, KEYS, Actions, Observed, Scenario, Timeline

DEAD, STARTED, ALIVE = "both tiers were killed", "both tiers are started", "both tiers are back"
_DEAD_AT, _ALIVE_AT = 0.3, 0.5
RETRIES = 8
_WELL_S = 4.0
_TIER = TierSpec(16, 64, 60)


async def _disturb(actions: Actions, timeline: Timeline, seconds: float) -> None:
    await timeline.until(seconds * _DEAD_AT)
    for name in ("heavy", "lite"):
        actions.kill_tier(name)
    timeline.mark(DEAD)
    await timeline.until(seconds * _ALIVE_AT)
    timeline.mark(STARTED)
    for name in ("heavy", "lite"):
        await actions.start_tier(name)
    timeline.mark(ALIVE)


def _crowds(seconds: float) -> tuple[Crowd, ...]:
    crowded = (seconds * _ALIVE_AT, seconds * _ALIVE_AT + 2.0)
    return (Crowd("chat", spike(60, 150, seconds, crowded), KEYS, retries=RETRIES),)


def _figures(observed: Observed) -> Mapping[str, float]:
    dead_s, started_s, alive_s = (observed.mark_s(text) for text in (DEAD, STARTED, ALIVE))
    outage = between(observed.records, dead_s + 0.5, started_s - 0.5)
    well = between(observed.records, alive_s + _WELL_S, observed.seconds)
    looks = [sample for sample in observed.samples if dead_s + 0.5 <= sample.at_s <= started_s]
    first_time = [record for record in observed.records if not record.again]
    given_up = sum(record.again == RETRIES and not is_ok(record) for record in observed.records)
    return {
        "typed": share(outage, lambda record: record.outcome == REFUSED),
        "refused_p99_ms": 1e3 * percentile((record.seconds for record in outage), 99),
        "attempts_of_requests": _attempts(looks),
        "ok_after": share(well, is_ok),
        "given_up": given_up / max(len(first_time), 1),
        "waiting": max(sum(state.in_use + state.waiting for state in one.tiers.values()) for one in observed.samples),
    }


def _attempts(looks: list[Sample]) -> float:
    """Return the attempts for each request that ended between the first look and the last."""
    if len(looks) < 2:
        return float("nan")
    first, last = looks[0].metrics, looks[-1].metrics
    ended = last.total("headgate_requests_total") - first.total("headgate_requests_total")
    attempts = last.total("headgate_attempts_total") - first.total("headgate_attempts_total")
    return attempts / ended if ended else float("nan")


HERD = Scenario(
    name="herd",
    title="Both tiers are killed; when they are back, all who failed ask again, and more come besides",
    seconds=28,
    least_seconds=24,
    tiers={"heavy": _TIER, "lite": _TIER},
    crowds=_crowds,
    figures=_figures,
    disturb=_disturb,
    thresholds=(
        *ALWAYS,
        Threshold("typed", "failures of a known form during the outage, of all", at_least=1, unit="%"),
        Threshold("refused_p99_ms", "p99 until a client is told so", at_most=500, unit="ms"),
        Threshold("attempts_of_requests", "attempts for each request during the outage", at_most=1),
        Threshold("ok_after", f"whole right answers {_WELL_S:g} s after the tiers are back", at_least=1, unit="%"),
        Threshold("given_up", f"requests whose client gave up after {RETRIES} retries", at_most=0, unit="%"),
        Threshold("waiting", "most requests at the tiers at once: no more than the pools allow", at_most=32),
    ),
)
