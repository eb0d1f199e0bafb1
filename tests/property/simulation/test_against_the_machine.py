"""The gateway does with a fate what the machine does with it by itself: the same attempts at the same instants."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from headgate.proxy.exchange.plan import CAUSES, Timeouts
from headgate.proxy.exchange.states import State
from headgate.proxy.upstream.cluster import Cluster

from ..exchange import scenario as pure
from ..exchange import world as machine
from ..exchange.log import Ended, Given, Heard
from .client import Visitor
from .stepping import SteppingSite, comparable, route_of
from .world import Clock, Scenario, play

NUM_WORLDS = 300
BODY = b'{"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]}'
# Breakers, budgets and ejections are the gate's, and have tests of their own: here they are out of the way.
OPEN_HEALTH = {
    "breaker": {"failures": 1000},
    "outlier": {"failures": 1000},
    "retry_budget": {"ratio": 1.0, "floor": 1000},
}


def alone(world: pure.Scenario, *, is_own: bool) -> tuple[list[tuple[int, float]], str]:
    """Return when the machine, played by itself, asks which target, and how the exchange ends."""
    run = machine.Run(world)
    run.machine.is_resumable = is_own
    while run.next_at() < machine.NEVER:
        run.step()
    attempts = [(entry.target, round(entry.starts_at - machine.BEGUN_AT, 6)) for entry in run.log.of(Given)]
    (ended,) = run.log.of(Ended)
    if ended.state is State.DONE:
        return attempts, "whole"
    kind = ended.kind
    if ended.state is State.BROKEN and kind != "deadline":  # the client hears of the break, not of what was tried after
        kind = [entry.kind for entry in run.log.of(Heard) if entry.state is State.COMMITTED][-1]
    return attempts, CAUSES.get(kind, kind)


def together(world: pure.Scenario, *, is_own: bool) -> tuple[list[tuple[int, float]], str]:
    """Return the same of the whole gateway, as its endpoints and its log saw it."""
    plan = world.plan
    scenario = Scenario(
        (Visitor(0, body=BODY, fields=(() if plan.is_fallback_allowed else (("X-Headgate-Fallback", "off"),))),),
        tuple(((),) for _ in plan.timeouts),
    )
    options = route_of(plan, scenario.names)

    def sites(clock: Clock) -> list[SteppingSite]:
        return [SteppingSite(fates, is_own, clock) for fates in world.fates[: len(plan.timeouts)]]

    history = play(Stepped(scenario, options, plan.timeouts), sites)
    assert not history.crashes and not history.left, (history.crashes, history.left)
    attempts = [(target, round(at, 6)) for target, site in enumerate(history.sites) for at in site.begun]
    ((_, outcome),) = history.outcomes
    error = outcome.error
    return sorted(attempts, key=lambda entry: entry[1]), "whole" if error is None else CAUSES.get(error, error)


class Stepped(Scenario):
    """A scenario whose clusters differ in their timeouts: also in what a configuration would be refused for."""

    def __init__(self, like: Scenario, options: dict[str, Any], timeouts: tuple[Timeouts, ...]) -> None:
        super().__init__(like.visitors, like.fates, options=options, cluster_options=OPEN_HEALTH)
        object.__setattr__(self, "timeouts", timeouts)

    def adjust(self, clusters: Mapping[str, Cluster]) -> None:
        """Give each cluster its own timeouts."""
        timeouts: tuple[Timeouts, ...] = self.timeouts  # type: ignore[attr-defined]
        for name, own in zip(self.names, timeouts, strict=True):
            clusters[name].settings = replace(clusters[name].settings, timeouts=own)


def compare(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Play the world of a seed both ways. Raises: AssertionError, with the seed."""
    is_own = seed % 2 == 0
    world = comparable(pure.seeded(seed), is_own=is_own)
    monkeypatch.setattr(random, "random", lambda: world.random)
    expected = alone(world, is_own=is_own)
    got = together(world, is_own=is_own)
    told = f"seed {seed}: expected {expected}, got {got}"
    assert got[1] == expected[1] and len(got[0]) == len(expected[0]), told
    for (target, at), (wanted, wanted_at) in zip(got[0], expected[0], strict=True):
        assert target == wanted and at == pytest.approx(wanted_at, abs=1e-4), told


@pytest.mark.parametrize("part", range(4))
def test_the_gateway_does_what_the_machine_does_alone(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(part * NUM_WORLDS // 4, (part + 1) * NUM_WORLDS // 4):
        compare(seed, monkeypatch)
