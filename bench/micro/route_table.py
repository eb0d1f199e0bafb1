"""Cost of one route look-up, as a multiple of a `dict.get` keyed by (method, path) in the same run.

    python -m bench.micro.route_table [--routes 1000] [--rounds 15]

Every look-up has a path of its own (an id in its last segment), so that no cache of paths can help. Figures are the
least of the rounds, in process time, garbage collection off, with the loop's own cost taken away. The exit code is 1
where the compiled table is over its target.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from headgate.ext import IMPLEMENTATIONS, implementation
from headgate.ext.route_table import HeaderMatch, RouteSpec, RouteTable

from .frame import Benchmark, Key, Row, least

TARGETS = {"plain": 6.0, "with predicates": 10.0}
HEADERS = {"host": "api.example.com", "x-tier": "gold", "content-type": "application/json"}


def measure(num_routes: int, rounds: int) -> Sequence[Row]:
    """Time every subject on the same paths."""
    paths = [f"/v1-{number}/{number:08x}-{number * 7919 % 99991}" for number in range(num_routes)]
    subjects: dict[Key, Callable[[], int]] = {("", "empty loop"): partial(_time_empty, paths)}
    pairs = [("POST", path) for path in paths]
    floor = {pair: place for place, pair in enumerate(pairs)}
    subjects["", "dict.get"] = partial(_time_dict, floor, paths)
    for shape, specs in _tables(num_routes).items():
        for name in IMPLEMENTATIONS:
            table: RouteTable = implementation("route_table", name).RouteTable(specs)
            subjects[shape, name] = partial(_time_table, table, paths)
    subjects["plain", "aiohttp UrlDispatcher"] = _dispatcher(num_routes, paths)
    best = least(subjects, len(paths), rounds)
    empty = best.pop(("", "empty loop"))
    base = best["", "dict.get"] - empty
    return [
        Row(shape, name, ns - empty, (ns - empty) / base, TARGETS.get(shape) if name == "compiled" else None)
        for (shape, name), ns in best.items()
    ]


def _tables(num_routes: int) -> dict[str, list[RouteSpec]]:
    plain = [RouteSpec(name=f"r{number}", path=f"/v1-{number}/{{id}}") for number in range(num_routes)]
    tier = HeaderMatch("x-tier", "exact", "gold")
    narrow = [replace(spec, methods=frozenset({"POST", "GET"}), headers=(tier,)) for spec in plain]
    hosts = [replace(spec, hosts=("api.example.com",)) for spec in plain]
    return {"plain": plain, "with predicates": narrow, "one exact host": hosts}


def _fresh(paths: list[str]) -> list[str]:
    """Copies, as each request brings: the stored objects would know their hash, and equal themselves at a glance."""
    return ["".join((path[:3], path[3:])) for path in paths]


def _time_empty(paths: list[str]) -> int:
    start = time.process_time_ns()
    for _ in paths:
        pass
    return time.process_time_ns() - start


def _time_dict(floor: dict[tuple[str, str], int], paths: list[str]) -> int:
    method = "POST"
    get = floor.get
    paths = _fresh(paths)
    start = time.process_time_ns()
    for path in paths:
        get((method, path))
    return time.process_time_ns() - start


def _time_table(table: RouteTable, paths: list[str]) -> int:
    match = table.match
    paths = _fresh(paths)
    start = time.process_time_ns()
    for path in paths:
        match("api.example.com", path, "POST", HEADERS)
    elapsed = time.process_time_ns() - start
    found = match("api.example.com", paths[-1], "POST", HEADERS)
    assert found is not None and found.index == len(paths) - 1 and found.params == {"id": paths[-1].split("/")[2]}
    return elapsed


def _dispatcher(num_routes: int, paths: list[str]) -> Callable[[], int]:
    async def handler(request: web.Request) -> web.Response:
        raise NotImplementedError

    router = web.UrlDispatcher()
    for number in range(num_routes):
        router.add_route("POST", f"/v1-{number}/{{id}}", handler)

    async def resolve() -> int:
        requests = [make_mocked_request("POST", path) for path in paths]
        start = time.process_time_ns()
        for request in requests:
            await router.resolve(request)
        return time.process_time_ns() - start

    return lambda: asyncio.run(resolve())


BENCHMARK = Benchmark("cost of one route look-up", "routes", 1000, measure)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
