"""The retry budget by example."""

from __future__ import annotations

import pytest

from headgate.proxy.upstream.health.budget import RetryBudget


def grants(budget: RetryBudget, now: float, asks: int) -> int:
    return sum(budget.withdraw(now) for _ in range(asks))


def test_a_quiet_cluster_has_the_floor_of_one_window() -> None:
    assert grants(RetryBudget(), 1000.0, 500) == 100


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
    assert grants(budget, 14.9, 50) == 0
    assert grants(budget, 15.5, 50) == 10  # at most one twentieth of the window late


def test_a_clock_that_stands_or_is_behind_gives_nothing_away() -> None:
    budget = RetryBudget(ratio=0.0, floor_per_s=1.0, window_s=10.0)
    assert grants(budget, 500.0, 50) == 10
    assert grants(budget, 100.0, 50) == 0
    assert grants(budget, 500.0, 50) == 0


@pytest.mark.parametrize(("ratio", "floor", "window"), [(-0.1, 1.0, 1.0), (0.1, -1.0, 1.0), (0.1, 1.0, 0.0)])
def test_senseless_settings_are_refused(ratio: float, floor: float, window: float) -> None:
    with pytest.raises(ValueError, match="expected ratio and floor of at least 0 over a window above 0 s, got "):
        RetryBudget(ratio, floor, window)
