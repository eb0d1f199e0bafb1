"""A rate over time, and the arrivals drawn from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

Point = tuple[float, float]  # an instant in s, and the rate there in arrivals a second


@dataclass(frozen=True, slots=True)
class Curve:
    """A rate that goes in straight lines from point to point; two points at one instant are a jump.

    Before the first point and after the last one nothing arrives.
    """

    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        instants = [at for at, _ in self.points]
        if len(self.points) < 2 or instants != sorted(instants) or min(rate for _, rate in self.points) < 0:
            raise ValueError(f"expected two or more points in order of time with rates from 0 on, got {self.points}")

    @property
    def end_s(self) -> float:
        """When the last arrival may come."""
        return self.points[-1][0]

    def rate(self, at_s: float) -> float:
        """Return the arrivals a second at an instant; at a jump, those after it."""
        for (begin, low), (end, high) in self._segments():
            if begin <= at_s < end:
                return low + (high - low) * (at_s - begin) / (end - begin)
        return 0.0

    def count(self, until_s: float) -> float:
        """Return how many arrivals are expected up to an instant."""
        total = 0.0
        for (begin, low), (end, high) in self._segments():
            width = min(max(until_s - begin, 0.0), end - begin)
            total += width * low + (high - low) / (end - begin) * width * width / 2
        return total

    def arrivals(self, random: Random, share: float = 1.0) -> Iterator[float]:
        """Yield the instants of arrivals of one of many clients that come without regard to each other.

        They are a Poisson process of `share` times the rate: the answers of a service have no say in them.
        """
        due = random.expovariate(1.0)
        passed = 0.0
        for (begin, low), (end, high) in self._segments():
            inside = share * (end - begin) * (low + high) / 2
            while due <= passed + inside and inside > 0:
                yield begin + _width(due - passed, share * low, share * (high - low) / (end - begin))
                due += random.expovariate(1.0)
            passed += inside

    def _segments(self) -> Iterator[tuple[Point, Point]]:
        for first, second in zip(self.points, self.points[1:], strict=False):
            if second[0] > first[0]:
                yield first, second


def _width(area: float, low: float, slope: float) -> float:
    """Return the width at which a line from `low` on has `area` below it."""
    # The usual root of slope/2 · w² + low · w = area, in the form that does not cancel and takes slope 0.
    return 2 * area / (low + math.sqrt(max(low * low + 2 * slope * area, 0.0)))


def constant(rate: float, seconds: float) -> Curve:
    """Return one rate all the time."""
    return Curve(((0.0, rate), (seconds, rate)))


def joined(parts: Sequence[tuple[float, float]]) -> Curve:
    """Return rates that follow each other by jumps: (seconds, rate) for each."""
    points: list[Point] = []
    at = 0.0
    for seconds, rate in parts:
        points += [(at, rate), (at + seconds, rate)]
        at += seconds
    return Curve(tuple(points))
