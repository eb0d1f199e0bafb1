"""`headgate fault-upstream` as a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

BOUND_S = 20.0


@dataclass(frozen=True, slots=True)
class FaultProcess:
    """A fault upstream that serves."""

    process: subprocess.Popen[str]
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def call(self, method: str, path: str, value: Any = None) -> Any:
        """Call a path; return the JSON of the answer, which has to be a 200."""
        status, found = self.ask(method, path, value)
        assert status == 200, found
        return found

    def ask(self, method: str, path: str, value: Any = None, **fields: str) -> tuple[int, Any]:
        """Send a request on a connection of its own; return the status and the answer's JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=BOUND_S)
        with contextlib.closing(connection):
            body = None if value is None else json.dumps(value)
            connection.request(method, path, body, {name.replace("_", "-"): text for name, text in fields.items()})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")

    def requests(self) -> list[dict[str, Any]]:
        """Return what it saw."""
        found: list[dict[str, Any]] = self.call("GET", "/requests")["requests"]
        return found

    def until(self, is_true: Callable[[list[dict[str, Any]]], object]) -> list[dict[str, Any]]:
        """Ask what it saw until that is as wanted; return it."""
        end_s = time.monotonic() + BOUND_S
        while not is_true(seen := self.requests()):
            assert time.monotonic() < end_s, seen
        return seen

    def script(self, *faults: str, **settings: Any) -> None:
        """Give it a script, and let it forget what it saw."""
        self.call("DELETE", "/requests")
        self.call("PUT", "/faults", {"script": list(faults), **settings})


@contextlib.contextmanager
def fault_process(*arguments: str, listen: str = "127.0.0.1:0") -> Iterator[FaultProcess]:
    """Run the command until it is ready, and end it. It has to end well, and to have complained of nothing."""
    command = [sys.executable, "-m", "headgate.proxy", "fault-upstream", "--listen", listen, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        readable, _, _ = select.select([process.stdout], [], [], BOUND_S)
        line = process.stdout.readline() if readable else ""
        if not line.startswith("fault-upstream on "):
            process.kill()
            raise AssertionError(f"the fault upstream did not start: {line!r}, {process.communicate()[1]}")
        yield FaultProcess(process, line.removeprefix("fault-upstream on ").strip())
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            output, complaints = process.communicate(timeout=BOUND_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert (process.returncode, output, complaints) == (0, "", "")
