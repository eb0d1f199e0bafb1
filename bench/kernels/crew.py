"""Worker processes, so that nothing a kernel does can end the run: a crash, a hang, a spoiled GPU."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from .budget import Budget
from .work import TRACE_CHARACTERS, Done, Item, within

ROOT = Path(__file__).resolve().parents[2]
CLOSE_SECONDS = 60.0  # a memory checker takes its time to sum up
START_SECONDS = 30.0  # more for the first item of a process: torch is imported then


def command(mode: str) -> list[str]:
    """Return how a worker is started."""
    return [sys.executable, "-m", "bench.kernels.worker", mode]


class Worker:
    """One process that does items one after the other; another one after it ended, or was ended for being late."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._command, self._log = list(command), log
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def do(self, item: Item) -> Done:
        """Do one item, or say why it failed. Raises: OSError where no process can be started."""
        patience = item.seconds + (START_SECONDS if self._process is None else 0.0)
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        began = time.monotonic()
        try:
            process.stdin.write(item.line())
            process.stdin.flush()
        except BrokenPipeError:
            return self._dead(item, began)
        ready, _, _ = select.select([process.stdout], [], [], patience)
        if not ready:
            self._kill()
            failure, seconds = f"not done after {patience:.0f} s", time.monotonic() - began
            return Done(item, {}, failure, self._tail(), seconds, is_late=True)
        line = process.stdout.readline()
        if not line.endswith("\n"):
            return self._dead(item, began)
        done = Done.of(item, line)
        if done.is_fatal:
            self.close()
        return done

    def close(self) -> int:
        """End the process, and return its exit code; 0 if there is none."""
        process, self._process = self._process, None
        if process is None:
            return 0
        assert process.stdin is not None and process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            return process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()
        finally:
            process.stdout.close()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command,
                    cwd=ROOT,
                    env=self._environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,
                )
        return self._process

    def _kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self.close()

    def _dead(self, item: Item, began: float) -> Done:
        code = self.close()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        tail = self._tail()
        last = tail.rstrip().rpartition("\n")[2][:120]
        return Done(item, {}, f"the process ended by {how}; {last}".rstrip("; "), tail, time.monotonic() - began)

    def _tail(self) -> str:
        return self._log.read_bytes()[-TRACE_CHARACTERS:].decode(errors="replace") if self._log.exists() else ""


class Crew:
    """Workers of every mode, one of each kept for the next items. `said` is told of each thing done."""

    def __init__(self, folder: Path, budget: Budget, said: Callable[[Done], None]) -> None:
        self.folder, self._budget, self._said = folder, budget, said
        self._idle: dict[str, Worker] = {}
        self._count = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for worker in self._idle.values():
            worker.close()
        self._idle.clear()

    def run(self, mode: str, items: Sequence[Item], at_once: int = 1, until: float = 0.0) -> list[Done]:
        """Do the items in order, some at once, and return what came of each that there was time for.

        What would begin with less than `until` seconds of the budget left is left out, and the budget told.
        """
        waiting, found = list(reversed(list(enumerate(items)))), dict[int, Done]()
        threads = [
            threading.Thread(target=self._work, args=(mode, waiting, found, until))
            for _ in range(min(at_once, len(items)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [found[place] for place in sorted(found)]

    def worker(self, mode: str, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> Worker:
        """Return a new worker of a mode; the caller closes it."""
        with self._lock:
            self._count += 1
            log = self.folder / f"{mode}-{self._count}.log"
        is_interpreted = {"TRITON_INTERPRET": "1" if mode == "interpret" else "0"}  # read when a kernel is defined
        return Worker([*prefix, *command(mode)], log, {**is_interpreted, **(environment or {})})

    def _work(self, mode: str, waiting: list[tuple[int, Item]], found: dict[int, Done], until: float) -> None:
        with self._lock:
            kept = self._idle.pop(mode, None)
        worker = kept or self.worker(mode)
        while (taken := self._next(waiting)) is not None:
            place, item = taken
            left = self._budget.left() - until
            if left <= 0:
                self._budget.leave_out(item)
                continue
            done = replace(worker.do(within(item, left)), item=item)
            if done.is_late and left < item.seconds:
                self._budget.leave_out(item)  # it did not have its time
                continue
            self._said(done)
            with self._lock:
                found[place] = done
        with self._lock:
            is_kept = self._idle.setdefault(mode, worker) is worker
        if not is_kept:
            worker.close()

    def _next(self, waiting: list[tuple[int, Item]]) -> tuple[int, Item] | None:
        with self._lock:
            return waiting.pop() if waiting else None
