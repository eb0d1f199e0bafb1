"""Processes that take slots of one table at the same time: `python -m tests.integration.ext.slots_hammer`.

Forks its holders, kills them at any moment, gives back what they had, and starts others in their place. Prints what
came of it.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import struct

from headgate.ext import implementation
from headgate.ext.slots import SlotTable

from .hammer import fork, join

Compiled: type[SlotTable] = implementation("slots", "compiled").SlotTable

HOLDERS = 4
KILLS = 150
KEYS = 6  # of which one cannot be had, while the others have slots
ALONE = ("alone",)  # whoever has its one slot may write into the memory
_COUNT = struct.Struct("<q")


class Board:
    """Memory that outlives the holders: who is inside, how often somebody else was, and how much each has done."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 4096)

    def read(self, place: int) -> int:
        number: int = _COUNT.unpack_from(self._memory, 8 * place)[0]
        return number

    def write(self, place: int, number: int) -> None:
        _COUNT.pack_into(self._memory, 8 * place, number)

    def be_inside(self, holder: int) -> None:
        """Stay inside for a while, alone."""
        self.write(0, holder)
        for _ in range(20):
            if self.read(0) != holder:
                self.write(2 + holder, self.read(2 + holder) + 1)
                return


def work(table: SlotTable, holder: int, board: Board, going: mmap.mmap, seed: int) -> None:
    """Take and give back, until all is over; then give the rest back."""
    order, has = random.Random(seed), list[int]()
    own = Compiled.attach(table.fileno(), holder)
    done = 2 + HOLDERS + holder
    while not going[0]:
        place = own.take(ALONE, 1)
        if place is not None:
            board.be_inside(holder)
            assert own.give_back(place)
        place = own.take((order.randrange(KEYS),), 3)
        if place is not None:
            has.append(place)
        if len(has) > 4:
            assert own.give_back(has.pop(order.randrange(len(has))))
        board.write(done, board.read(done) + 1)
    assert all(map(own.give_back, has))


def main() -> dict[str, object]:
    """Kill one holder after the other; then let the others end."""
    table, board, going = Compiled.create(KEYS, HOLDERS), Board(), mmap.mmap(-1, 1)
    order, ends = random.Random(11), list[int]()
    seeds = iter(range(10**6))

    def start(holder: int) -> int:
        seed = next(seeds)
        return fork(lambda: work(table, holder, board, going, seed))

    pids = [start(holder) for holder in range(HOLDERS)]
    for number in range(KILLS):
        holder = number % HOLDERS
        done, before = 2 + HOLDERS + holder, board.read(2 + HOLDERS + holder)
        while board.read(done) == before:  # until it has begun
            os.sched_yield()
        for _ in range(order.randrange(400)):  # until some moment
            table.count((0,))
        os.kill(pids[holder], signal.SIGKILL)
        ends += join([pids[holder]])
        table.clear(holder)
        pids[holder] = start(holder)
    going[0] = 1
    return {
        "ends": ends,
        "codes": join(pids),
        "not_alone": sum(board.read(2 + holder) for holder in range(HOLDERS)),
        "done": [board.read(2 + HOLDERS + holder) for holder in range(HOLDERS)],
        "left": [table.shares(ALONE), *(table.shares((number,)) for number in range(KEYS))],
        "again": [sum(table.take((number,), 3) is not None for _ in range(5)) for number in range(KEYS)],
    }


if __name__ == "__main__":
    print(json.dumps(main()))
