"""Runs one scenario: starts everything, lets the load come, looks on, and judges what was seen."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.processes import Running

from . import records
from .crowd import Load, dump
from .figures import percentile
from .knee import Level, knee, levels
from .records import UNSENT
from .resources import GENERATOR, OTHERS, Bounds, busiest, in_use
from .sampling import INTERVAL_S, Sampler
from .saturation import used_up
from .scenarios.scenario import Observed, Scenario, Timeline, always
from .slo import GENERATOR_WINDOW_S, Soundness, Verdict, judge, why_invalid
from .stand import Stand, stand

GENERATOR_COMMAND = (sys.executable, "-m", "loadtests.generator")
READY = "ready"
_START_S = 1.0  # from the word to begin to the beginning
_GRACE_S = 10.0
_LATE_S = 10.0  # beyond the grace, for the generator to write what it saw
_SETTLE_S = 3.0


@dataclass(frozen=True, slots=True)
class Done:
    """A scenario that was run."""

    scenario: Scenario
    observed: Observed
    figures: dict[str, float]
    verdicts: Sequence[Verdict]
    invalid: Sequence[str]
    soundness: Soundness
    levels: Sequence[Level]
    knee: int | None


async def run(scenario: Scenario, seconds: float, folder: Path) -> Done:
    """Run one scenario. Raises: RuntimeError where a process does not do what it is there for."""
    async with stand(folder, scenario.config, scenario.tiers) as place:
        observed = await _observe(scenario, seconds, place)
    figures = {**always(observed), **scenario.figures(observed)}
    soundness = _soundness(observed)
    found = levels(observed.records, scenario.staircase(seconds).steps()) if scenario.staircase else []
    return Done(
        scenario=scenario,
        observed=observed,
        figures=figures,
        verdicts=judge(scenario.thresholds, figures),
        invalid=why_invalid(soundness),
        soundness=soundness,
        levels=found,
        knee=knee(found) if found else None,
    )


def _soundness(observed: Observed) -> Soundness:
    others = [share for _, share in observed.rates.get(OTHERS, ())]
    return Soundness(
        generator_share=busiest(observed.rates.get(GENERATOR, ()), GENERATOR_WINDOW_S),
        others_share=sum(others) / max(len(others), 1),
        late_ms=1e3 * percentile((record.late_s for record in observed.records), 99),
        num_unsent=sum(record.outcome == UNSENT for record in observed.records),
    )


async def _observe(scenario: Scenario, seconds: float, place: Stand) -> Observed:
    """Let the load come, and look on."""
    load = Load(place.url, scenario.crowds(seconds), seconds, scenario.seed, _GRACE_S)
    paths = {name: place.folder / name for name in ("load.json", "begin", "records.jsonl")}
    paths["load.json"].write_text(json.dumps(dump(load)))
    arguments = (*GENERATOR_COMMAND, *map(str, paths.values()))
    output = place.folder / "generator.output"
    async with place.process(arguments, output, _is_ready) as generator:
        begin_s = time.monotonic() + _START_S
        sampler = Sampler(place, begin_s, {"generator": generator})
        timeline = Timeline(begin_s)
        sampler.samples.append(await sampler.look())
        _hand_over(paths["begin"], begin_s)
        await _watched(scenario, seconds, sampler, timeline)
        await _written(paths["records.jsonl"], generator)
    sampler.processes = {}
    await _settled(sampler)
    bounds = Bounds(scenario.tiers, scenario.pools(), len(place.cpus))
    rates = in_use([sample for sample in sampler.samples if sample.at_s <= seconds + 1], bounds)
    return Observed(
        seconds=seconds,
        records=list(records.read(paths["records.jsonl"])),
        samples=sampler.samples,
        marks=timeline.marks,
        bounds=bounds,
        rates=rates,
        saturation=used_up(rates),
    )


def _is_ready(output: str) -> int | None:
    """Say so in the way that a port is asked for: the generator has none."""
    return 0 if READY in output.split() else None


def _hand_over(path: Path, begin_s: float) -> None:
    part = path.with_suffix(".part")
    part.write_text(repr(begin_s))
    part.rename(path)


async def _watched(scenario: Scenario, seconds: float, sampler: Sampler, timeline: Timeline) -> None:
    """Look on until the load is over. Raises: what the scenario's own part or the looking raised."""
    looking = asyncio.create_task(sampler.look_on())
    try:
        await asyncio.gather(scenario.disturb(sampler.stand, timeline, seconds), timeline.until(seconds))
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _written(path: Path, generator: Running) -> None:
    """Wait for the records. Raises: RuntimeError where they do not come."""
    for _ in range(round((_GRACE_S + _LATE_S) / INTERVAL_S)):
        if _has_text(path):
            return
        await asyncio.sleep(INTERVAL_S)
    said = generator.output.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"expected records of the generator within {_GRACE_S + _LATE_S:g} s of the end, got: {said}")


def _has_text(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


async def _settled(sampler: Sampler) -> None:
    """Look until nothing is under way, but not for ever: what is left then is a finding."""
    for _ in range(round(_SETTLE_S / INTERVAL_S)):
        sample = await sampler.look()
        sampler.samples.append(sample)
        is_idle = not any(state.in_use or state.waiting for state in sample.tiers.values())
        if is_idle and not sample.metrics.total("headgate_inflight"):
            return
        await asyncio.sleep(INTERVAL_S)
