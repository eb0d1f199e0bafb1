"""Processes on a core of their own, and what they cost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .figures import InvalidRun

_READY_S = 120.0  # LiteLLM takes half of it
_STOP_S = 10.0
_LOOK_S = 0.02
_SETTLE_S = 10.0
_SETTLE_LOOK_S = 0.1
_IDLE_NS = 2_000_000
_START_CHARACTERS = 4000
_PROCESS_CLOCK = 2  # CPUCLOCK_SCHED, of all threads: what clock_getcpuclockid(3) returns on Linux


@dataclass(frozen=True, slots=True)
class Running:
    """A process that serves. `output` is the file of what it prints."""

    pid: int
    output: Path
    port: int

    def cpu_ns(self) -> int:
        """Return the CPU time of the process and its children, user and system, to the nanosecond."""
        return sum(cpu_ns(pid) for pid in tree(self.pid))

    def is_waiting(self) -> bool:
        """Whether nothing is to be done: no process runs, or would if it got its core."""
        return all(_state(pid) == "S" for pid in tree(self.pid))

    def rss_kib(self) -> int:
        """Return the memory of the process and its children."""
        return sum(_memory_kib(pid, "VmRSS:") for pid in tree(self.pid))

    def forget_peak(self) -> None:
        """Begin anew to look for the most memory."""
        for pid in tree(self.pid):
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc(5): sets the peak to what is used now

    def peak_kib(self) -> int:
        """Return the most memory that was in use since `forget_peak`: the sum of each process's own peak."""
        return sum(_memory_kib(pid, "VmHWM:") for pid in tree(self.pid))


def cpu_ns(pid: int) -> int:
    """Return the CPU time of one process, all its threads, those that ended too."""
    return time.clock_gettime_ns((~pid << 3) | _PROCESS_CLOCK)


def tree(pid: int) -> list[int]:
    """Return `pid` and all below it."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return [pid, *(below for child in children for below in tree(child))]


async def settled(*processes: Running) -> None:
    """Wait until what was under way when the load stopped is done. Raises: InvalidRun."""
    for _ in range(round(_SETTLE_S / _SETTLE_LOOK_S)):
        before_ns = sum(process.cpu_ns() for process in processes)
        await asyncio.sleep(_SETTLE_LOOK_S)
        is_idle = sum(process.cpu_ns() for process in processes) - before_ns < _IDLE_NS
        if is_idle and all(process.is_waiting() for process in processes):
            return
    raise InvalidRun(f"expected the proxy to be idle within {_SETTLE_S:g} s of its load, got one at work")


@contextlib.contextmanager
def pinned(*cpus: int) -> Iterator[None]:
    """Let what is started inside run on `cpus` only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.asynccontextmanager
async def running(
    arguments: Sequence[str],
    cpus: int | Sequence[int],
    output: Path,
    find_port: Callable[[str], int | None],
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Running]:
    """Run a program on `cpus` until the block ends. `find_port` reads its port from the output, None if not there yet.

    Raises: RuntimeError where it ends, or is not ready in time.
    """
    with output.open("wb") as file, pinned(*([cpus] if isinstance(cpus, int) else cpus)):
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield Running(process.pid, output, await _port(process, output, find_port))
    finally:
        await _stop(process)


def listening_port(output: str) -> int | None:
    """Find the port in a line `listening on URL`."""
    return _port_after("listening on ", output)


def admin_port(output: str) -> int | None:
    """Find the port in a line `admin on URL`."""
    return _port_after("admin on ", output)


def _port_after(words: str, output: str) -> int | None:
    for line in output.splitlines(keepends=True):
        if line.startswith(words) and line.endswith("\n"):
            return int(line.rstrip().rpartition(":")[2])
    return None


async def _port(process: asyncio.subprocess.Process, output: Path, find_port: Callable[[str], int | None]) -> int:
    deadline_s = time.monotonic() + _READY_S
    while (port := find_port(said := start_of(output))) is None:
        if process.returncode is not None or time.monotonic() > deadline_s:
            raise RuntimeError(f"expected the process to serve within {_READY_S:g} s, got: {said or 'nothing'}")
        await asyncio.sleep(_LOOK_S)
    return port


def start_of(output: Path) -> str:
    """Return the beginning of what a process printed."""
    with output.open(errors="replace") as file:
        return file.read(_START_CHARACTERS)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _memory_kib(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise RuntimeError(f"expected {name} in the status of process {pid}")
