"""Processes that start in milliseconds: forks of one that has imported what they run.

A gateway needs most of a second to import what it is made of, a model tier several, and hundreds are started here.
What is started is a process like any other: it has a pid, an environment and standard streams of its own, runs
`python -m MODULE` from its first line on, and is gone when it is killed.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

from .forking import MESSAGE_BYTES

# module that is run -> what it imports sooner or later
_IMPORTS = {
    "headgate.proxy": (
        "headgate.proxy.cli.main",
        "headgate.proxy.config.load",
        "headgate.proxy.run",
        "headgate.plugins.aggregate",
        "headgate.plugins.api_key",
        "headgate.plugins.cache",
        "headgate.plugins.canary",
        "headgate.plugins.completion_cache",
        "headgate.plugins.mirror",
        "headgate.plugins.model_route",
        "headgate.plugins.rate_limit",
        "headgate.plugins.transform",
        "headgate.plugins.transform_body",
    ),
    "headgate.inference": ("headgate.inference.serve",),
}
# What an interpreter looks at before it runs anything: with these of its own a process has to begin by itself.
_READ_AT_START = ("PYTHON", "LD_", "HEADGATE_NO_")
_NO_LANE = "HEADGATE_NO_LANE"  # read as the first part is imported: there is a process for each of its values


class _Started:
    """What runs. `returncode` is as of `subprocess`."""

    def __init__(self, pid: int, ended: int) -> None:
        self.pid = pid
        self._ended = ended  # its exit code comes here
        self._code: int | None = None
        self._reading = threading.Lock()

    def __del__(self) -> None:
        os.close(self._ended)

    @property
    def returncode(self) -> int | None:
        """The exit code; None while it runs."""
        with self._reading:
            if self._code is None and select.select([self._ended], [], [], 0)[0]:
                # Nothing comes where the one that forks is gone; what it started went with it.
                self._code = int(os.read(self._ended, 32) or -signal.SIGKILL)
            return self._code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as the kernel would."""
        self.send_signal(signal.SIGKILL)


class Process(_Started):
    """A process with what tests ask of a `subprocess.Popen`."""

    def __init__(self, pid: int, ended: int, stdout: IO[str]) -> None:
        super().__init__(pid, ended)
        self.stdout = stdout

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        return self.returncode

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its end. Raises: subprocess.TimeoutExpired."""
        if self.returncode is None:
            select.select([self._ended], [], [], timeout_s)
        if (code := self.returncode) is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout_s or 0.0)
        return code


class LoopProcess(_Started):
    """A process with what tests ask of asyncio's."""

    def __init__(self, pid: int, ended: int, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader) -> None:
        super().__init__(pid, ended)
        self.stdout = stdout
        self.stderr = stderr

    async def wait(self) -> int:
        """Wait for its end."""
        loop = asyncio.get_running_loop()
        while (code := self.returncode) is None:
            seen = asyncio.Event()
            watched = os.dup(self._ended)  # several may wait, and a loop takes one reader for a descriptor
            loop.add_reader(watched, seen.set)
            try:
                await seen.wait()
            finally:
                loop.remove_reader(watched)
                os.close(watched)
        return code


def is_preparable(environment: Mapping[str, str]) -> bool:
    """Whether a process with these variables beside ours may be a fork."""
    return not any(name.startswith(_READ_AT_START) for name in environment if name != _NO_LANE)


def start(module: str, arguments: Sequence[str], stderr: IO[str]) -> Process:
    """Start `python -m module arguments`; its standard output is to be read."""
    return preparing(module, os.environ.get(_NO_LANE, "")).start(module, arguments, stderr)


async def start_in_loop(
    module: str, arguments: Sequence[str], environment: Mapping[str, str], limit: int
) -> LoopProcess:
    """Start `python -m module arguments` with `environment` beside ours; a line of its output has `limit` bytes."""
    (stdout, writing), (stderr, complaining) = os.pipe(), os.pipe()
    try:
        no_lane = environment.get(_NO_LANE, os.environ.get(_NO_LANE, ""))
        pid, ended = preparing(module, no_lane).fork(module, arguments, (writing, complaining), environment)
    finally:
        os.close(writing)
        os.close(complaining)
    return LoopProcess(pid, ended, await _reader(stdout, limit), await _reader(stderr, limit))


async def _reader(fd: int, limit: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit)
    pipe = os.fdopen(fd, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


@cache
def preparing(module: str, no_lane: str) -> Preparing:
    """Return the one that starts `module` in this run of the tests, with that value of the variable."""
    return Preparing(module, no_lane)


class Preparing:
    """A process that has imported what `module` runs, and forks. It ends with the tests."""

    def __init__(self, module: str, no_lane: str = "") -> None:
        self._channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._asking = threading.Lock()
        command = [sys.executable, "-P", str(Path(__file__).with_name("forking.py")), *_IMPORTS[module]]
        self._process = subprocess.Popen(
            command, stdin=other.fileno(), stdout=subprocess.DEVNULL, env={**os.environ, _NO_LANE: no_lane}
        )
        other.close()
        atexit.register(self.end)

    def start(self, module: str, arguments: Sequence[str], stderr: IO[str]) -> Process:
        """Start `python -m module arguments`; its standard output is to be read."""
        reading, writing = os.pipe()
        try:
            pid, ended = self.fork(module, arguments, (writing, stderr.fileno()), {})
        finally:
            os.close(writing)
        return Process(pid, ended, open(reading))

    def fork(
        self, module: str, arguments: Sequence[str], outputs: tuple[int, int], environment: Mapping[str, str]
    ) -> tuple[int, int]:
        """Start it, with `outputs` for standard output and error. Return its pid, and where its exit code comes."""
        variables = {**os.environ, **environment}
        request = {"module": module, "arguments": arguments, "environment": variables, "folder": str(Path.cwd())}
        ended, told = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            with self._asking:
                socket.send_fds(self._channel, [json.dumps(request).encode()], [nothing, *outputs, told])
                pid = self._channel.recv(MESSAGE_BYTES)
        finally:
            os.close(nothing)
            os.close(told)
        if not pid:
            os.close(ended)
            raise RuntimeError(f"expected a process that runs {module}, but what starts them has ended")
        return int(pid), ended

    def end(self) -> None:
        """End it, and whatever it started."""
        atexit.unregister(self.end)
        self._channel.close()
        self._process.wait()
