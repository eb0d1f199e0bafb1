"""Processes that use one table of limiter cells at the same time: `python -m tests.integration.ext.hammer SCENARIO`.

Forks its workers, which write what they were admitted into memory that outlives them, and prints what came of it.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from headgate.ext import implementation
from headgate.ext.limiter_cells import Key, Limit, LimiterCells

Compiled: type[LimiterCells] = implementation("limiter_cells", "compiled").LimiterCells

WORKERS = 4
NOW_NS = 10**15  # where the clock stands still
RECORDS = 200_000  # of one worker


class Log:
    """What one worker was admitted: a record is counted once it is whole."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8 + 16 * RECORDS)

    def add(self, caller: int, now_ns: int) -> None:
        (number,) = struct.unpack_from("<q", self._memory, 0)
        struct.pack_into("<qq", self._memory, 8 + 16 * number, caller, now_ns)
        struct.pack_into("<q", self._memory, 0, number + 1)

    def read(self) -> list[tuple[int, int]]:
        (number,) = struct.unpack_from("<q", self._memory, 0)
        return [struct.unpack_from("<qq", self._memory, 8 + 16 * place) for place in range(number)]


def fork(work: Callable[[], None]) -> int:
    """Start a worker. It ends with 1 where its work fails."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    with suppress(BaseException):
        work()
        code = 0
    os._exit(code)


def join(pids: list[int]) -> list[int]:
    """Wait for workers; return their exit codes."""
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def at_once(works: list[Callable[[], None]]) -> list[int]:
    """Let workers begin together."""
    reader, writer = os.pipe()

    def wait_and(work: Callable[[], None]) -> None:
        os.close(writer)
        os.read(reader, 1)
        work()

    pids = [fork(lambda work=work: wait_and(work)) for work in works]  # type: ignore[misc]
    os.close(writer)
    return join(pids)


def one_key() -> dict[str, object]:
    """All want what one caller has; every third admission is a reservation that gives half of its units back."""
    cells, limit, key = Compiled.create(100), Limit(10**12, 20_000), ("a",)
    logs = [Log() for _ in range(WORKERS)]

    def work(log: Log) -> None:
        refusals = 0
        while refusals < 200:
            reserved = cells.reserve(key, limit, 2, NOW_NS)
            if not reserved.decision.is_admitted:
                refusals += 1
                continue
            reserved.settle(1, NOW_NS)
            log.add(0, NOW_NS)

    codes = at_once([lambda log=log: work(log) for log in logs])  # type: ignore[misc]
    left = cells.admit(key, limit, 0, NOW_NS).remaining
    return {"codes": codes, "used": sum(len(log.read()) for log in logs), "left": left}


def many_keys() -> dict[str, object]:
    """Many want more cells than there are, while the clock stands still."""
    cells, limit = Compiled.create(8), Limit(10**12, 50)
    logs = [Log() for _ in range(WORKERS)]

    def work(log: Log, seed: int) -> None:
        order = random.Random(seed)
        for _ in range(30_000):
            caller = order.randrange(40)
            if cells.admit((caller,), limit, 1, NOW_NS).is_admitted:
                log.add(caller, NOW_NS)

    codes = at_once([lambda log=log, seed=seed: work(log, seed) for seed, log in enumerate(logs)])  # type: ignore[misc]
    counts = [0] * 40
    for log in logs:
        for caller, _ in log.read():
            counts[caller] += 1
    return {"codes": codes, "counts": sorted(counts, reverse=True), "cells": len(cells)}


def killed() -> dict[str, object]:
    """Some go on while others are killed at any moment, one after the other; time goes by, and cells change hands."""
    cells, limit, num_kills, callers = Compiled.create(6), Limit(50_000, 4), 150, 30
    logs = [Log() for _ in range(2 + num_kills)]
    going = mmap.mmap(-1, 1)

    def work(log: Log, seed: int, is_victim: bool) -> None:
        order, calls = random.Random(seed), 0
        while not going[0]:
            now_ns, key = time.monotonic_ns(), order.randrange(callers)
            admitted = [cells.admit((key,), limit, 1, now_ns).is_admitted for _ in range(3)]
            reserved = cells.reserve((key,), limit, 1, now_ns)
            if reserved.decision.is_admitted:
                reserved.settle(1, now_ns)
            if calls < RECORDS // 4 or is_victim:
                for _ in range(sum(admitted) + reserved.decision.is_admitted):
                    log.add(key, now_ns)
            calls += 1

    survivors = [fork(lambda seed=seed: work(logs[seed], seed, False)) for seed in range(2)]  # type: ignore[misc]
    order, ends = random.Random(7), []
    for number in range(num_kills):
        victim = fork(lambda number=number: work(logs[2 + number], 2 + number, True))  # type: ignore[misc]
        while len(logs[2 + number].read()) < 1:
            os.sched_yield()
        for _ in range(order.randrange(300)):  # until some moment
            cells.admit((order.randrange(callers),), limit, 0, time.monotonic_ns())
        os.kill(victim, signal.SIGKILL)
        ends += join([victim])
    going[0] = 1
    codes = join(survivors)
    events = [log.read() for log in logs]
    return {
        "codes": codes,
        "ends": ends,
        "survived": [len(log) for log in events[:2]],
        "worst_ns": max(
            excess(sorted(now for log in events for who, now in log if who == key), limit) for key in range(callers)
        ),
        "served": fresh(cells),
    }


def excess(instants: list[int], limit: Limit) -> int:
    """Return by how many ns of refilling the worst window of admissions is above the limit; 0 or less: none is."""
    worst, least = -limit.refill_ns, 10**30
    for number, now_ns in enumerate(instants):
        least = min(least, number * limit.interval_ns - now_ns)
        worst = max(worst, (number + 1) * limit.interval_ns - now_ns - least - limit.refill_ns)
    return worst


def fresh(cells: LimiterCells) -> int:
    """Return how many newcomers are served at once when all buckets are full and all claims of the dead are old."""
    limit = Limit(10**6, 1)
    for number in range(2000):
        cells.admit(("old", number), limit, 1, 10**17 + number * 10**6)
    return sum(cells.admit(("new", number), limit, 1, 10**18).is_admitted for number in range(100))


def attached(fd: int, key: Key, limit: Limit) -> dict[str, object]:
    """Take what is there from a table that another process made."""
    cells = Compiled.attach(fd)
    os.close(fd)
    admitted = 0
    while cells.admit(key, limit, 1, NOW_NS).is_admitted:
        admitted += 1
    return {"admitted": admitted}


if __name__ == "__main__":
    scenario, *arguments = sys.argv[1:]
    if scenario == "attached":
        result = attached(int(arguments[0]), ("é", 7, b"\0", None), Limit(10**12, 100))
    else:
        result = {"one_key": one_key, "many_keys": many_keys, "killed": killed}[scenario]()
    print(json.dumps(result))
