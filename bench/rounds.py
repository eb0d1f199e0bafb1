"""Rounds in which each proxy does each work in turn, so that a slow moment of the machine meets all alike."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

from .figures import InvalidRun, Load, Sample
from .origin import Counts
from .places import Place
from .processes import Running, listening_port, running, settled, tree
from .proxies import Proxy, count_log_lines
from .sharing import by_port, check_metrics, counts, shares, since, watched
from .streams import run_streams
from .variants import VARIANTS
from .works import Work
from .wrk import Script, run_wrk, write_script

_ROOT = Path(__file__).resolve().parents[1]
_LOG_S = 10.0
_LOOK_S = 0.1

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured. `cpus` are the proxies' core, and that of the origin and the load."""

    works: Sequence[Work]
    proxies: Mapping[str, Proxy]
    rounds: int
    seconds: int
    cpus: tuple[int, int]


Results = dict[str, dict[str, list[Sample]]]  # by work, by proxy, one for each round that it took part in


async def measure(plan: Plan, folder: Path, report: Report) -> Results:
    """Run all works but those that are done once.

    Raises: InvalidRun where a figure would mean nothing, RuntimeError where a process fails.
    """
    results: Results = {work.name: {} for work in plan.works}
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(origin_of(plan.cpus[1], folder))
        place = Place(folder, plan.cpus, origin)
        pairs = [(work, name) for work in plan.works for name in plan.proxies if work.name in plan.proxies[name].works]
        stand = _Stand(plan, place)
        for name in dict.fromkeys(name for _, name in pairs):
            stand.running[name] = await stack.enter_async_context(plan.proxies[name].start(place))
        for work, name in pairs:
            await stand.warm_up(work, name)
        for number in range(1, plan.rounds + 1):
            for work, name in pairs:
                if number <= (plan.proxies[name].most_rounds or number):
                    results[work.name].setdefault(name, []).append(await stand.sample(work, name))
            report(f"round {number} of {plan.rounds} done")
        await _check_logs(stand)
    return results


def origin_of(cpu: int, folder: Path) -> AbstractAsyncContextManager[Running]:
    """Run the origin."""
    arguments = (sys.executable, "-m", "bench.origin")
    return running(arguments, cpu, folder / "origin.output", listening_port, {"PYTHONPATH": str(_ROOT)})


class _Stand:
    """What runs while it is measured. `answered` counts the requests of each proxy."""

    def __init__(self, plan: Plan, place: Place) -> None:
        self.running: dict[str, Running] = {}
        self.answered: Counter[str] = Counter()
        self._plan, self._place = plan, place
        self._scripts: dict[tuple[str, str, bool], Script] = {}

    async def warm_up(self, work: Work, name: str) -> None:
        """Let one proxy do one work, so that it has connections, and answers in its cache."""
        self.answered[name] += _num_answers(
            work, (await self._load(work, name, self._plan.proxies[name].warm_up_s)).units
        )
        await settled(self.running[name], self._place.origin)

    async def sample(self, work: Work, name: str) -> Sample:
        """Let one proxy do one work once, and measure it."""
        proxy, origin = self.running[name], self._place.origin
        before, ports = await counts(origin), await by_port(origin)
        start_ns, origin_start_ns = proxy.cpu_ns(), origin.cpu_ns()
        has_workers = name in VARIANTS and VARIANTS[name].num_workers > 1
        async with watched(proxy) if has_workers else nullcontext(dict[int, int]()) as owners:
            load = await self._load(work, name, max(self._plan.seconds, self._plan.proxies[name].least_seconds))
        used_ns, origin_used_ns = proxy.cpu_ns() - start_ns, origin.cpu_ns() - origin_start_ns
        await settled(proxy, origin)
        self.answered[name] += _num_answers(work, load.units)
        after = await counts(origin)
        check_counts(f"{work.name} by {name}", work, load.units, (before, after))
        if self._plan.proxies[name].is_exact:
            check_bytes(f"{work.name} by {name}", work, (before, after))
        load.more["origin_cpu_s"] = origin_used_ns / 1e9
        if has_workers:
            requests = since(ports, await by_port(origin))
            load.more["least_share"] = shares(tree(proxy.pid)[1:], owners, requests)[0]
        return sample_of(load, used_ns, proxy.rss_kib())

    async def _load(self, work: Work, name: str, seconds: int) -> Load:
        port, cpu, proxy = self.running[name].port, self._plan.cpus[1], self._plan.proxies[name]
        try:
            if work.kind == "stream":
                return await run_streams(port, work.connections, seconds, cpu)
            return await run_wrk(self._script(work, proxy), port, seconds, cpu)
        except (InvalidRun, TimeoutError) as error:
            raise InvalidRun(f"{work.name} by {name}: {error or type(error).__name__}") from None

    def _script(self, work: Work, proxy: Proxy) -> Script:
        fields = proxy.fields(self._place.origin.port)
        key = (work.name, fields, proxy.is_exact)
        if key not in self._scripts:
            self._scripts[key] = write_script(work, self._place.folder, fields, is_exact=proxy.is_exact)
        return self._scripts[key]


def sample_of(load: Load, used_ns: int, rss_kib: int) -> Sample:
    """Return what one proxy did."""
    return Sample(
        units=load.units,
        cpu_us=used_ns / 1e3 / load.units,
        per_s=load.units / load.duration_s,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        rss_kib=rss_kib,
        more=load.more,
    )


def _num_answers(work: Work, units: int) -> int:
    return work.connections if work.kind == "stream" else units


def check_counts(title: str, work: Work, units: int, both: tuple[Counts, Counts]) -> None:
    """Compare what the origin got, counted before and after, with what was answered.

    Those under way when the load stops, at most one a connection, have no answer. Raises: InvalidRun.
    """
    before, after = both
    requests = after.requests - before.requests
    answered = 0 if work.kind == "cache" else _num_answers(work, units)
    slack = work.connections if work.kind in ("requests", "single") else 0
    if not answered <= requests <= answered + slack:
        raise InvalidRun(f"{title}: {answered} requests were due at the origin, but {requests} reached it")
    if after.refused != before.refused:
        raise InvalidRun(f"{title}: the origin refused {after.refused - before.refused} requests")


def check_bytes(title: str, work: Work, both: tuple[Counts, Counts]) -> None:
    """See that bodies came to the origin as they were sent. Raises: InvalidRun."""
    before, after = both
    requests, body_bytes = after.requests - before.requests, after.body_bytes - before.body_bytes
    if work.kind != "stream" and body_bytes != requests * work.body_bytes:
        raise InvalidRun(f"{title}: {requests} requests brought {body_bytes} bytes, not {work.body_bytes} each")


async def _check_logs(stand: _Stand) -> None:
    """Wait until each access log tells of every answer, and compare it with the metrics. Raises: InvalidRun."""
    for name, num_answered in stand.answered.items():
        if name in VARIANTS and VARIANTS[name].is_governed:
            proxy = stand.running[name]
            await check_metrics(name, proxy, await _log_lines(proxy, num_answered))


async def _log_lines(proxy: Running, num_sent: int) -> int:
    for _ in range(round(_LOG_S / _LOOK_S)):
        if (num_lines := count_log_lines(proxy.output)) >= num_sent:
            return num_lines
        await asyncio.sleep(_LOOK_S)
    raise InvalidRun(f"{num_sent} requests were answered, but the access log has {num_lines} lines")
