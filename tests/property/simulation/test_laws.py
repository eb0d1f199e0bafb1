"""The whole gateway keeps every law in any world: clients, stages, machine and driver on one virtual clock."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from .drawn import seeded, worlds
from .laws import LAWS
from .soak import held
from .world import History, Scenario, play

NUM_WORLDS = 400


@pytest.fixture(scope="module")
def histories() -> list[History]:
    return [play(seeded(seed)) for seed in range(NUM_WORLDS)]


@pytest.mark.parametrize("law", LAWS)
def test_law(law: str, histories: list[History]) -> None:
    for seed, history in enumerate(histories):
        try:
            LAWS[law](history)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, {law}: {error}") from error


def test_the_worlds_have_all_that_the_laws_speak_of(histories: list[History]) -> None:
    """Or they would hold of nothing."""
    got = [got for history in histories for got in history.got]
    visits = [visit for history in histories for site in history.sites for visit in site.visits]
    errors = {outcome.error for history in histories for _, outcome in history.outcomes}
    assert any(visit.is_waiting and visit.ended == "aborted" for visit in visits)
    assert {"whole", "cut", "reset", "left"} == {entry.end for entry in got}
    assert {
        "whole",
        "aborted",
        "end",
        "reset",
        "error",
        "malformed",
    } <= {v.ended for v in visits}
    assert any(visit.cursors for visit in visits)
    assert any(entry.fields.get("x-headgate-fallback") for entry in got)
    wanted = {None, "client_gone", "deadline", "truncated", "error_event", "malformed_event", "stalled"}
    assert wanted <= errors


@settings(max_examples=40)
@given(worlds)
def test_every_law_holds_of_any_world(scenario: Scenario) -> None:
    history = play(scenario)
    for law in LAWS.values():
        law(history)


def test_a_world_is_the_same_every_time() -> None:
    """P40: no clock, no chance, no order of a set decides anything."""
    for seed in range(30):
        assert play(seeded(seed)).transcript() == play(seeded(seed)).transcript()


def test_a_world_of_the_soak_is_one_of_these() -> None:
    assert held(3).transcript() == play(seeded(3)).transcript()
