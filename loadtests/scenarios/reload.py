"""The configuration is reloaded at the peak, again and again."""

from __future__ import annotations

from collections.abc import Mapping

from ..crowd import Crowd
from ..figures import between, fairness, is_ok, latency_ms, share
from ..shapes.ramp import ramp
from ..slo import Threshold
from ..stand import TierSpec
from .scenario import ALWAYS, KEYS, Actions, Observed, Scenario, Timeline

EVERY_S = 1.0
REFUSED, RELOADED = "a file with an error was refused", "reloaded"
_BEGIN = 0.4
_MORE = """
  - name: more-{number}
    match: {{path: "/more/{number}"}}
    targets: [lite]
"""
_WRONG = "\nrouters: []\n"


async def _disturb(actions: Actions, timeline: Timeline, seconds: float) -> None:
    path = actions.folder / actions.config.name
    text = path.read_text()
    number = 0
    at_s = seconds * _BEGIN
    while at_s < seconds - EVERY_S:
        await timeline.until(at_s)
        number += 1
        is_wrong = number % 5 == 0
        path.write_text(text + (_WRONG if is_wrong else _MORE.format(number=number)))
        status = await actions.reload()
        wanted = 422 if is_wrong else 200
        timeline.mark((REFUSED if is_wrong else RELOADED) if status == wanted else f"reload answered {status}")
        at_s += EVERY_S


def _crowds(seconds: float) -> tuple[Crowd, ...]:
    return (
        Crowd("chat", ramp(80, seconds, rise=0.25), KEYS),
        Crowd("stream", ramp(30, seconds, rise=0.25), KEYS),
    )


def _figures(observed: Observed) -> Mapping[str, float]:
    said = [text for _, text in observed.marks]
    quiet = between(observed.records, observed.seconds * 0.25, observed.seconds * _BEGIN)
    during = between(observed.records, observed.seconds * _BEGIN, observed.seconds)
    return {
        "ok": share(observed.records, is_ok),
        "reloads": said.count(RELOADED),
        "surprises": len(said) - said.count(RELOADED) - said.count(REFUSED),
        "versions": observed.grown("headgate_config_version") - said.count(RELOADED),
        "p99_ms": latency_ms(during, 99),
        "p50_of_quiet": latency_ms(during, 50) / latency_ms(quiet, 50),
        "fairness": fairness(observed.records),
    }


RELOAD = Scenario(
    name="reload",
    title=f"The file is reloaded every {EVERY_S:g} s at the peak, each fifth time with an error in it",
    seconds=20,
    least_seconds=16,
    tiers={"heavy": TierSpec(32, 32, 60), "lite": TierSpec(32, 32, 40)},
    crowds=_crowds,
    figures=_figures,
    disturb=_disturb,
    thresholds=(
        *ALWAYS,
        Threshold("ok", "whole right answers, streams included", at_least=1, unit="%"),
        Threshold("reloads", "files that were put in force", at_least=6),
        Threshold("surprises", "reloads that answered neither 200 nor, for an error, 422", at_most=0),
        Threshold("versions", "versions in force beyond the files taken", at_least=0, at_most=0),
        Threshold("p99_ms", "p99 of answers while it is reloaded (tier: 60 ms)", at_most=250, unit="ms"),
        Threshold("p50_of_quiet", "their median, as a multiple of that before", at_most=1.25),
        Threshold("fairness", "Jain's index over keys", at_least=0.99),
    ),
)
