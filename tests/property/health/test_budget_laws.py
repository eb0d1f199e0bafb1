"""P6: retries and hedges of a window are bounded by its requests, whatever the schedule."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.proxy.upstream.health.budget import NUM_BUCKETS, RetryBudget, Window

WINDOW = NUM_BUCKETS  # ticks, so that a part of the window is one
RATIOS = st.sampled_from((0.0, 0.125, 0.25, 0.5, 1.0))
FLOORS = st.sampled_from((0.0, 0.125, 0.25, 0.5))
BEGINNINGS = st.sampled_from((0.0, 1000.0))  # a clock may begin with the budget
# Ticks gone by since the step before, in quarters; then that many requests, and that many asks for a retry.
STEPS = st.lists(
    st.tuples(st.integers(0, 12) | st.integers(0, 400), st.integers(0, 6), st.integers(0, 12)), min_size=1, max_size=60
)


@dataclass
class Log:
    """What happened, instant by instant: what the budget itself does not keep."""

    deposits: list[float] = field(default_factory=list)
    grants: list[float] = field(default_factory=list)

    def num_deposits(self, first: float, last: float) -> int:
        return sum(first <= instant <= last for instant in self.deposits)

    def num_grants(self, first: float, last: float) -> int:
        return sum(first <= instant <= last for instant in self.grants)


def drive(
    budget: RetryBudget, steps: list[tuple[int, int, int]], ratio: float, floor: float, beginning: float = 1000.0
) -> Log:
    """Follow the schedule; hold every answer against the log."""
    log, now = Log(), beginning
    for quarters, num_requests, num_retries in steps:
        now += quarters / 4
        for _ in range(num_requests):
            budget.deposit(now)
            log.deposits.append(now)
        for _ in range(num_retries):
            left = budget.remaining(now)
            is_granted = budget.withdraw(now)
            assert is_granted is (left >= 1)
            if is_granted:
                log.grants.append(now)
            else:
                check_not_stingy(log, now, ratio, floor)
    return log


def check_not_stingy(log: Log, now: float, ratio: float, floor: float) -> None:
    """A refusal is due where the window is counted one part longer for grants, one shorter for requests."""
    num_granted = log.num_grants(now - WINDOW - 1, now)
    num_requests = log.num_deposits(now - WINDOW + 1, now)
    assert num_granted + 1 > ratio * num_requests + floor * WINDOW


@given(RATIOS, FLOORS, STEPS, BEGINNINGS)
@settings(max_examples=200, deadline=None)
def test_p6_no_window_up_to_a_grant_holds_more_than_its_share(
    ratio: float, floor: float, steps: list[tuple[int, int, int]], beginning: float
) -> None:
    log = drive(RetryBudget(ratio, floor, WINDOW), steps, ratio, floor, beginning)
    for instant in log.grants:
        first = instant - WINDOW
        allowed = Fraction(ratio) * log.num_deposits(first, instant) + Fraction(floor) * WINDOW
        assert log.num_grants(first, instant) <= allowed


@given(RATIOS, FLOORS, STEPS, st.integers(0, 4000))
@settings(max_examples=200, deadline=None)
def test_p6_no_window_anywhere_holds_more_than_twice_its_length_allows(
    ratio: float, floor: float, steps: list[tuple[int, int, int]], offset: int
) -> None:
    log = drive(RetryBudget(ratio, floor, WINDOW), steps, ratio, floor)
    last = 1000.0 + offset / 4
    allowed = Fraction(ratio) * log.num_deposits(last - 2 * WINDOW, last) + Fraction(floor) * WINDOW
    assert log.num_grants(last - WINDOW, last) <= allowed


@given(STEPS)
def test_p6_the_memory_does_not_grow(steps: list[tuple[int, int, int]]) -> None:
    budget = RetryBudget(0.25, 0.5, WINDOW)
    drive(budget, steps, 0.25, 0.5)
    parts = [getattr(budget, name) for name in budget.__slots__]
    windows = [part for part in parts if isinstance(part, Window)]
    kept = [getattr(window, name) for window in windows for name in window.__slots__]
    assert [len(value) for value in kept if isinstance(value, list)] == [NUM_BUCKETS + 1] * 2


@given(STEPS)
def test_p6_budgets_that_share_their_deposits_grant_as_they_would_alone(steps: list[tuple[int, int, int]]) -> None:
    retries, hedges = RetryBudget(0.5, 0.25, WINDOW), RetryBudget(0.125, 0.5, WINDOW)
    shared = RetryBudget(0.5, 0.25, WINDOW)
    beside = RetryBudget(0.125, 0.5, WINDOW, deposits=shared.deposits)
    now = 1000.0
    for quarters, num_requests, num_asks in steps:
        now += quarters / 4
        for _ in range(num_requests):
            retries.deposit(now)
            hedges.deposit(now)
            shared.deposit(now)
        for number in range(num_asks):
            alone, together = (hedges, beside) if number % 2 else (retries, shared)
            assert together.withdraw(now) is alone.withdraw(now)


@given(STEPS)
def test_without_floor_and_requests_nothing_is_granted(steps: list[tuple[int, int, int]]) -> None:
    log = drive(RetryBudget(1.0, 0.0, WINDOW), [(quarters, 0, asks) for quarters, _, asks in steps], 1.0, 0.0)
    assert not log.grants
