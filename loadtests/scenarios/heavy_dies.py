"""The tier that is asked first dies at the peak, and comes back."""

from __future__ import annotations

from collections.abc import Mapping

from ..crowd import Crowd
from ..figures import between, fairness, is_by, is_ok, latency_ms, share
from ..records import BROKEN
from ..shapes.ramp import ramp
from ..shapes.spike import spike
from ..slo import Threshold
from ..stand import TierSpec
from .scenario import ALWAYS, KEYS, Actions, Observed, Scenario, Timeline

DEAD, STARTED, ALIVE = "heavy was killed", "heavy is started", "heavy is back"
_DEAD_AT, _ALIVE_AT = 0.4, 0.65  # of the time
_BACK_S = (
    6.0  # a probe at the latest 2 s after it is back, then a ramp of four steps of 0.5 s; as much again for the start
)


async def _disturb(actions: Actions, timeline: Timeline, seconds: float) -> None:
    await timeline.until(seconds * _DEAD_AT)
    actions.kill_tier("heavy")
    timeline.mark(DEAD)
    await timeline.until(seconds * _ALIVE_AT)
    timeline.mark(STARTED)
    await actions.start_tier("heavy")
    timeline.mark(ALIVE)


def _crowds(seconds: float) -> tuple[Crowd, ...]:
    peak = (seconds * (_DEAD_AT - 0.1), seconds * (_ALIVE_AT + 0.1))
    return (
        Crowd("chat", spike(40, 100, seconds, peak), KEYS),
        Crowd("stream", ramp(20, seconds, rise=0.2), KEYS),
    )


def _figures(observed: Observed) -> Mapping[str, float]:
    dead_s, alive_s = observed.mark_s(DEAD), observed.mark_s(ALIVE)
    chats = [record for record in observed.records if record.kind == "chat"]
    outage = between(observed.records, dead_s + 0.5, observed.mark_s(STARTED))
    again = between(observed.records, alive_s + _BACK_S, observed.seconds)
    cut = [record for record in observed.records if record.outcome == BROKEN]
    # Only a stream whose answer had begun may break, and says so by an event.
    excused = [r for r in cut if r.kind == "stream" and r.due_s <= dead_s <= r.end_s + 0.05 and r.detail == "reset"]
    return {
        "chat_ok": share(chats, is_ok),
        "unexcused": len(cut) - len(excused),
        "outage_ok": share(outage, is_ok),
        "lite_in_outage": share(outage, is_by("lite")),
        "lite_after": share(again, is_by("lite")),
        "outage_p99_ms": latency_ms(outage, 99),
        "fairness": fairness(observed.records),
    }


HEAVY_DIES = Scenario(
    name="heavy-dies",
    title="The tier that is asked first is killed at the peak and started again",
    seconds=32,
    least_seconds=28,
    tiers={"heavy": TierSpec(32, 32, 60), "lite": TierSpec(32, 32, 40)},
    crowds=_crowds,
    figures=_figures,
    disturb=_disturb,
    thresholds=(
        *ALWAYS,
        Threshold("chat_ok", "whole right completions, over the whole run", at_least=1, unit="%"),
        Threshold("unexcused", "broken answers other than streams cut by the kill, told by an event", at_most=0),
        Threshold("outage_ok", "whole right answers while heavy is dead", at_least=1, unit="%"),
        Threshold("lite_in_outage", "share answered by lite then", at_least=1, unit="%"),
        Threshold("lite_after", f"share answered by lite {_BACK_S:g} s after heavy is back", at_most=0.02, unit="%"),
        Threshold("outage_p99_ms", "p99 of answers during the outage (tier: 40 ms)", at_most=250, unit="ms"),
        Threshold("fairness", "Jain's index over keys", at_least=0.99),
    ),
)
