"""Sums of several rows of numbers, the twin in Python: the specification of `_tally_c`."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

Row: TypeAlias = "memoryview[float]"  # 64-bit floats, in line


class Step(NamedTuple):
    """What is done to one row: it grows by the value at `place`, or by 1 where that is None.

    With `bounds` (ascending) the row is a histogram: a count for each bound, one for what is above the last, and the
    sum of the values. The first count whose bound is not below the value grows by 1, the sum by the value.
    """

    row: Row
    place: int | None = None
    bounds: tuple[float, ...] | None = None


class Tally:
    """Rows that grow together, each by its part of the same few values."""

    def __init__(self, steps: Sequence[Step]) -> None:
        """Raises: ValueError where a row is shorter than its step needs, or a place is below 0."""
        self._steps = tuple(steps)
        for row, place, bounds in self._steps:
            needed = 1 if bounds is None else len(bounds) + 2
            if len(row) != needed:
                raise ValueError(f"expected a row of {needed} numbers, got {len(row)}")
            if place is None and bounds is not None:
                raise ValueError("expected the place of a value for a histogram, got none")
            if place is not None and place < 0:
                raise ValueError(f"expected the place of a value to be 0 or more, got {place}")
        self._places = sorted({step.place for step in self._steps if step.place is not None})

    def add(self, values: tuple[float | None, ...]) -> None:
        """Take one set of values in. None may stand where no step looks.

        Raises: ValueError for a value below 0 or not finite, IndexError for too few, TypeError for what is no number;
        nothing is added then. Cost: O(steps · log bounds).
        """
        numbers: dict[int | None, float] = {None: 1.0}
        for place in self._places:
            value = values[place]
            if value is None:
                raise TypeError(f"expected a number as value {place}, got None")
            number = numbers[place] = float(value)
            if not 0 <= number < math.inf:
                raise ValueError(f"expected value {place} to be finite and 0 or more, got {value}")
        for row, grown_by, bounds in self._steps:
            number = numbers[grown_by]
            if bounds is None:
                row[0] += number
            else:
                row[bisect_left(bounds, number)] += 1
                row[-1] += number
