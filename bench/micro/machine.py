"""Cost of the exchange machine for one exchange that goes well, as a multiple of `dict.get` in the same run.

    python -m bench.micro.machine [--exchanges 20000] [--rounds 15]

One exchange is start, connected, answered, began, finished, with a gate that admits everything. Figures are the least
of the rounds, in process time, garbage collection off. The exit code is 1 where it is over its target.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from headgate.proxy.exchange.attempt import Attempt
from headgate.proxy.exchange.machine import ExchangeMachine
from headgate.proxy.exchange.plan import Plan, Timeouts

from .frame import Benchmark, Row, least

TARGET_NS = 3000.0
_PLAN = Plan((Timeouts(), Timeouts()), 600.0, True, commit="first_event")


def measure(num: int, rounds: int) -> Sequence[Row]:
    """Time one exchange beside one `dict.get`."""
    get = {"key": 1}.get
    lookup, machine = ("", "dict.get"), ("", "exchange machine")
    subjects = {lookup: partial(_time, lambda: get("key"), num), machine: partial(_time, exchange, num)}
    best = least(subjects, num, rounds)
    ratio = best[machine] / best[lookup]
    return Row(*lookup, best[lookup], 1.0), Row(*machine, best[machine], ratio, TARGET_NS, "ns")


def exchange() -> None:
    """Lead one exchange through the machine."""
    machine = ExchangeMachine(_PLAN, _half)
    attempt = machine.start(0.0)
    if not isinstance(attempt, Attempt):
        raise RuntimeError(f"expected an attempt, got {attempt}")
    machine.connected(attempt, 0.0)
    machine.answered(attempt, 200, 0.1)
    machine.began(attempt, 0.2)
    machine.finished(attempt, 0.3)


def _half() -> float:
    return 0.5


def _time(subject: Callable[[], object], num: int) -> int:
    began = time.process_time_ns()
    for _ in range(num):
        subject()
    return time.process_time_ns() - began


BENCHMARK = Benchmark("cost of the exchange machine", "exchanges", 20_000, measure)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
