"""The knee of curves whose knee is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.knee import Level, holds_up, knee, levels
from loadtests.records import REFUSED
from loadtests.shapes.staircase import Staircase, Step

from .made_up import record


def single_server(rate: float, offered: float) -> Level:
    """A queue in front of one server, in balance: M/M/1."""
    return Level(offered, offered, 1e3 / (rate - offered), 0.0)


def hard_limit(capacity: float, service_ms: float, offered: float) -> Level:
    """Slots that take a fixed time: nothing waits below the capacity, a bounded queue does above it."""
    is_below = offered <= capacity
    return Level(offered, min(offered, capacity), service_ms if is_below else 3 * service_ms, 0.0)


def test_the_knee_of_one_server_is_half_its_rate() -> None:
    found = [single_server(100, offered) for offered in range(5, 100, 5)]
    assert found[knee(found)].offered == 50  # λ (μ - λ) is greatest at μ / 2


@given(st.floats(1, 1000), st.floats(1, 500))
def test_the_knee_of_slots_is_the_last_step_that_they_can_do(capacity: float, service_ms: float) -> None:
    found = [hard_limit(capacity, service_ms, capacity * share) for share in (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2)]
    assert knee(found) == 3


def test_what_answers_nobody_has_no_power() -> None:
    found = [Level(10, 10, 50, 60), Level(20, 0, 0, 0)]
    assert knee(found) == 0
    with pytest.raises(ValueError, match="levels"):
        knee([])


def test_a_collapse_shows() -> None:
    held = [hard_limit(100, 10, offered) for offered in (50, 100, 200)]
    assert holds_up(held) == 1
    assert holds_up([*held, Level(400, 20, 10, 10)]) == pytest.approx(0.2)
    assert holds_up([Level(10, 0, 0, 0)]) == 0


def test_levels_are_taken_without_the_beginning_of_each_step() -> None:
    steps = Staircase(10, 20, 2, 8).steps()
    early = [record(0.5, seconds=0.2), record(0.5, seconds=2)]  # due in the first quarter; one ends after it
    first = [record(1 + n / 10) for n in range(30)]
    second = [record(5 + n / 20) for n in range(60)]
    refused = [record(6.0, outcome=REFUSED), record(6.5, outcome=REFUSED)]
    found = levels([*early, *first, *second, *refused], steps)
    assert [level.offered for level in found] == pytest.approx([10, 62 / 3])
    assert [level.answered for level in found] == pytest.approx([31 / 3, 59 / 3])  # the last one ended too late
    assert [level.p50_ms for level in found] == pytest.approx([50, 50])


def test_a_step_without_answers_is_a_level_without() -> None:
    assert levels([], [Step(0, 4, 10)]) == [Level(0, 0, 0, 0)]
