"""Every exchange keeps every law, whatever the plan, the faults, the gate and the client do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from .laws import LAWS
from .scenario import Scenario, scenarios
from .soak import held
from .world import Run, play


def test_the_first_worlds_keep_every_law() -> None:
    """The quickest of these tests, for whoever changes the machine: it ends at the first world that breaks a law."""
    for seed in range(600):
        held(seed)


@pytest.mark.parametrize("law", LAWS)
def test_law(law: str, worlds: list[Run]) -> None:
    for seed, run in enumerate(worlds):
        try:
            LAWS[law](run)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, {law}: {error}") from error


@settings(max_examples=250)
@given(scenarios)
def test_every_law_holds_of_any_world(scenario: Scenario) -> None:
    run = play(scenario)
    for law in LAWS.values():
        law(run)


@settings(max_examples=50)
@given(scenarios)
def test_the_same_world_gives_the_same_log(scenario: Scenario) -> None:
    """P40: nothing hidden decides anything: no clock, no chance."""
    assert play(scenario).log == play(scenario).log
