"""A whole run on real processes, but for the generator."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bench.processes import tree
from loadtests import run as runs
from loadtests.figures import is_by, is_ok, share
from loadtests.report.document import scenario as told
from loadtests.report.page import plots
from loadtests.scenarios import SCENARIOS
from loadtests.scenarios.scenario import ALWAYS, Actions, Observed, Timeline
from loadtests.slo import Threshold

STAND_IN = Path(__file__).with_name("plain_generator.py")


def figures(observed: Observed) -> Mapping[str, float]:
    late = [record for record in observed.records if record.due_s > observed.mark_s("dead")]
    return {"ok": share(observed.records, is_ok), "lite": share(late, is_by("lite"))}


async def kill(actions: Actions, timeline: Timeline, seconds: float) -> None:
    await timeline.until(seconds / 2)
    actions.kill_tier("heavy")
    timeline.mark("dead")
    assert await actions.reload() == 200


def test_a_run_starts_everything_looks_on_judges_and_ends_everything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runs, "GENERATOR_COMMAND", (sys.executable, str(STAND_IN)))
    before = tree(os.getpid())
    wanted = (Threshold("ok", "", at_least=1), Threshold("lite", "", at_least=1), Threshold("nothing", "", at_most=0))
    scenario = replace(SCENARIOS["heavy-dies"], thresholds=(*ALWAYS, *wanted), figures=figures, disturb=kill)
    done = asyncio.run(runs.run(scenario, 2, tmp_path))
    missed = [one.threshold.figure for one in done.verdicts if not one.is_met]
    assert missed == ["nothing"]
    assert len(done.observed.records) == 20
    assert done.observed.grown("headgate_requests_total") == 20
    assert done.observed.grown("headgate_config_version") == 1
    assert {"gateway CPU", "generator CPU", "all cores", "lite slots"} <= set(done.observed.rates)
    assert 0 < max(value for _, value in done.observed.rates["heavy slots"]) < 0.5
    document = json.loads(json.dumps(told(done), allow_nan=False))
    assert document["outcomes"] == {"ok": 20} and document["marks"][0][1] == "dead"
    assert len(plots(document)) == 8
    assert set(tree(os.getpid())) == set(before)


def test_a_generator_that_fails_is_told_with_what_it_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failing = tmp_path / "failing.py"
    failing.write_text("raise SystemExit('no locust here')")
    monkeypatch.setattr(runs, "GENERATOR_COMMAND", (sys.executable, str(failing)))
    with pytest.raises(RuntimeError, match="no locust here"):
        asyncio.run(runs.run(SCENARIOS["heavy-dies"], 2, tmp_path))
