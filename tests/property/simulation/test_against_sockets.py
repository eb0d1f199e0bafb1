"""What happens in a simulated world happens on real sockets: the same answers, from the same endpoints."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .drawn import seeded
from .sockets import at_once, play_on_sockets
from .world import History, Scenario, play

NUM_WORLDS = 80
TOLD = ("content-type", "x-author", "x-headgate-target", "x-headgate-attempts", "x-headgate-fallback")


def in_turn(scenario: Scenario) -> Scenario:
    """Let each client come when the one before is long gone."""
    return replace(scenario, visitors=tuple(replace(v, at=30.0 * v.number) for v in scenario.visitors))


def told(history: History) -> list[Any]:
    """Return what every client got, and what every endpoint was asked."""
    answers = [
        (got.status, got.end, got.body if got.end != "reset" else b"", [got.fields.get(name) for name in TOLD])
        for got in history.got
    ]
    asked = [[(v.exchange, v.cursors, v.ended) for v in site.visits] for site in history.sites]
    errors = [(number, outcome.error) for number, outcome in history.outcomes]
    return [answers, asked, errors]


def test_simulated_worlds_are_true_on_real_sockets() -> None:
    for seed in range(NUM_WORLDS):
        scenario = at_once(seeded(seed))
        scenario = replace(scenario, visitors=scenario.visitors[:1])
        simulated, real = told(play(in_turn(scenario))), told(play_on_sockets(scenario))
        assert simulated == real, f"seed {seed}"
