"""The retry budget by example."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from headgate.proxy.upstream.health.budget import BudgetSettings, RetryBudget, Window


def grants(budget: RetryBudget, now: float, asks: int) -> int:
    return sum(budget.withdraw(now) for _ in range(asks))


@pytest.mark.parametrize("arguments", [(), astuple(BudgetSettings())])
def test_where_nobody_has_tuned_it_there_is_a_floor_of_a_hundred_and_a_fifth_of_the_requests(
    arguments: tuple[float, ...],
) -> None:
    budget = RetryBudget(*arguments)
    assert grants(budget, 1000.0, 500) == 100
    for _ in range(50):
        budget.deposit(1000.0)
    assert grants(budget, 1000.0, 500) == 10
    assert grants(budget, 1010.4, 500) == 0
    assert grants(budget, 1010.5, 500) == 100, "all that was is forgotten"


def test_requests_add_their_share_for_one_window() -> None:
    budget = RetryBudget(ratio=0.2, floor_per_s=0.0, window_s=10.0)
    for _ in range(50):
        budget.deposit(100.0)
    assert budget.remaining(109.0) == 10
    assert grants(budget, 109.0, 6) == 6
    assert grants(budget, 109.4, 10) == 4
    assert budget.remaining(110.0) == 0


def test_what_was_granted_comes_back_after_the_window() -> None:
    budget = RetryBudget(ratio=0.0, floor_per_s=1.0, window_s=10.0)
    assert grants(budget, 5.0, 50) == 10
    assert grants(budget, 15.4, 50) == 0
    assert grants(budget, 15.5, 50) == 10  # at most one twentieth of the window late


def test_what_is_granted_as_the_clock_begins_is_kept_for_the_whole_window() -> None:
    budget = RetryBudget(ratio=0.0, floor_per_s=1.0, window_s=10.0)
    assert grants(budget, 0.4, 4) == 4
    assert grants(budget, 0.9, 50) == 6
    assert grants(budget, 10.4, 50) == 0
    assert grants(budget, 10.8, 50) == 4
    assert grants(budget, 11.0, 50) == 6


def test_a_window_may_be_shorter_than_a_second() -> None:
    budget = RetryBudget(ratio=0.0, floor_per_s=10.0, window_s=0.5)
    assert [grants(budget, now, 50) for now in (7.0, 7.5, 7.53)] == [5, 0, 5]


def test_a_clock_that_stands_or_is_behind_gives_nothing_away() -> None:
    budget = RetryBudget(ratio=0.0, floor_per_s=1.0, window_s=10.0)
    assert grants(budget, 500.0, 50) == 10
    assert grants(budget, 100.0, 50) == 0
    assert grants(budget, 500.0, 50) == 0


@pytest.mark.parametrize(
    ("ratio", "floor", "window", "got"),
    [
        (-0.1, 1.0, 1.0, "-0.1, 1.0/s over 1.0 s"),
        (0.1, -1.0, 1.0, "0.1, -1.0/s over 1.0 s"),
        (0.1, 1.0, 0.0, "0.1, 1.0/s over 0.0 s"),
    ],
)
def test_senseless_settings_are_refused(ratio: float, floor: float, window: float, got: str) -> None:
    with pytest.raises(ValueError) as caught:
        RetryBudget(ratio, floor, window)
    assert str(caught.value) == f"expected ratio and floor of at least 0 over a window above 0 s, got {got}"


@pytest.mark.parametrize(("now", "kept"), [(0.4, [1, 0, 0]), (0.5, [1, 1, 0]), (0.9, [1, 1, 0]), (1.0, [1, 1, 1])])
def test_a_window_keeps_what_happened_until_its_part_has_left_it(now: float, kept: list[int]) -> None:
    window = Window(10.0)
    window.add(now)
    found = []
    for instant in (10.4, 10.9, 11.4):
        window.advance(instant)
        found.append(window.kept)
    assert found == kept


def test_the_part_that_is_cut_by_the_beginning_is_kept_but_not_recent() -> None:
    window = Window(10.0)
    for now in (1.0, 1.4, 1.5):
        window.add(now)
    window.advance(11.0)
    assert (window.kept, window.recent) == (3, 1)
