"""One model tier as a process, to be killed and started again on its port."""

from __future__ import annotations

import select
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ...prepared import Process, start

START_BOUND_S = 50.0


@dataclass(slots=True)
class Tier:
    """`headgate-inference serve` under a name; `port` is kept over starts."""

    name: str
    checkpoint: Path
    log: Path
    port: int = 0
    process: Process | None = None

    def start(self) -> None:
        """Start it; `wait` says when it serves."""
        options = ("--listen", f"127.0.0.1:{self.port}", "--name", self.name)
        with self.log.open("a") as stderr:
            self.process = start("headgate.inference", ("serve", str(self.checkpoint), *options), stderr)

    def wait(self) -> None:
        """Wait until it serves."""
        assert self.process is not None
        readable, _, _ = select.select([self.process.stdout], [], [], START_BOUND_S)
        line = self.process.stdout.readline() if readable else ""
        assert line.startswith("listening on "), f"the tier did not start: {line!r}; log:\n{self.log.read_text()}"
        self.port = int(line.rpartition(":")[2])

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End it as the kernel would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order, by force if it hangs."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        process = self.process
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        self.process = None
