"""Laws of tallies: the sums are those of adding one by one, and twin and compiled one agree to the bit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headgate.ext import IMPLEMENTATIONS, implementation
from headgate.ext.tally import Row, Step, Tally

BOUNDS = st.lists(st.floats(0, 100) | st.sampled_from((0.0, 1.0, 2.0)), unique=True, max_size=20).map(sorted).map(tuple)
NUMBERS = st.floats(0, 1e12) | st.integers(0, 2**60) | st.sampled_from((0, 1, 2, 1.0, 5e-324))
STEPS = st.lists(st.tuples(st.integers(0, 2) | st.none(), st.none() | BOUNDS), max_size=8)


def rows_of(steps: list[tuple[int | None, tuple[float, ...] | None]]) -> list[Row]:
    sizes = [1 if bounds is None or place is None else len(bounds) + 2 for place, bounds in steps]
    return [memoryview(bytearray(8 * size)).cast("d") for size in sizes]


@given(STEPS, st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), max_size=8))
def test_sums_are_those_of_adding_one_by_one_to_the_bit(
    steps: list[tuple[int | None, tuple[float, ...] | None]], sets: list[tuple[float, float, float]]
) -> None:
    found = []
    for which in IMPLEMENTATIONS:
        kind: type[Tally] = implementation("tally", which).Tally
        rows = rows_of(steps)
        tally = kind([Step(r, place, None if place is None else b) for r, (place, b) in zip(rows, steps, strict=True)])
        for values in sets:
            tally.add(values)
        found.append([row.tolist() for row in rows])
    wanted: list[list[float]] = [[0.0] * len(row) for row in rows_of(steps)]
    for values in sets:
        for row, (place, bounds) in zip(wanted, steps, strict=True):
            number = 1.0 if place is None else float(values[place])
            if bounds is None or place is None:
                row[0] += number
            else:
                row[sum(bound < number for bound in bounds)] += 1.0
                row[-1] += number
    assert all(each == wanted for each in found)
