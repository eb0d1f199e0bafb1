"""The steps by which limiter cells change, in thousands of orders, by processes that die in between."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from random import Random

import pytest

from headgate.ext._gcra import Limit

from .cells_protocol import CLAIMED, GUARDS, Ask, Steps, Table, take

TRIALS = 400


class Broken(Exception):
    """A law that does not hold."""


class Processes:
    """Some processes that share a table: one after another makes a step, or dies."""

    def __init__(self, random: Random, without: str) -> None:
        self.random = random
        self.table = Table([(0, 0)] * random.choice([1, 2, 2, 3]), random.choice([3, 1000]), without=without)
        self.limits = [Limit(random.randint(1, 6), random.randint(1, 3)) for _ in range(2)]
        self.num_callers = random.randint(1, 4)
        self.now = 100
        self.skews = [random.choice([0, 0, random.randint(-8, 8)]) for _ in range(random.randint(2, 4))]
        self.running: dict[int, tuple[Steps, Ask]] = {}
        self.admitted: dict[int, list[tuple[int, int]]] = {}
        self.outcomes: Counter[str] = Counter()

    def run(self) -> None:
        process = 0
        for _ in range(self.random.choice([150, 400, 800])):
            if self.random.random() < 0.03:
                self.now += self.random.choice([1, 3, 10, 30])
            if self.random.random() < 0.7:
                process = self.random.randrange(len(self.skews))
            self.step(process)
            callers = [caller for caller, tat in self.table.row if caller and tat < CLAIMED]
            if len(set(callers)) < len(callers):
                raise Broken(f"one caller has two cells: {self.table.row}")
        for caller, events in self.admitted.items():
            check_windows(self.limits[caller % 2], events)

    def step(self, process: int) -> None:
        if process not in self.running:
            caller = self.random.randint(1, self.num_callers)
            now = self.now + self.skews[process]
            ask = Ask(self.table, caller, self.limits[caller % 2], self.random.randint(1, 2), now)
            self.running[process] = take(ask), ask
            return
        if self.random.random() < 0.004:  # it dies, and another takes its place
            del self.running[process]
            return
        steps, ask = self.running[process]
        try:
            next(steps)
        except StopIteration as end:
            del self.running[process]
            self.outcomes[end.value] += 1
            if end.value != "refused":
                self.admitted.setdefault(ask.caller, []).append((ask.now_ns, ask.units))


def check_windows(limit: Limit, events: list[tuple[int, int]]) -> None:
    instants = sorted({now for now, _ in events})
    for start in instants:
        for end in (now for now in instants if now >= start):
            units = sum(units for now, units in events if start <= now <= end)
            if units > limit.burst + Fraction(end - start, limit.interval_ns):
                raise Broken(f"{units} units from {start} to {end} under {limit}")


def test_no_order_of_steps_and_no_death_lifts_a_limit() -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(TRIALS):
        processes = Processes(Random(seed), "")
        processes.run()
        outcomes += processes.outcomes
    assert min(outcomes[outcome] for outcome in ("own", "shared", "refused")) > TRIALS


@pytest.mark.parametrize("guard", sorted(GUARDS))
def test_every_guard_is_needed(guard: str) -> None:
    broken = 0
    for seed in range(10 * TRIALS):
        try:
            Processes(Random(seed), guard).run()
        except Broken:
            broken += 1
            break
    assert broken
