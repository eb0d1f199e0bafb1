"""A redis-server of a test's own, on a socket in a directory of its own."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis


class RunningRedis:
    """A server that listens at `url`; it can be frozen, killed, and started again, empty."""

    def __init__(self, folder: Path, arguments: tuple[str, ...]) -> None:
        self._socket = folder / "redis.sock"
        self._arguments = arguments
        self.url = f"unix://{self._socket}"
        self._process = self._started()

    def _started(self) -> subprocess.Popen[str]:
        own = ("--port", "0", "--unixsocket", str(self._socket), "--save", "", "--dir", str(self._socket.parent))
        process = subprocess.Popen(["redis-server", *own, *self._arguments], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        lines = []
        for line in process.stdout:  # it says few, to its end
            lines.append(line)
            if "ready to accept connections" in line.lower():
                return process
        raise RuntimeError(f"redis-server did not start: {''.join(lines)}")

    def client(self, **options: Any) -> redis.Redis:
        """Return a client of the tests' own."""
        return redis.Redis(unix_socket_path=str(self._socket), **options)

    def freeze(self) -> None:
        """Let it accept connections, and say nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._socket.unlink(missing_ok=True)

    def start_again(self) -> None:
        self._process = self._started()


@contextlib.contextmanager
def running_redis(*arguments: str) -> Iterator[RunningRedis]:
    """Run one until the end, with `arguments` beside those that keep it to itself."""
    with tempfile.TemporaryDirectory() as folder:
        running = RunningRedis(Path(folder), arguments)
        try:
            yield running
        finally:
            running.thaw()
            running.kill()
