"""Cost of the exchange machine for one exchange that goes well, as a multiple of `dict.get` in the same run.

    python bench/micro/machine.py [--exchanges 20000] [--rounds 15]

One exchange is start, connected, answered, began, finished, with a gate that admits everything. Figures are the least
of the rounds, in process time, garbage collection off. The exit code is 1 where it is over its target.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Sequence

from headgate.proxy.exchange.attempt import Attempt
from headgate.proxy.exchange.machine import ExchangeMachine
from headgate.proxy.exchange.plan import Plan, Timeouts

TARGET_NS = 3000.0
_PLAN = Plan((Timeouts(), Timeouts()), 600.0, True, commit="first_event")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 where the target is missed."""
    parser = argparse.ArgumentParser(description="cost of the exchange machine")
    parser.add_argument("--exchanges", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args(argv)
    machine_ns, get_ns = measure(options.exchanges, options.rounds)
    verdict = "ok" if machine_ns <= TARGET_NS else "OVER"
    print(f"{options.exchanges} exchanges, {options.rounds} rounds, Python {sys.version.split()[0]}")
    print(f"dict.get          {get_ns:9.0f} ns     1.00 x")
    print(f"exchange machine  {machine_ns:9.0f} ns {machine_ns / get_ns:8.2f} x  target {TARGET_NS:g} ns: {verdict}")
    return int(machine_ns > TARGET_NS)


def measure(num: int, rounds: int) -> tuple[float, float]:
    """Return nanoseconds of one exchange and of one `dict.get`; each round times both."""
    get = {"key": 1}.get
    machine = [_time(exchange, num)]
    lookup = [_time(lambda: get("key"), num)]
    for _ in range(rounds - 1):
        machine.append(_time(exchange, num))
        lookup.append(_time(lambda: get("key"), num))
    return min(machine), min(lookup)


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


def _time(subject: Callable[[], object], num: int) -> float:
    gc.disable()
    try:
        began = time.process_time_ns()
        for _ in range(num):
            subject()
        return (time.process_time_ns() - began) / num
    finally:
        gc.enable()


if __name__ == "__main__":
    sys.exit(main())
