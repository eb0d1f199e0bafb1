"""Two worlds that differ in one thing: what has to be the same, is."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.proxy.exchange.plan import HoldRule

from .conftest import SEEDS
from .log import Began, Committed, Ended, Given, Heard
from .scenario import Fate, Scenario, scenarios, seeded
from .world import Run, play


def chosen(run: Run) -> list[tuple[int, str, float]]:
    """Return the attempts up to the first answer that began: targets, purposes, starts."""
    began = run.log.of(Began)
    given = run.log.of(Given)
    if began:
        given = [entry for entry in given if entry.number <= began[0].number or entry.at < began[0].at]
    return [(entry.target, entry.purpose, entry.starts_at) for entry in given]


def check_held_back_alike(scenario: Scenario) -> None:
    streamed = replace(scenario, plan=replace(scenario.plan, hold=None))
    held = replace(scenario, plan=replace(scenario.plan, hold=HoldRule(is_whole=True)))
    assert chosen(play(streamed)) == chosen(play(held))


def check_one_target(scenario: Scenario) -> None:
    run = play(replace(scenario, plan=replace(scenario.plan, is_fallback_allowed=False)))
    assert {entry.target for entry in run.log.of(Given)} <= {0}


def check_passes(scenario: Scenario, status: int) -> None:
    fates = tuple((Fate(status=status),) for _ in scenario.fates)
    plan = replace(scenario.plan, hedge=None)
    run = play(replace(scenario, plan=plan, fates=fates, gone_after=None))
    if run.log.of(Heard):
        assert len(run.log.of(Given)) == len(run.log.of(Heard)) == 1
        assert [entry.status for entry in run.log.of(Committed)] == [status] or run.plan.deadline <= run.now
    else:
        assert run.log.of(Ended)[0].kind in ("internal", "unavailable", "deadline")


@settings(max_examples=100)
@given(scenarios)
def test_held_back_and_streamed_answers_come_from_the_same_target(scenario: Scenario) -> None:
    """P17: whether the answer is held back changes nothing about who is asked before it begins."""
    check_held_back_alike(scenario)


@settings(max_examples=50)
@given(scenarios)
def test_without_fallback_one_target_is_asked(scenario: Scenario) -> None:
    """P16: a client that wants no fallback gets none, streamed or not."""
    check_one_target(scenario)


@settings(max_examples=50)
@given(scenarios, st.sampled_from((400, 401, 403, 404, 413, 422)))
def test_the_clients_own_fault_is_passed_on_after_one_attempt(scenario: Scenario, status: int) -> None:
    """P8: nobody else is asked what the first target refused for the client's own fault."""
    check_passes(scenario, status)


def test_so_it_is_in_hundreds_of_seeded_worlds() -> None:
    for seed in range(SEEDS, SEEDS + 300):
        scenario = seeded(seed)
        check_held_back_alike(scenario)
        check_one_target(scenario)
        check_passes(scenario, 404)
