"""What runs during a scenario: two tiers, a gateway in front of them, each a process on ports of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench import governed
from bench.processes import Running, listening_port, running

ROOT = Path(__file__).resolve().parents[1]
TOKEN_VARIABLE = "HEADGATE_LOAD_TOKEN"
TOKEN = "load-test-token-of-the-admin-address"
_HEADGATE = (sys.executable, "-m", "headgate.proxy")


@dataclass(frozen=True, slots=True)
class TierSpec:
    """One tier: requests served at once, requests that wait, and the time that one takes."""

    slots: int
    queue: int
    service_ms: int
    busy_status: int = 429  # what who finds the queue full is told

    @property
    def per_s(self) -> float:
        """How many answers it can give a second."""
        return self.slots / self.service_ms * 1e3


@dataclass(slots=True)
class Stand:
    """The running processes. A tier that is dead is not in `tiers`."""

    folder: Path
    config: Path
    cpus: frozenset[int]
    specs: Mapping[str, TierSpec]
    session: aiohttp.ClientSession
    stack: contextlib.AsyncExitStack
    ports: dict[str, int] = field(default_factory=dict)
    tiers: dict[str, Running] = field(default_factory=dict)
    gateway: Running | None = None
    admin_port: int = 0

    @property
    def url(self) -> str:
        """Where the gateway listens."""
        return f"http://127.0.0.1:{self.serving.port}"

    @property
    def admin_url(self) -> str:
        """Where the gateway is administered."""
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def serving(self) -> Running:
        """The gateway. Raises: RuntimeError before it was started."""
        if self.gateway is None:
            raise RuntimeError("expected a gateway that was started, got none")
        return self.gateway

    @contextlib.asynccontextmanager
    async def process(
        self, arguments: Sequence[str], output: Path, find_port: Callable[[str], int | None]
    ) -> AsyncIterator[Running]:
        """Run a program until the block ends, on whichever core is free: there are more processes than cores."""
        async with running(arguments, min(self.cpus), output, find_port, environment()) as started:
            _let_run_on(started.pid, self.cpus)
            yield started

    async def start_tier(self, name: str) -> None:
        """Start a tier, on the port that it had."""
        spec = self.specs[name]
        options = ("--slots", str(spec.slots), "--queue", str(spec.queue), "--service", f"{spec.service_ms}ms")
        place = ("--name", name, "--port", str(self.ports.get(name, 0)), "--busy", str(spec.busy_status))
        arguments = (sys.executable, "-m", "loadtests.tier", *place, *options)
        output = self.folder / f"{name}.{len(list(self.folder.iterdir()))}.output"
        tier = await self.stack.enter_async_context(self.process(arguments, output, listening_port))
        self.ports[name] = tier.port
        self.tiers[name] = tier

    def kill_tier(self, name: str) -> None:
        """Kill a tier: its connections are reset, new ones are refused."""
        os.kill(self.tiers.pop(name).pid, signal.SIGKILL)

    async def start_gateway(self) -> None:
        """Start the gateway from the scenario's file, with the ports of this stand."""
        text = (self.config).read_text()
        path = self.folder / self.config.name
        path.write_text(placed(text, self.ports))
        shutil.copy(governed.EXAMPLES / governed.KEYS_NAME, self.folder)
        arguments = (*_HEADGATE, "serve", str(path))
        output = self.folder / "gateway.output"
        self.gateway = await self.stack.enter_async_context(self.process(arguments, output, _both_ports))
        self.admin_port = _admin_port(output.read_text(errors="replace")) or 0

    async def reload(self) -> int:
        """Have the gateway reload its file; return the status."""
        fields = {"Authorization": f"Bearer {TOKEN}"}
        async with self.session.post(f"{self.admin_url}/reload", headers=fields) as response:
            await response.read()
            return response.status


@contextlib.asynccontextmanager
async def stand(folder: Path, config: Path, specs: Mapping[str, TierSpec]) -> AsyncIterator[Stand]:
    """Start everything; end it when the block ends."""
    cpus = frozenset(os.sched_getaffinity(0))
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        found = Stand(folder, config, cpus, specs, session, stack)
        for name in specs:
            await found.start_tier(name)
        await found.start_gateway()
        yield found


def placed(text: str, ports: Mapping[str, int]) -> str:
    """Return a scenario's configuration with free ports for the gateway, and those of the tiers."""
    changes = {"address: 127.0.0.1:8080": "address: 127.0.0.1:0", "address: 127.0.0.1:9901": "address: 127.0.0.1:0"}
    changes |= {f"//127.0.0.1:{9001 + n}": f"//127.0.0.1:{port}" for n, port in enumerate(ports.values())}
    for old, new in changes.items():
        if text.count(old) != 1:
            raise ValueError(f"expected `{old}` once in the configuration, got it {text.count(old)} times")
        text = text.replace(old, new)
    return text


def _let_run_on(pid: int, cpus: frozenset[int]) -> None:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cpus)


def environment() -> dict[str, str]:
    """Return what processes need to find this package, and the secrets of the configurations."""
    path = os.pathsep.join(part for part in (os.environ.get("PYTHONPATH", ""), str(ROOT)) if part)
    return {"PYTHONPATH": path, governed.PEPPER_VARIABLE: governed.PEPPER, TOKEN_VARIABLE: TOKEN}


def _both_ports(output: str) -> int | None:
    return listening_port(output) if _admin_port(output) is not None else None


def _admin_port(output: str) -> int | None:
    for line in output.splitlines(keepends=True):
        if line.startswith("admin on ") and line.endswith("\n"):
            return int(line.rstrip().rpartition(":")[2])
    return None
