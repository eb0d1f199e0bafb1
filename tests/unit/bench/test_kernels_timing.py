"""What is decided before a kernel is timed, and what its times come to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.kernels.timing import MAX_LAUNCHES, MAX_SETS, Timing, num_rounds, num_sets, summed_up

L2 = 50 << 20


def test_inputs_rotate_until_they_fill_the_cache_three_times() -> None:
    assert num_sets(moved_bytes=L2, set_bytes=L2, cache_bytes=L2, free_bytes=80 << 30) == 3
    assert num_sets(moved_bytes=4 * L2, set_bytes=4 * L2, cache_bytes=L2, free_bytes=80 << 30) == 1
    assert num_sets(moved_bytes=1, set_bytes=512, cache_bytes=L2, free_bytes=80 << 30) == MAX_SETS


def test_inputs_larger_than_what_is_moved_do_not_fill_the_memory() -> None:
    assert num_sets(moved_bytes=L2 // 10, set_bytes=20 << 30, cache_bytes=L2, free_bytes=60 << 30) == 1
    assert num_sets(moved_bytes=L2 // 10, set_bytes=5 << 30, cache_bytes=L2, free_bytes=60 << 30) == 4


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.integers(0, 2**37))
def test_there_is_always_one_set_and_never_too_many(moved: int, size: int, free: int) -> None:
    assert 1 <= num_sets(moved, size, L2, free) <= MAX_SETS


def test_a_graph_is_long_enough_for_its_gap_not_to_count() -> None:
    assert num_rounds(call_us=10.0, num_calls=4) == 50
    assert num_rounds(call_us=5000.0, num_calls=1) == 1


@given(st.floats(0, 1e6), st.integers(1, MAX_SETS))
def test_a_graph_holds_each_call_at_least_once_and_not_too_many(us: float, calls: int) -> None:
    assert calls <= num_rounds(us, calls) * calls <= MAX_LAUNCHES


def test_samples_come_to_their_median_and_spread() -> None:
    found = summed_up([float(number) for number in range(1, 102)], "graph")
    assert found == Timing(51.0, 11.0, 91.0, "graph")
    assert summed_up([7.0], "calls") == Timing(7.0, 7.0, 7.0, "calls")
    with pytest.raises(ValueError, match="at least one"):
        summed_up([], "graph")
