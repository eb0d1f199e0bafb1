"""The demo as a process, and what it prints."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

COMMAND = (sys.executable, "-m", "headgate.demo")
READY = "Stop with Ctrl-C."
READY_BOUND_S = 55.0
STOP_BOUND_S = 20.0


@dataclass(slots=True)
class Demo:
    """A demo that serves. `lines` is what it printed so far."""

    process: subprocess.Popen[bytes]
    lines: list[str] = field(default_factory=list)
    _unread: bytes = b""

    @property
    def url(self) -> str:
        """Where the gateway listens."""
        return self._found(r"headgate listens on (http://\S+);")

    @property
    def admin_url(self) -> str:
        return self._found(r"its admin address is (http://\S+) ")

    @property
    def heavy_pid(self) -> int:
        return int(self._found(r"kill -9 (\d+) "))

    def curl_command(self) -> str:
        """The printed curl command, for a shell."""
        return self._block("curl ")

    def client_command(self) -> str:
        """The printed snippet for the openai client, for a shell."""
        return self._block(sys.executable)

    def wait_for(self, is_last: Callable[[str], object], bound_s: float) -> str:
        """Read lines until one is the one waited for; return it."""
        deadline = time.monotonic() + bound_s
        while True:
            line = self._line(deadline)
            self.lines.append(line)
            if is_last(line):
                return line

    def _line(self, deadline: float) -> str:
        assert self.process.stdout is not None
        while b"\n" not in self._unread:
            left_s = max(0.0, deadline - time.monotonic())
            assert select.select([self.process.stdout], [], [], left_s)[0], f"the line never came: {self.lines}"
            piece = os.read(self.process.stdout.fileno(), 65536)
            assert piece, f"the demo ended: {self.lines}"
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def _found(self, pattern: str) -> str:
        found = re.search(pattern, "\n".join(self.lines))
        assert found is not None, self.lines
        return found[1]

    def _block(self, start: str) -> str:
        """The lines from the first that begins with `start` up to the next empty one."""
        first = next(place for place, line in enumerate(self.lines) if line.startswith(start))
        return "\n".join(self.lines[first : self.lines.index("", first)])


@contextlib.contextmanager
def demo(*arguments: str) -> Iterator[Demo]:
    """Run the demo on free ports until it serves; end it afterwards. Fails if it left a traceback."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen([*COMMAND, "--port", "0", *arguments], stdout=subprocess.PIPE, stderr=errors)
        running = Demo(process)
        try:
            running.wait_for(lambda line: READY in line, READY_BOUND_S)
            yield running
        finally:
            end(process)
            errors.seek(0)
            complaints = errors.read()
            assert "Traceback" not in complaints, complaints


def end(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> int:
    """End the demo; return its exit code."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        process.wait(STOP_BOUND_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
    return process.returncode


def children(pid: int) -> set[int]:
    """Return the ids of a process's children."""
    lists = [task.read_text().split() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    return {int(child) for one in lists for child in one}


def is_running(pid: int) -> bool:
    """Whether a process is there and not just waiting to be taken note of."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
