"""The steps by which slots are taken and given back, in thousands of orders, by processes that die in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from .slots_protocol import GUARDS, Table, Word, clear, leave, take

TRIALS = 300


class Broken(Exception):
    """A law that does not hold."""


@dataclass(slots=True)
class Process:
    """One holder. `doing` is what is under way: takes, gives back, or is dead and being cleared."""

    holder: int
    has: list[tuple[int, int]] = field(default_factory=list)  # key and place of each slot
    steps: Generator[None, None, Any] | None = None
    doing: str = ""
    key: int = 0
    is_excused: bool = False  # a refusal would be right: others had, or were about to have, what there is


class Processes:
    """Some processes that share a table: one after another makes a step, or dies."""

    def __init__(self, random: Random, without: str) -> None:
        self.random = random
        self.table = Table([(0, Word())] * random.choice([1, 2, 2, 3]), 0, without=without)
        self.num_keys = random.randint(1, 4)
        self.limits = {key: random.randint(1, 3) for key in range(1, self.num_keys + 1)}
        self.processes = [Process(holder) for holder in range(random.randint(2, 4))]
        self.outcomes: Counter[str] = Counter()

    def run(self) -> None:
        process = self.processes[0]
        for _ in range(self.random.choice([150, 400, 800])):
            if self.random.random() < 0.7:
                process = self.random.choice(self.processes)
            self.step(process)
            self.excuse()
            self.check_limits()
        self.settle()

    def step(self, process: Process) -> None:
        if process.steps is None:
            self.begin(process)
        elif process.doing != "clear" and self.random.random() < 0.008:
            self.outcomes["died"] += 1
            process.has, process.doing, process.steps = [], "clear", clear(self.table, process.holder)
        else:
            try:
                next(process.steps)
            except StopIteration as end:
                self.end(process, end.value)

    def begin(self, process: Process) -> None:
        process.is_excused = False
        if process.has and self.random.random() < 0.5:
            process.key, place = process.has.pop(self.random.randrange(len(process.has)))
            process.doing, process.steps = "give", leave(self.table, place, process.holder, "given")
        else:
            process.key = self.random.randint(1, self.num_keys)
            process.doing = "take"
            process.steps = take(self.table, process.key, self.limits[process.key], process.holder)

    def end(self, process: Process, value: Any) -> None:
        doing, process.steps, process.doing = process.doing, None, ""
        if doing == "give" and value != 1:
            raise Broken("a slot that was taken could not be given back")
        if doing == "take" and value is not None:
            process.has.append((process.key, value))
        if doing == "take" and value is None and not process.is_excused:
            raise Broken("refused, while there was a slot all the time")
        self.outcomes[f"{doing} {value is not None}"] += 1

    def excuse(self) -> None:
        """Note for each that takes whether there may be nothing for it now."""
        for process in self.processes:
            if process.doing == "take" and not process.is_excused:
                others = [other for other in self.processes if other is not process]
                is_busy = any(other.doing == "clear" for other in others)  # what it had is not told here
                num_near = sum(other.key == process.key and other.doing != "" for other in others)
                keys = {key for other in self.processes for key, _ in other.has} | {o.key for o in others if o.doing}
                has_room = len(keys | {process.key}) <= len(self.table.row)
                num = self.num_held(process.key) + num_near
                process.is_excused = is_busy or not has_room or num >= self.limits[process.key]

    def num_held(self, key: int) -> int:
        return sum(each == key for process in self.processes for each, _ in process.has)

    def check_limits(self) -> None:
        for key, limit in self.limits.items():
            if self.num_held(key) > limit:
                raise Broken(f"{self.num_held(key)} slots of {limit} at once")

    def settle(self) -> None:
        """Let all end what they do. Then what is counted is what they have, for each holder by itself."""
        for process in self.processes:
            for _ in range(100_000):
                if process.steps is None:
                    break
                try:
                    next(process.steps)
                except StopIteration as end:
                    self.end_late(process, end.value)
            else:
                raise Broken("no end")
        # The last change of a cell may not be counted at its holder, where that one died: the next one does it.
        for _ in clear(self.table, len(self.processes)):
            pass
        for key in self.limits:
            if self.table.held(key) != self.num_held(key):
                raise Broken(f"{self.table.held(key)} slots are taken, {self.num_held(key)} are had")
        for process in self.processes:
            wanted = Counter(place for _, place in process.has)
            for place in range(len(self.table.row)):
                if self.table.own(place, process.holder)[1] != wanted[place]:
                    raise Broken(f"holder {process.holder} has {wanted[place]} slots, another number is counted")

    def end_late(self, process: Process, value: Any) -> None:
        process.is_excused = True
        self.end(process, value)


def test_no_order_of_steps_and_no_death_loses_a_slot_or_lifts_a_limit() -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(TRIALS):
        processes = Processes(Random(seed), "")
        processes.run()
        outcomes += processes.outcomes
    assert min(outcomes[what] for what in ("take True", "take False", "give True", "clear False")) > TRIALS / 3
    assert outcomes["died"] > TRIALS / 2


@pytest.mark.parametrize("guard", sorted(GUARDS))
def test_every_guard_is_needed(guard: str) -> None:
    for seed in range(10 * TRIALS):
        try:
            Processes(Random(seed), guard).run()
        except Broken:
            return
    raise AssertionError(f"nothing breaks without: {guard}")
