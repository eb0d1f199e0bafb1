"""Processes that charge the accounts of one ledger at once: `python -m tests.integration.plugins.quota_hammer`.

Forks workers, kills them at any moment and starts others in their place. Prints what came of it.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal

from headgate.plugins.quota.amounts import Amounts
from headgate.plugins.quota.cells import num_bytes
from headgate.plugins.quota.ledger import NOTHING, Ask, Ledger
from headgate.plugins.quota.lock import BusyError
from headgate.proxy.counting import own_memory

from ..ext.hammer import fork, join

WORKERS = 3
KILLS = 60
MAX_ACCOUNTS = 8
NOW_S = 1_800_000_000
LIMIT = 200_000
ASKS = [Ask(name, "total", (None, LIMIT, None)) for name in (b"a", b"b")]
_DONE, _SETTLED, _PENDING = range(3)  # words of a worker


class Board:
    """Memory that outlives the workers: of each how much it has done, what it has settled, what is under way."""

    def __init__(self) -> None:
        self._words = memoryview(mmap.mmap(-1, 4096)).cast("q")

    def read(self, worker: int, what: int) -> int:
        return self._words[worker * 8 + what]

    def write(self, worker: int, what: int, number: int) -> None:
        self._words[worker * 8 + what] = number


def work(memory: int, worker: int, board: Board, going: mmap.mmap, seed: int) -> None:
    """Reserve and settle, until all is over."""
    order, ledger = random.Random(seed), Ledger(memory, MAX_ACCOUNTS)
    while not going[0]:
        board.write(worker, _DONE, board.read(worker, _DONE) + 1)
        reserved = Amounts(1, order.randrange(1, 500), 0)
        used = reserved if order.random() < 0.1 else NOTHING
        board.write(worker, _PENDING, reserved.tokens)
        while True:
            try:
                decision = ledger.reserve(ASKS, reserved, NOW_S)
            except BusyError:  # the machine is busy
                continue
            break
        if not decision.over:
            ledger.settle(decision.standings, reserved, used)
            board.write(worker, _SETTLED, board.read(worker, _SETTLED) + used.tokens)
        board.write(worker, _PENDING, 0)


def main() -> dict[str, object]:
    """Kill one worker after the other; then let the others end."""
    memory, board, going = own_memory("", num_bytes(MAX_ACCOUNTS)), Board(), mmap.mmap(-1, 1)
    order, ends, most_lost, seeds = random.Random(7), list[int](), 0, iter(range(10**6))

    def start(worker: int) -> int:
        seed = next(seeds)
        return fork(lambda: work(memory, worker, board, going, seed))

    pids = [start(worker) for worker in range(WORKERS)]
    for number in range(KILLS):
        worker = number % WORKERS
        before = board.read(worker, _DONE)
        while board.read(worker, _DONE) == before:  # until it has begun
            os.sched_yield()
        for _ in range(order.randrange(2000)):  # until some moment
            board.read(worker, _DONE)
        os.kill(pids[worker], signal.SIGKILL)
        ends += join([pids[worker]])
        most_lost += board.read(worker, _PENDING)
        pids[worker] = start(worker)
    going[0] = 1
    codes = join(pids)
    ledger = Ledger(memory, MAX_ACCOUNTS)
    return {
        "ends": ends,
        "codes": codes,
        "least": sum(board.read(worker, _SETTLED) for worker in range(WORKERS)),
        "most_lost": most_lost,
        "charged": [ledger.charged(ask.name, ask.per, NOW_S).tokens for ask in ASKS],
        "done": [board.read(worker, _DONE) for worker in range(WORKERS)],
    }


if __name__ == "__main__":
    print(json.dumps(main()))
