"""Cost of one decision of a rate limit, as a multiple of `dict.get` by the same key in the same run.

    python -m bench.micro.limiter_cells [--callers 1000] [--rounds 15]

Callers take turns. Those of `known` have a cell with units left, those of `refused` one without; those of `new` have
none any more, and take that of a caller whose bucket is full. `limits` is the package of that name, with its storage in
memory. Figures are the least of the rounds, in process time, garbage collection off, with the loop's own cost taken
away. The exit code is 1 where the compiled cells are over their target.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, RateLimiter

from headgate.ext import IMPLEMENTATIONS, implementation
from headgate.ext.limiter_cells import Limit, LimiterCells

from .frame import Benchmark, Key, Row, least

TARGET = 5.0
_START_NS = 10**15
_ROUND_NS = 10**9
_PLENTY = Limit(1, 1_000_000)
_NOTHING_LEFT = Limit(10**12, 1)
_ITEM = RateLimitItemPerSecond(1_000_000)


def measure(num_callers: int, rounds: int) -> Sequence[Row]:
    """Time every subject on the same callers."""
    names = [f"key-{number:08x}" for number in range(num_callers)]
    known = {(name,): number for number, name in enumerate(names)}
    subjects: dict[Key, Callable[[], int]] = {
        ("", "empty loop"): partial(_time_empty, names),
        ("", "dict.get"): partial(_time_dict, known, names),
    }
    for which in IMPLEMENTATIONS:
        kind: type[LimiterCells] = implementation("limiter_cells", which).LimiterCells
        for shape, limit, max_cells in (
            ("known", _PLENTY, 100_000),
            ("refused", _NOTHING_LEFT, 100_000),
            ("new", _PLENTY, num_callers // 16 + 1),
        ):
            subjects[shape, which] = partial(_time_cells, kind(max_cells), limit, count(_START_NS, _ROUND_NS), names)
    for strategy in (FixedWindowRateLimiter, MovingWindowRateLimiter):
        subjects["known", f"limits, {strategy.__name__[:5]}"] = partial(_time_peer, strategy(MemoryStorage()), names)
    best = least(subjects, num_callers, rounds)
    empty = best.pop(("", "empty loop"))
    base = best["", "dict.get"] - empty
    return [
        Row(shape, name, ns - empty, (ns - empty) / base, TARGET if (shape, name) == ("known", "compiled") else None)
        for (shape, name), ns in best.items()
    ]


def _fresh(names: list[str]) -> list[str]:
    """Copies, as each request brings: the stored objects would know their hash, and equal themselves at a glance."""
    return ["".join((name[:3], name[3:])) for name in names]


def _time_empty(names: list[str]) -> int:
    start = time.process_time_ns()
    for _ in names:
        pass
    return time.process_time_ns() - start


def _time_dict(known: dict[tuple[str], int], names: list[str]) -> int:
    get, names = known.get, _fresh(names)
    start = time.process_time_ns()
    for name in names:
        get((name,))
    return time.process_time_ns() - start


def _time_cells(cells: LimiterCells, limit: Limit, nows: count[int], names: list[str]) -> int:
    admit, names, now = cells.admit, _fresh(names), next(nows)
    start = time.process_time_ns()
    for name in names:
        admit((name,), limit, 1, now)
    return time.process_time_ns() - start


def _time_peer(limiter: RateLimiter, names: list[str]) -> int:
    hit, names = limiter.hit, _fresh(names)
    start = time.process_time_ns()
    for name in names:
        hit(_ITEM, name)
    return time.process_time_ns() - start


BENCHMARK = Benchmark("cost of one decision of a rate limit", "callers", 1000, measure)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
