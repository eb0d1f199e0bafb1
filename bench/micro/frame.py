"""The frame of every benchmark here: options, rounds over all subjects, the least of each, a table and its verdict."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Key = tuple[str, str]  # the shape of the work, and who does it
Subjects = Mapping[Key, Callable[[], int]]  # each call does all of the work once and returns its nanoseconds


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `target` is the most that is promised: of `ratio`, or of `ns` where `unit` says so."""

    shape: str
    subject: str
    ns: float
    ratio: float
    target: float | None = None
    unit: Literal["x", "ns"] = "x"

    @property
    def is_over(self) -> bool:
        return self.target is not None and (self.ratio if self.unit == "x" else self.ns) > self.target

    def line(self) -> str:
        """Write it."""
        figures = f"{self.shape:22} {self.subject:22} {self.ns:9.0f} ns {self.ratio:8.2f} x"
        if self.target is None:
            return figures
        return f"{figures}  target {self.target:g} {self.unit}: {'OVER' if self.is_over else 'ok'}"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What is measured, how much of it by default, and by what: `measure` takes how many, and the rounds."""

    title: str
    counted: str
    num: int
    measure: Callable[[int, int], Sequence[Row]]

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Measure, print, and return 1 where a target is missed."""
        parser = argparse.ArgumentParser(description=self.title)
        parser.add_argument(f"--{self.counted}", dest="num", type=int, default=self.num)
        parser.add_argument("--rounds", type=int, default=15)
        options = parser.parse_args(argv)
        rows = self.measure(options.num, options.rounds)
        print(f"{options.num} {self.counted}, {options.rounds} rounds, Python {sys.version.split()[0]}")
        for row in rows:
            print(row.line())
        return int(any(row.is_over for row in rows))


def least(subjects: Subjects, num: int, rounds: int) -> dict[Key, float]:
    """Return nanoseconds of one of `num`, the least of the rounds, garbage collection off.

    Each round times every subject, so that a slow moment meets them alike.
    """
    best = dict.fromkeys(subjects, float("inf"))
    was_on = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for key, run in subjects.items():
                best[key] = min(best[key], run() / num)
    finally:
        if was_on:
            gc.enable()
    return best
