"""A gateway as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .prepared import LoopProcess, is_preparable, start_in_loop

# How a gateway may be told to serve, whatever way these tests were told: see docs/testing.md.
WAYS: Mapping[str, Mapping[str, Any]] = {
    "lane": {name: "" for name in ("HEADGATE_NO_LANE", "HEADGATE_NO_EXTENSIONS") if os.environ.get(name)},
    "reference": {"HEADGATE_NO_LANE": "1"},
}
READY_S = 30.0
WAIT_S = 10.0
_LINE_BYTES = 1 << 22


@dataclass(slots=True)
class RunningGateway:
    """A gateway that serves. `lines` is what it printed, its access log (`-`) included."""

    process: asyncio.subprocess.Process | LoopProcess
    config_path: Path
    ports: list[int] = field(default_factory=list)
    admin_port: int = 0
    lines: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def port(self) -> int:
        return self.ports[0]

    def write(self, config: Mapping[str, Any] | str) -> None:
        """Replace the configuration file, whole."""
        text = config if isinstance(config, str) else json.dumps(config)
        fresh = self.config_path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.config_path)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def until(self, is_true: Callable[[], object], bound_s: float = WAIT_S) -> None:
        """Wait until something that the gateway prints makes `is_true` true."""
        async with asyncio.timeout(bound_s):
            while not is_true():
                self.changed.clear()
                await self.changed.wait()

    def log(self) -> list[dict[str, Any]]:
        """The access log so far."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    def rss_bytes(self) -> int:
        """Memory of the process now. It has to be a fresh one."""
        return self._memory("VmRSS:")

    def peak_rss_bytes(self) -> int:
        """The most memory since `reset_peak`."""
        return self._memory("VmHWM:")

    def reset_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def _memory(self, name: str) -> int:
        # A fork grows when it first touches what others have loaded.
        assert not isinstance(self.process, LoopProcess), "expected a gateway with is_fresh=True"
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"expected {name} in the status of process {self.process.pid}")


@contextlib.asynccontextmanager
async def gateway(
    config: Mapping[str, Any] | str, may_complain: bool = False, is_fresh: bool = False, **environment: str
) -> AsyncIterator[RunningGateway]:
    """Run `headgate serve` with a configuration; it is ended at the end. Each listener's address may have port 0.

    Where `is_fresh` it is no fork of a process that has imported everything, but begins by itself.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.yaml"
        path.write_text(config if isinstance(config, str) else json.dumps(config))
        async with process(("serve", str(path)), path, may_complain, is_fresh, **environment) as running:
            yield running


@contextlib.asynccontextmanager
async def process(
    arguments: tuple[str, ...], path: Path, may_complain: bool = False, is_fresh: bool = False, **environment: str
) -> AsyncIterator[RunningGateway]:
    """Run `headgate` with `arguments` until it serves; end it afterwards. Fails if it failed or logged a traceback."""
    started = await _start(arguments, environment, is_fresh or not is_preparable(environment))
    running = RunningGateway(started, path)
    readers = [
        asyncio.create_task(_read(running, started.stdout)),
        asyncio.create_task(_complain(running, started.stderr)),
    ]
    try:
        wants_admin = _wants_admin(path)
        await running.until(
            lambda: (running.ports and (running.admin_port or not wants_admin)) or _ended(running), READY_S
        )
        assert not _ended(running), "\n".join(running.complaints)
        yield running
        is_calm = not any("Traceback" in line for line in running.complaints)
        assert is_calm or may_complain, "\n".join(running.complaints)
    except BaseException:
        print("\n".join(running.complaints[-200:]), file=sys.stderr)
        raise
    finally:
        await _stop(started)
        await asyncio.gather(*readers)


async def _start(
    arguments: tuple[str, ...], environment: Mapping[str, str], is_fresh: bool
) -> asyncio.subprocess.Process | LoopProcess:
    if not is_fresh:
        return await start_in_loop("headgate.proxy", arguments, environment, _LINE_BYTES)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "headgate.proxy",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
        limit=_LINE_BYTES,
    )


async def _stop(started: asyncio.subprocess.Process | LoopProcess) -> None:
    if started.returncode is not None:
        return
    started.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(WAIT_S):
            await started.wait()
    except TimeoutError:
        started.kill()
        await started.wait()


def _wants_admin(path: Path) -> bool:
    return path.is_file() and '"admin"' in path.read_text()


def _ended(running: RunningGateway) -> bool:
    return running.process.returncode is not None


async def _read(running: RunningGateway, output: asyncio.StreamReader | None) -> None:
    assert output is not None
    while line := (await output.readline()).decode(errors="replace").rstrip():
        running.lines.append(line)
        if line.startswith("listening on "):
            running.ports.append(int(line.rpartition(":")[2]))
        elif line.startswith("admin on "):
            running.admin_port = int(line.rpartition(":")[2])
        running.changed.set()
    await running.process.wait()
    running.changed.set()


async def _complain(running: RunningGateway, output: asyncio.StreamReader | None) -> None:
    assert output is not None
    while line := await output.readline():
        running.complaints.append(line.decode(errors="replace").rstrip())
        running.changed.set()


def plain(*urls: str, **route: Any) -> dict[str, Any]:
    """A configuration with one route over targets `t0`, `t1`, … in order."""
    clusters = {f"t{number}": {"endpoints": [url]} for number, url in enumerate(urls)}
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "clusters": clusters,
        "routes": [{"name": "all", "match": {"path": "/{*rest}"}, "targets": list(clusters), **route}],
    }
