"""What is in use, looked at again and again while a scenario runs."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson

from bench.processes import Running, cpu_ns

from .metrics import NOTHING, Metrics
from .stand import Stand
from .tier import State

INTERVAL_S = 0.5
_TIMEOUT = aiohttp.ClientTimeout(total=2.0)


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. CPU times are totals in s, of each process and of all cores; a tier that is dead has no state."""

    at_s: float
    cpu_s: Mapping[str, float]
    machine_s: float
    rss_kib: int
    tiers: Mapping[str, State]
    metrics: Metrics


@dataclass(slots=True)
class Sampler:
    """Looks every `INTERVAL_S` until it is cancelled. `processes` are the ones besides tiers and gateway."""

    stand: Stand
    begin_s: float
    processes: Mapping[str, Running]
    samples: list[Sample] = field(default_factory=list)

    async def look_on(self) -> None:
        """Look until cancelled."""
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        while True:
            next_s = max(next_s + INTERVAL_S, loop.time())
            await asyncio.sleep(next_s - loop.time())
            self.samples.append(await self.look())

    async def look(self) -> Sample:
        """Look once."""
        states = {name: await self._state(name) for name in self.stand.specs}
        metrics = await self._metrics()
        alive = {**self.processes, "gateway": self.stand.serving, **self.stand.tiers}
        used = {name: _cpu_s(process) for name, process in alive.items()}
        used["sampler"] = cpu_ns(os.getpid()) / 1e9
        return Sample(
            at_s=time.monotonic() - self.begin_s,
            cpu_s=used,
            machine_s=machine_s(),
            rss_kib=self.stand.serving.rss_kib(),
            tiers={name: state for name, state in states.items() if state is not None},
            metrics=metrics,
        )

    async def _state(self, name: str) -> State | None:
        if name not in self.stand.tiers:
            return None
        body = await self._get(f"http://127.0.0.1:{self.stand.ports[name]}/state")
        return State(**orjson.loads(body)) if body else None

    async def _metrics(self) -> Metrics:
        body = await self._get(f"{self.stand.admin_url}/metrics")
        return Metrics.parse(body.decode()) if body else NOTHING

    async def _get(self, url: str) -> bytes:
        with suppress(aiohttp.ClientError, TimeoutError):
            async with self.stand.session.get(url, timeout=_TIMEOUT) as response:
                return await response.read()
        return b""


def machine_s(text: str | None = None, ticks_a_second: int = 100) -> float:
    """Return how long all cores together were at work, of the text of /proc/stat (of this machine where none is given).

    Raises: ValueError for another text.
    """
    text = Path("/proc/stat").read_text() if text is None else text
    for line in text.splitlines():
        if line.startswith("cpu "):
            ticks = list(map(int, line.split()[1:]))
            return (sum(ticks[:7]) - ticks[3] - ticks[4]) / ticks_a_second  # without idle, iowait and what was stolen
    raise ValueError("expected a line `cpu` in /proc/stat, got none")


def _cpu_s(process: Running) -> float:
    try:
        return process.cpu_ns() / 1e9
    except OSError:  # it was killed a moment ago
        return 0.0
