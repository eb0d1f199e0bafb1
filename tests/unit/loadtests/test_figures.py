"""Shares, percentiles and fairness."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.figures import answered_by_key, fairness, is_by, is_ok, jain, latency_ms, over_time, percentile, share
from loadtests.records import LIMITED, REFUSED

from .made_up import record


def test_a_percentile_is_one_of_the_values() -> None:
    values = list(range(1, 101))
    assert [percentile(values, at) for at in (1, 50, 99, 100)] == [1, 50, 99, 100]
    assert percentile([7.0], 50) == 7.0 and percentile([], 99) == 0.0


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(1, 100))
def test_a_percentile_has_its_share_at_or_below_it(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert sum(value <= found for value in values) >= percent / 100 * len(values) - 1e-6
    assert sum(value < found for value in values) <= percent / 100 * len(values) + 1e-6


@pytest.mark.parametrize(
    ("shares", "expected"),
    [([1, 1, 1, 1], 1.0), ([1, 0, 0, 0], 0.25), ([1, 1, 0, 0], 0.5), ([3, 1], 0.8), ([0, 0], 1.0)],
)
def test_jains_index(shares: list[float], expected: float) -> None:
    assert jain(shares) == pytest.approx(expected)


@given(st.lists(st.floats(0.001, 1000), min_size=1), st.floats(0.1, 10))
def test_jains_index_lies_between_one_nth_and_one_and_knows_no_unit(shares: list[float], factor: float) -> None:
    found = jain(shares)
    assert 1 / len(shares) - 1e-9 <= found <= 1 + 1e-9
    assert jain([share * factor for share in shares]) == pytest.approx(found)


def test_fairness_is_of_shares_not_of_numbers() -> None:
    often = [record(key="a") for _ in range(90)]
    seldom = [record(key="b") for _ in range(10)]
    assert fairness([*often, *seldom]) == pytest.approx(1)
    starved = [record(key="b", outcome=REFUSED) for _ in range(10)]
    assert fairness([*often, *starved]) == pytest.approx(0.5)
    assert answered_by_key([*often, *starved]) == {"a": 90, "b": 0}


def test_shares_and_times_are_of_what_they_say() -> None:
    records = [record(), record(seconds=9, outcome=LIMITED, target=""), record(target="lite/lite", seconds=0.1)]
    assert share(records, is_ok) == pytest.approx(2 / 3)
    assert share(records, is_by("lite")) == pytest.approx(1 / 3)
    assert share([], is_ok) == 0.0
    assert latency_ms(records, 99) == pytest.approx(100)  # a refusal is no answer, however long it took


def test_a_figure_over_time_is_of_what_was_due_then() -> None:
    records = [record(0.1), record(0.9), record(2.5), record(3.0)]
    assert over_time(records, len, 3) == [(0.5, 2), (1.5, 0), (2.5, 2)]
