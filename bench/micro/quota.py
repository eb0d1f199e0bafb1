"""Cost of a request's quota, as a multiple of `dict.get` in the same run.

    python -m bench.micro.quota [--requests 1000] [--rounds 15]

`reserve` is the hook of the plugin, with the fields of the answer; `settle` corrects it to a usage. Requests of 100
keys take turns; with `one` limit on the requests and tokens of a day, with `three` another one on the tokens of the
tenant's month and one on its money. `event` is an event of a stream that may be stopped, read and metered: one that is
`reserved` for, or one of a stream that is `growing`. Figures are the least of the rounds, in process time, the calls of
the system included, garbage collection off. The exit code is 1 where the whole is over its target.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from headgate.ext.head_scan import BodyScan
from headgate.ext.sse import EventScanner
from headgate.plugins.quota import Quota
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.hookspecs import Setup
from headgate.proxy.metering import Metering
from headgate.proxy.verdicts import Identity, Reservation, Settlement

from .ending import new_exchange
from .frame import Benchmark, Key, Row, least

TARGET_NS = 100_000.0
_NUM_KEYS = 100
_PLENTY = 10**15
_WALL_S = 1_800_000_000.0
_DAY = {"by": "key", "per": "day", "max_requests": _PLENTY, "max_tokens": _PLENTY}
_MONTH = {"by": "tenant", "per": "month", "max_tokens": _PLENTY}
_TOTAL = {"by": "tenant", "per": "total", "max_cost": 10**8}
_EVENT = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
_USAGE = Settlement(200, None, 9, 12, False, is_sent=True)


def measure(num: int, rounds: int) -> Sequence[Row]:
    """Time reserving and settling, with one limit and with three."""
    names = [f"key-{number:08x}" for number in range(num)]
    subjects: dict[Key, Callable[[], int]] = {("", "dict.get"): partial(_time_dict, dict.fromkeys(names), names)}
    plugins = {"one": _plugin(_DAY), "three": _plugin(_DAY, _MONTH, _TOTAL)}
    exchanges = [_exchange(number % _NUM_KEYS) for number in range(num)]
    for limits, plugin in plugins.items():
        for what in ("reserve", "settle", "both"):
            subjects[limits, what] = partial(_time, plugin, exchanges, what)
    best = least(subjects, num, rounds)
    for plugin in plugins.values():
        plugin.close()
    stopping = _plugin(_DAY, on_exceeded="stop")
    streams: dict[Key, Callable[[], int]] = {
        (shape, "event"): partial(_time_events, stopping, max_tokens, num)
        for shape, max_tokens in (("reserved", 2 * num), ("growing", 1))
    }
    best |= least(streams, num, rounds)
    stopping.close()
    base = best["", "dict.get"]
    return [
        Row(shape, name, ns, ns / base, TARGET_NS if (shape, name) == ("three", "both") else None, "ns")
        for (shape, name), ns in best.items()
    ]


def _plugin(*limits: dict[str, Any], **more: Any) -> Quota:
    prices = {"*": {"input": "2.5", "output": "10"}}
    plugin = Quota(Quota.Config.model_validate({"limits": limits, "prices": prices, **more}), wall=lambda: _WALL_S)
    plugin.headgate_configure(Setup("quota", None, {}))
    return plugin


def _time_events(plugin: Quota, max_tokens: int, num: int) -> int:
    exchange = _exchange(0)
    exchange.body_scan = BodyScan(
        b'{"model": "model-42"}'.ljust(90), "model-42", (10, 20), is_stream=True, max_tokens=max_tokens
    )
    reservation, scanner = plugin.headgate_ratelimit(exchange), EventScanner()
    assert isinstance(reservation, Reservation) and reservation.meter is not None and reservation.settle is not None
    metering, begin = Metering([reservation.meter]), time.process_time_ns()
    for _ in range(num):
        metering.allowed(scanner.feed(_EVENT))
    end = time.process_time_ns()
    reservation.settle(_USAGE)
    return end - begin


def _exchange(number: int) -> Exchange:
    exchange = new_exchange()
    exchange.identity = Identity(f"key-{number}", "tenant")
    exchange.body_scan = BodyScan(b'{"model": "model-42"}'.ljust(90), "model-42", (10, 20), max_tokens=100)
    return exchange


def _time(plugin: Quota, exchanges: list[Exchange], what: str) -> int:
    reserve, begin = plugin.headgate_ratelimit, time.process_time_ns()
    reserved = [reserve(exchange) for exchange in exchanges]
    middle = time.process_time_ns()
    for reservation in reserved:
        assert isinstance(reservation, Reservation) and reservation.settle is not None
        reservation.settle(_USAGE)
    end = time.process_time_ns()
    return {"reserve": middle - begin, "settle": end - middle, "both": end - begin}[what]


def _time_dict(known: dict[str, None], names: list[str]) -> int:
    get, start = known.get, time.process_time_ns()
    for name in names:
        get(name)
    return time.process_time_ns() - start


BENCHMARK = Benchmark("cost of a request's quota", "requests", 1000, measure)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
