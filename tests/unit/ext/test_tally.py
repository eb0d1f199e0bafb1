"""Rows that grow together."""

from __future__ import annotations

import gc
import math
from collections.abc import Sequence
from typing import Any

import pytest

from headgate.ext.tally import Row, Step, Tally

BOUNDS = (0.5, 1.0, 2.0)


def row(num: int) -> Row:
    return memoryview(bytearray(8 * num)).cast("d")


def test_a_count_grows_by_one_or_by_its_value_and_a_histogram_where_its_value_belongs(tally_type: type[Tally]) -> None:
    calls, sent, took = row(1), row(1), row(5)
    tally = tally_type([Step(calls), Step(sent, 1), Step(took, 0, BOUNDS)])
    for took_s, num in ((0.0, 7), (0.5, 0), (math.nextafter(0.5, 1), 2**40), (2.0, 1.5), (2.1, 1)):
        tally.add((took_s, num))
    assert (calls.tolist(), sent.tolist()) == ([5.0], [9.5 + 2**40])
    assert took.tolist()[:4] == [2.0, 1.0, 1.0, 1.0] and took[4] == pytest.approx(5.1)


def test_one_row_may_take_several_steps(tally_type: type[Tally]) -> None:
    total = row(1)
    tally_type([Step(total, 0), Step(total, 2), Step(total)]).add((2, None, 3))
    assert total[0] == 6.0


def test_nothing_to_do_is_nothing(tally_type: type[Tally]) -> None:
    tally_type([]).add(())


def test_a_histogram_without_bounds_has_one_count(tally_type: type[Tally]) -> None:
    took = row(2)
    tally_type([Step(took, 0, ())]).add((3.0,))
    assert took.tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ((1.0, -0.1), ValueError),
        ((1.0, math.nan), ValueError),
        ((1.0, math.inf), ValueError),
        ((1.0,), IndexError),
        ((1.0, None), TypeError),
        ((1.0, ()), TypeError),
        ((1.0, 10**400), OverflowError),
    ],
)
def test_a_wrong_value_adds_nothing_at_all(
    tally_type: type[Tally], values: tuple[Any, ...], error: type[Exception]
) -> None:
    first, second = row(1), row(5)
    tally = tally_type([Step(first, 0), Step(second, 1, BOUNDS), Step(first)])
    with pytest.raises(error):
        tally.add(values)
    assert first.tolist() == [0.0] and second.tolist() == [0.0] * 5


@pytest.mark.parametrize(
    "steps",
    [[Step(row(2))], [Step(row(4), 0, BOUNDS)], [Step(row(6), 0, BOUNDS)], [Step(row(5), None, BOUNDS)]],
)
def test_a_row_that_does_not_fit_its_step_is_refused(tally_type: type[Tally], steps: Sequence[Step]) -> None:
    with pytest.raises(ValueError, match="expected"):
        tally_type(steps)


def test_a_place_below_zero_is_refused(tally_type: type[Tally]) -> None:
    with pytest.raises(ValueError, match="0 or more, got -1"):
        tally_type([Step(row(1), -1)])


def test_rows_stay_for_as_long_as_a_tally_adds_to_them(tally_type: type[Tally]) -> None:
    memory = bytearray(24)
    tally = tally_type([Step(memoryview(memory)[8:16].cast("d"))])
    gc.collect()
    tally.add(())
    assert memoryview(memory).cast("d").tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(BufferError):
        memory.clear()
