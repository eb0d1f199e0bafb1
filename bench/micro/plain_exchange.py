"""Cost of one plain exchange without its bytes, as a multiple of `dict.get` in the same run.

    python -m bench.micro.plain_exchange [--exchanges 300] [--rounds 15]

From "the targets are known" to "the answer is over": course and plan, gate and machine, pick, breaker, budget, balance;
`with a connection` also takes one from the pool, which asks the kernel whether it is quiet, and gives it back. There
are two targets, of which the second is never asked. Figures are the least of the rounds, in process time, garbage
collection off. The exit code is 1 where one is over its target.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import uvloop
import yaml

from headgate.proxy.compile import build
from headgate.proxy.config.load import load
from headgate.proxy.courses import Courses
from headgate.proxy.exchange.attempt import Attempt
from headgate.proxy.exchange.machine import ExchangeMachine
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.plugin_types import PluginTypes
from headgate.proxy.snapshot import Snapshot
from headgate.proxy.upstream.gate import ClusterGate, Ticket
from headgate.proxy.upstream.pool import ConnectionPool

from .frame import Benchmark, Key, Row, least

TARGET_NS = 5000.0
_LOOKUP = ("", "dict.get")


def measure(num: int, rounds: int) -> Sequence[Row]:
    """Time one exchange at clusters of one endpoint and of four, beside one `dict.get`."""
    return uvloop.run(_measure(num, rounds))


async def _measure(num: int, rounds: int) -> Sequence[Row]:
    servers = [await asyncio.start_server(_answer, "127.0.0.1", 0) for _ in range(4)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    get = {"key": 1}.get
    subjects: dict[Key, Callable[[], int]] = {_LOOKUP: partial(_time, lambda: get("key"), num)}
    pools: list[ConnectionPool] = []
    for count, shape in ((1, "one endpoint"), (4, "four endpoints")):
        snapshot = _snapshot(ports[:count])
        pools += [member.pool for cluster in snapshot.clusters.values() for member in cluster.members]
        way = Way(snapshot)
        subjects[shape, "exchange"] = partial(_time, way.go, num)
        subjects[shape, "with a connection"] = partial(_time, way.go_with_connection, num)
    for pool in pools:
        await _fill(pool)
    best = least(subjects, num, rounds)
    for pool in pools:
        pool.close()
    for server in servers:
        server.close()
    rows = [Row(*_LOOKUP, best[_LOOKUP], 1.0)]
    return rows + [Row(*key, ns, ns / best[_LOOKUP], TARGET_NS, "ns") for key, ns in best.items() if key != _LOOKUP]


class Way:
    """Exchanges on the one route of a snapshot, one after the other."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._clusters = snapshot.clusters
        self._program = snapshot.programs[0]
        self._courses = Courses(snapshot.clusters)
        self._now = asyncio.get_running_loop().time

    def go(self) -> None:
        """Lead one exchange to its end."""
        self._lead(is_connected=False)

    def go_with_connection(self) -> None:
        """Lead one exchange to its end, on a connection of the pool."""
        self._lead(is_connected=True)

    def _lead(self, *, is_connected: bool) -> None:
        now = self._now()
        targets, plan = self._courses.draw(self._program, self._program.view.groups, True)
        machine = ExchangeMachine(plan.at(now + 60), random.random, ClusterGate(targets, self._clusters))
        attempt = machine.start(now)
        if not isinstance(attempt, Attempt) or not isinstance(attempt.ticket, Ticket):
            raise RuntimeError(f"expected an attempt, got {attempt}")
        cluster = attempt.ticket.cluster
        member = attempt.ticket.member = cluster.pick((), now)
        wire = member.pool.take_idle(now) if is_connected else None
        machine.connected(attempt, now)
        machine.timer_of(attempt)
        machine.answered(attempt, 200, now)
        machine.began(attempt, now)
        machine.finished(attempt, now)
        member.num_active -= 1
        if wire is not None:
            member.pool.give_back(wire, True)
        elif is_connected:
            raise RuntimeError("expected an idle connection")


def _snapshot(ports: Sequence[int]) -> Snapshot:
    types = PluginTypes()
    cluster = {"endpoints": [f"http://127.0.0.1:{port}" for port in ports], "pool": {"idle_timeout": "1h"}}
    raw = {
        "listeners": [{"address": "127.0.0.1:0"}],
        "clusters": {"first": cluster, "second": cluster},
        "routes": [{"match": {"path": "/"}, "kind": "inference", "targets": ["first", "second"]}],
    }
    return build(load(yaml.safe_dump(raw), types.schemas(), {}), types, Registry())


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    await reader.read()
    writer.close()


async def _fill(pool: ConnectionPool) -> None:
    """Let the pool have one idle connection."""
    connection = await pool.acquire(asyncio.get_running_loop().time() + 10)
    connection.send_head(b"GET", b"/", [(b"Host", b"localhost")])
    connection.end_body()
    await connection.read_head()
    while await connection.read_body():
        pass
    connection.release()


def _time(subject: Callable[[], object], num: int) -> int:
    began = time.process_time_ns()
    for _ in range(num):
        subject()
    return time.process_time_ns() - began


BENCHMARK = Benchmark("cost of one plain exchange", "exchanges", 300, measure)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
