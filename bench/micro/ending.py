"""Cost of what is noted, counted and logged of one plain exchange, as a multiple of `dict.get` in the same run.

    python -m bench.micro.ending [--exchanges 4000] [--rounds 15]

An exchange of `examples/governed.yaml`: a POST of a key that the first target answered at once, with a reservation and
a cache that let it pass. `record` notes it and gives back what was reserved, `outcome` puts together what the log stage
may know, `metrics` count it, in memory of this process or in memory that workers share, `access log` writes its line
into a file, the thread that writes and the end of the log included; `all` is all of it. Figures are the least of the
rounds, in process time, garbage collection off. The exit code is 1 where the whole is over its target.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from headgate.proxy.downstream.body import ClientBody
from headgate.proxy.exchange.exchange import Exchange, RouteView
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Request
from headgate.proxy.observe.access_log import AccessLog
from headgate.proxy.observe.arena import Arena, Shared
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.observe.observer import Observer
from headgate.proxy.record import Record
from headgate.proxy.verdicts import Identity, Reservation, Target

from .frame import Benchmark, Row, least

TARGET_NS = 7000.0
_ARENA_BYTES = 1 << 20
_PATH = "/v1/chat/completions"
_TARGET = Target("primary")
_RESERVATION = Reservation(fields=(("RateLimit-Policy", '"default";q=100000;w=1'), ("RateLimit", '"default";r=99999')))
_REQUEST_ID = "0123456789abcdef0123456789abcdef"


class _Nobody:
    """A client that waits for nothing."""

    def send_continue(self) -> None:
        """Nobody waits."""

    def skip_continue(self) -> None:
        """Nobody waited."""


def new_exchange() -> Exchange:
    """Return an exchange as it is before it ends."""
    body = ClientBody(None, None, _Nobody(), 1.0)
    request = Request("POST", _PATH, _PATH, "", "127.0.0.1:8080", "http", "127.0.0.1", "127.0.0.1", Fields(), body)
    exchange = Exchange(request, _REQUEST_ID, lambda: 0.0)
    exchange.route = RouteView("chat", ((_TARGET,),), {}, True, 1 << 20)
    exchange.trace_id = _REQUEST_ID
    exchange.identity = Identity("key-0001", "tenant-0001")
    exchange.model = "model-42"
    return exchange


def note() -> Record:
    """Note what comes up on the way of an exchange."""
    record = Record(10.0)
    record.reserve(_RESERVATION)
    record.cache_status = "pass"
    served = record.served
    served.preferred = served.target = _TARGET
    served.ends[1] = ("primary", "answered")
    record.status = 200
    record.first_byte_at = 10.0021
    record.received_bytes = 90
    record.sent_bytes = 318
    record.prompt_tokens = 9
    record.completion_tokens = 12
    record.is_complete = True
    return record


def end(exchange: Exchange, observer: Observer) -> None:
    """Do everything that is done at the end of an exchange."""
    record = note()
    record.release()
    observer.ended(exchange, record.outcome(10.0023, exchange.model, exchange.extra))


def measure(num: int, rounds: int) -> Sequence[Row]:
    """Time each part, and all of it, beside one `dict.get`."""
    get = {"key": 1}.get
    exchange, record = new_exchange(), note()
    outcome = record.outcome(10.0023, exchange.model, exchange.extra)
    arenas = [Arena(memoryview(bytearray(_ARENA_BYTES)))]
    own, shared = Registry(), Registry(Shared(arenas, 0))
    with TemporaryDirectory() as folder:
        logged = partial(_time_logged, num, Path(folder) / "log")
        subjects = {
            ("", "dict.get"): partial(_time, num, lambda: get("key")),
            ("", "record"): partial(_time, num, lambda: note().release()),
            ("", "outcome"): partial(_time, num, lambda: record.outcome(10.0023, exchange.model, exchange.extra)),
            ("metrics", "own"): partial(_time, num, partial(_observer(own).ended, exchange, outcome)),
            ("metrics", "shared"): partial(_time, num, partial(_observer(shared).ended, exchange, outcome)),
            ("", "access log"): partial(logged, lambda log: partial(log.write, exchange, outcome)),
            ("all", "own"): partial(logged, lambda log: partial(end, exchange, Observer(own, log))),
            ("all", "shared"): partial(logged, lambda log: partial(end, exchange, Observer(shared, log))),
        }
        best = least(subjects, num, rounds)
    base = best["", "dict.get"]
    return [Row(*key, ns, ns / base, *((TARGET_NS, "ns") if key[0] == "all" else ())) for key, ns in best.items()]


def _observer(registry: Registry) -> Observer:
    return Observer(registry, AccessLog("off"))


def _time(num: int, subject: Callable[[], object]) -> int:
    began = time.process_time_ns()
    for _ in range(num):
        subject()
    return time.process_time_ns() - began


def _time_logged(num: int, path: Path, subject_of: Callable[[AccessLog], Callable[[], object]]) -> int:
    began = time.process_time_ns()
    log = AccessLog(str(path))
    subject = subject_of(log)
    for _ in range(num):
        subject()
    log.close()
    spent = time.process_time_ns() - began
    path.unlink()
    if log.num_lost:
        raise RuntimeError(f"expected every line to be written, lost {log.num_lost}")
    return spent


BENCHMARK = Benchmark("cost of the end of an exchange", "exchanges", 4000, measure)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
