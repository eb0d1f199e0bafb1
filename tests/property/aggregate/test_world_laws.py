"""The whole gateway with the plugin, in worlds of faults: clients, branches and machine on one virtual clock."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from ..exchange.scenario import Picker
from ..simulation.client import Got, Visitor
from ..simulation.drawn import draw_fate
from ..simulation.world import History, Scenario, play

NUM_WORLDS = 250
DEADLINE_S = 5.0
OUTCOMES = {"ok", "error", "timeout", "skipped"}


def draw_plugin(pick: Picker, num_branches: int) -> dict[str, Any]:
    """Draw what the route sets for the plugin; the last target is the judge, where there is one."""
    strategy = pick(("all", "first", "quorum", "best_of", "merge", "judge") if num_branches > 1 else ("all", "first"))
    options: dict[str, Any] = {"strategy": strategy, "parts": pick(("asked", "asked", "events"))}
    branches: dict[str, Any] = {}
    for number in range(num_branches - (strategy == "judge")):
        branch: dict[str, Any] = {}
        if strategy != "first" and pick((False, False, False, True)):
            branch["required"] = True
        if pick((False, False, True)):
            branch["timeout"] = pick(("200ms", "2s"))
        branches[f"cluster{number}"] = branch
    options["branches"] = branches
    if strategy == "quorum":
        options["agree_on"] = pick((None, "body", "content"))
    if strategy == "judge":
        options["judge"] = {"target": f"cluster{num_branches - 1}", "timeout": pick(("1s", "10s"))}
    return options


def draw_world(pick: Picker) -> Scenario:
    """Draw a world: some clients of one route, whose targets do what they like."""
    mood = pick(("any", "mild", "breaking", "any"))
    num_branches = pick((3, 2, 4, 1))
    fates = tuple((tuple(draw_fate(pick, mood) for _ in range(2)),) for _ in range(num_branches))
    visitors = []
    for number in range(pick((1, 2, 3))):
        request = {"model": "m", "stream": pick((True, False)), "messages": [{"role": "user", "content": "x"}]}
        leave_s = pick((None, None, None, 0.0, 0.05, 0.5, 1.5))
        visitors.append(Visitor(number, at=pick((0.0, 0.3)), body=json.dumps(request).encode(), leave_s=leave_s))
    options = {
        "deadline": f"{DEADLINE_S:g}s",
        "stages": {"aggregate": ["aggregate"]},
        "plugins": {"aggregate": draw_plugin(pick, num_branches)},
        "retry": {"attempts": pick((2, 1))},
        "on_break": pick(("error", "resume")),
    }
    return Scenario(
        tuple(visitors), fates, options=options, plugins={"plugins": {"aggregate": {}}}, seed=pick(tuple(range(8)))
    )


def seeded(seed: int) -> Scenario:
    return draw_world(Random(seed).choice)


@pytest.fixture(scope="module")
def histories() -> list[History]:
    return [play(seeded(seed)) for seed in range(NUM_WORLDS)]


def strategy_of(history: History) -> str:
    return str(history.scenario.options["plugins"]["aggregate"]["strategy"])


def test_nothing_is_left_and_nothing_crashes(histories: list[History]) -> None:
    for seed, history in enumerate(histories):
        assert (history.left, history.crashes) == ([], []), seed


def test_every_exchange_ends_in_time(histories: list[History]) -> None:
    for seed, history in enumerate(histories):
        for got in history.got:
            assert got.ended_at <= got.visitor.at + DEADLINE_S + 0.02, seed


def test_every_call_has_ended_when_its_exchange_has(histories: list[History]) -> None:
    for seed, history in enumerate(histories):
        ends = {got.visitor.number: got.ended_at for got in history.got}
        for site in history.sites:
            for visit in site.visits:
                assert visit.ended_at <= ends[visit.exchange] + 0.1, (seed, visit.site)


def test_each_client_gets_one_answer_that_is_whole_or_visibly_none(histories: list[History]) -> None:
    for seed, history in enumerate(histories):
        for got in history.got:
            if got.end == "left":
                continue
            try:
                check_answer(got, history)
            except AssertionError as error:
                raise AssertionError(f"seed {seed}, client {got.visitor.number}: {error}") from error


def check_answer(got: Got, history: History) -> None:
    assert got.status, "expected an answer"
    assert not got.extra
    if got.fields.get("content-type", "").startswith("text/event-stream"):
        if strategy_of(history) != "first":
            assert (got.body.count(b"event: headgate.end\n") == 1) is (got.end == "whole")
        return
    assert got.end == "whole" or strategy_of(history) == "first"
    told = got.fields.get("x-headgate-branches", "")
    outcomes = [item.partition("outcome=")[2].partition(";")[0] for item in told.split(", ")]
    is_judged = strategy_of(history) == "judge"
    assert len(outcomes) == len(history.scenario.fates) - is_judged
    assert set(outcomes) <= OUTCOMES
    if strategy_of(history) in ("all", "merge") and got.status == 200:
        assert isinstance(json.loads(got.body), dict)


def test_an_answer_is_one_that_a_branch_gave(histories: list[History]) -> None:
    """Of those that pass one on: byte by byte what one visit of this exchange wrote."""
    for seed, history in enumerate(histories):
        for got in history.got:
            is_passed_on = (
                strategy_of(history) == "best_of" and got.status == 200 and "headgate.end" not in str(got.body)
            )
            if got.end == "whole" and is_passed_on:
                written = [v.body for site in history.sites for v in site.visits if v.exchange == got.visitor.number]
                assert got.body in written, seed


def test_the_worlds_have_all_that_the_laws_speak_of(histories: list[History]) -> None:
    got = [got for history in histories for got in history.got]
    assert {"whole", "left", "cut"} <= {entry.end for entry in got}
    assert {200, 502, 504} <= {entry.status for entry in got}
    told = " ".join(entry.fields.get("x-headgate-branches", "") for entry in got)
    assert all(f"outcome={outcome}" in told for outcome in OUTCOMES)
    assert any(b"headgate.part" in entry.body for entry in got)
    assert any(b'"judge":{"failure":null}' in entry.body for entry in got)
    aborted = [v for history in histories for site in history.sites for v in site.visits if v.ended == "aborted"]
    assert len(aborted) > 50
