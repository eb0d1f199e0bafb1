"""Rounds in which each proxy does each work in turn, so that a slow moment of the machine meets all alike."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import orjson

from .figures import InvalidRun, Load, Sample
from .origin import Counts
from .processes import Running, listening_port, running
from .proxies import Place, Start, count_log_lines
from .streams import run_streams
from .works import Work
from .wrk import run_wrk, write_requests

_WARM_UP_S = 1
_ROOT = Path(__file__).resolve().parents[1]
_LOGGING = "governed"
_SETTLE_S = 10.0
_LOOK_S = 0.1
_IDLE_NS = 2_000_000

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured. `cpus` are the proxies' core, and that of the origin and the load."""

    works: Sequence[Work]
    starts: Mapping[str, Start]
    rounds: int
    seconds: int
    cpus: tuple[int, int]


Results = dict[str, dict[str, list[Sample]]]  # by work, by proxy, one for each round


async def measure(plan: Plan, folder: Path, report: Report) -> Results:
    """Run everything. Raises: InvalidRun where a figure would mean nothing, RuntimeError where a process fails."""
    for work in plan.works:
        write_requests(work, folder)
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(_origin(plan, folder))
        place = Place(folder, plan.cpus[0], origin.port)
        proxies = {name: await stack.enter_async_context(start(place)) for name, start in plan.starts.items()}
        stand = _Stand(origin, proxies, folder, plan.cpus[1], dict.fromkeys(proxies, 0))
        await _round(plan.works, stand, _WARM_UP_S)
        results: Results = {work.name: {name: [] for name in proxies} for work in plan.works}
        for number in range(1, plan.rounds + 1):
            for work, name, sample in await _round(plan.works, stand, plan.seconds):
                results[work.name][name].append(sample)
            report(f"round {number} of {plan.rounds} done")
        if _LOGGING in proxies:
            await _check_log(proxies[_LOGGING], stand.answered[_LOGGING])
    return results


@dataclass(frozen=True, slots=True)
class _Stand:
    """What runs while it is measured. `answered` counts the requests of each proxy."""

    origin: Running
    proxies: Mapping[str, Running]
    folder: Path
    load_cpu: int
    answered: dict[str, int]


def _origin(plan: Plan, folder: Path) -> AbstractAsyncContextManager[Running]:
    arguments = (sys.executable, "-m", "bench.origin")
    return running(arguments, plan.cpus[1], folder / "origin.output", listening_port, {"PYTHONPATH": str(_ROOT)})


async def _round(works: Sequence[Work], stand: _Stand, seconds: int) -> list[tuple[Work, str, Sample]]:
    found = []
    for work in works:
        for name in stand.proxies:
            sample = await _sample(work, name, stand, seconds)
            stand.answered[name] += work.connections if work.is_streamed else sample.units
            found.append((work, name, sample))
    return found


async def _sample(work: Work, name: str, stand: _Stand, seconds: int) -> Sample:
    """Let one proxy do one work once."""
    proxy = stand.proxies[name]
    counts, start_ns = await _counts(stand.origin), proxy.cpu_ns()
    if work.is_streamed:
        load = await run_streams(proxy.port, seconds, stand.load_cpu)
    else:
        load = await run_wrk(work, proxy.port, seconds, stand.folder, stand.load_cpu)
    used_ns = proxy.cpu_ns() - start_ns
    await _settled(proxy, stand.origin)
    check_counts(f"{work.name} by {name}", work, load, (counts, await _counts(stand.origin)))
    return Sample(
        units=load.units,
        cpu_us=used_ns / 1e3 / load.units,
        per_s=load.units / load.duration_s,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        rss_kib=proxy.rss_kib(),
    )


def check_counts(title: str, work: Work, load: Load, counts: tuple[Counts, Counts]) -> None:
    """Compare what the origin got, counted before and after, with what was answered.

    Those under way when the load stops, at most one a connection, have no answer. Raises: InvalidRun.
    """
    before, after = counts
    requests, body_bytes = after.requests - before.requests, after.body_bytes - before.body_bytes
    answered = work.connections if work.is_streamed else load.units
    slack = 0 if work.is_streamed else work.connections
    if not answered <= requests <= answered + slack:
        raise InvalidRun(f"{title}: {answered} requests were answered, but {requests} reached the origin")
    if after.refused != before.refused:
        raise InvalidRun(f"{title}: the origin refused {after.refused - before.refused} requests")
    if not work.is_streamed and body_bytes != requests * work.body_bytes:
        raise InvalidRun(f"{title}: {requests} requests brought {body_bytes} bytes, not {work.body_bytes} each")


async def _settled(proxy: Running, origin: Running) -> None:
    """Wait until what was under way when the load stopped is done. Raises: InvalidRun."""
    for _ in range(round(_SETTLE_S / _LOOK_S)):
        before_ns = proxy.cpu_ns() + origin.cpu_ns()
        await asyncio.sleep(_LOOK_S)
        is_idle = proxy.cpu_ns() + origin.cpu_ns() - before_ns < _IDLE_NS
        if is_idle and proxy.is_waiting() and origin.is_waiting():
            return
    raise InvalidRun(f"expected the proxy to be idle within {_SETTLE_S:g} s of its load, got one at work")


async def _check_log(proxy: Running, num_sent: int) -> None:
    """Wait until the access log tells of every answer. Raises: InvalidRun."""
    for _ in range(round(_SETTLE_S / _LOOK_S)):
        if (num_lines := count_log_lines(proxy.output)) >= num_sent:
            return
        await asyncio.sleep(_LOOK_S)
    raise InvalidRun(f"{num_sent} requests were answered, but the access log has {num_lines} lines")


async def _counts(origin: Running) -> Counts:
    reader, writer = await asyncio.open_connection("127.0.0.1", origin.port)
    try:
        writer.write(b"GET /counts HTTP/1.1\r\nHost: origin\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.rpartition(b"Content-Length: ")[2])
        return Counts(**orjson.loads(await reader.readexactly(length)))
    finally:
        writer.close()
