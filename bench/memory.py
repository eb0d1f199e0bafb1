"""Works that are done once by a proxy that has just begun: what they do to its memory."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from .clients import held_client, run_client
from .figures import InvalidRun, Sample
from .places import Place
from .processes import Running, settled
from .rounds import Plan, Report, Results, check_bytes, check_counts, origin_of, sample_of
from .sharing import counts
from .works import Work

_MOST_ROUNDS = 3  # memory varies less than time
_NUM_WARMING = "500"
_AFTER_S = 5.0
_HELD_S = 1.0
_TIMEOUT_S = 120.0


async def measure_once(plan: Plan, folder: Path, report: Report) -> Results:
    """Do each work by each proxy, begun anew in each round, one proxy at a time.

    Raises: InvalidRun where a figure would mean nothing, RuntimeError where a process fails.
    """
    results: Results = {work.name: {} for work in plan.works}
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(origin_of(plan.cpus[1], folder))
        rounds = min(plan.rounds, _MOST_ROUNDS)
        for number in range(1, rounds + 1):
            for work in plan.works:
                for name in _taking_part(plan, work):
                    own = folder / f"{work.name}-{number}-{name.replace(' ', '-')}"
                    own.mkdir()
                    sample = await _sample(plan, work, name, Place(own, plan.cpus, origin))
                    results[work.name].setdefault(name, []).append(sample)
            report(f"round {number} of {rounds} of what is done once done")
    return results


def _taking_part(plan: Plan, work: Work) -> list[str]:
    return [name for name, proxy in plan.proxies.items() if work.name in proxy.works]


async def _sample(plan: Plan, work: Work, name: str, place: Place) -> Sample:
    async with plan.proxies[name].start(place) as proxy:
        await run_client(("bench.crowd", "small", str(proxy.port), _NUM_WARMING), plan.cpus[1], _TIMEOUT_S)
        await settled(proxy, place.origin)
        before = await counts(place.origin)
        try:
            sample = await (_burst if work.kind == "burst" else _idle)(work, proxy, plan.cpus[1])
        except (InvalidRun, TimeoutError) as error:
            raise InvalidRun(f"{work.name} by {name}: {error or type(error).__name__}") from None
        both = before, await counts(place.origin)
        check_counts(f"{work.name} by {name}", work, sample.units, both)
        check_bytes(f"{work.name} by {name}", work, both)
        return sample


async def _burst(work: Work, proxy: Running, cpu: int) -> Sample:
    """Measure memory before, at its most, and some seconds after."""
    proxy.forget_peak()
    before_kib, start_ns = proxy.rss_kib(), proxy.cpu_ns()
    load = await run_client(("bench.crowd", "burst", str(proxy.port), str(work.connections)), cpu, _TIMEOUT_S)
    used_ns, peak_kib = proxy.cpu_ns() - start_ns, proxy.peak_kib()
    await asyncio.sleep(_AFTER_S)
    load.more.update(before_kib=before_kib, after_kib=proxy.rss_kib())
    return sample_of(load, used_ns, peak_kib)


async def _idle(work: Work, proxy: Running, cpu: int) -> Sample:
    """Measure memory before, and while the connections are there."""
    before_kib, start_ns = proxy.rss_kib(), proxy.cpu_ns()
    async with held_client(("bench.crowd", "idle", str(proxy.port), str(work.connections)), cpu, _TIMEOUT_S) as load:
        used_ns = proxy.cpu_ns() - start_ns
        await asyncio.sleep(_HELD_S)
        rss_kib = proxy.rss_kib()
    load.more.update(before_kib=before_kib, kib_per_connection=(rss_kib - before_kib) / load.units)
    return sample_of(load, used_ns, rss_kib)
