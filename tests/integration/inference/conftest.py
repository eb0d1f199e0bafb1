"""A real `headgate-inference serve` process on a port of its own."""

from __future__ import annotations

import http.client
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import openai
import orjson
import pytest

from headgate.inference.sample_checkpoint import write_sample_checkpoint

from ...prepared import Process
from ...prepared import start as start_process

START_BOUND_S = 50.0
CONTEXT_TOKENS = 16384


@dataclass
class Server:
    """One running server."""

    process: Process
    host: str
    port: int
    log: Path

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}/v1"

    def client(self, timeout_s: float = 30.0) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.base_url, api_key="any", max_retries=0, timeout=timeout_s)

    def async_client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self.base_url, api_key="any", max_retries=0, timeout=30.0)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=30)

    def ask(self, method: str, path: str, body: object = None, **fields: str) -> tuple[int, dict[str, str], bytes]:
        """Make one request on a connection of its own; gives status, fields in lower case and body."""
        connection = self.connect()
        try:
            data = None if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
            connection.request(method, path, data, {name.replace("_", "-"): value for name, value in fields.items()})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def metric(self, name: str) -> int:
        page = self.ask("GET", "/metrics")[2].decode()
        lines = [line for line in page.splitlines() if line.startswith(f"headgate_inference_{name} ")]
        return int(lines[0].rpartition(" ")[2])

    def wait_for(self, condition: Callable[[], bool], bound_s: float = 20.0) -> None:
        """Ask again until the condition holds; each round is a request to the server."""
        deadline = time.monotonic() + bound_s
        while not condition():
            assert time.monotonic() < deadline, f"the condition never held; log:\n{self.log.read_text()}"

    def stop(self) -> int:
        """End the process, by force if need be; gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        return self.process.wait()


Start = Callable[..., Server]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in which no token ends a text, with room for answers of many seconds."""
    path = tmp_path_factory.mktemp("served") / "sample"
    write_sample_checkpoint(path, context_tokens=CONTEXT_TOKENS, has_end=False)
    return path


@pytest.fixture(scope="session")
def shared(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for tests that leave it as it was."""
    server = _start(checkpoint, tmp_path_factory.mktemp("log") / "log")
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


@pytest.fixture
def start(checkpoint: Path, tmp_path: Path) -> Iterator[Start]:
    """Start a server with options of the test's own; it is stopped at the end."""
    servers: list[Server] = []

    def start_one(*options: str, model_dir: Path = checkpoint) -> Server:
        servers.append(_start(model_dir, tmp_path / f"log{len(servers)}", *options))
        return servers[-1]

    yield start_one
    for server in servers:
        server.stop()
        assert "Traceback" not in server.log.read_text()


@pytest.fixture(scope="module")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start a server of any model; all are stopped after the module, and must be well until then."""
    servers: list[Server] = []

    def launch_one(model_dir: Path, *options: str) -> Server:
        servers.append(_start(model_dir, tmp_path_factory.mktemp("log") / "log", *options))
        return servers[-1]

    yield launch_one
    assert [server.stop() for server in servers] == [0] * len(servers)
    assert not [server.log for server in servers if "Traceback" in server.log.read_text()]


def _start(checkpoint: Path, log: Path, *options: str) -> Server:
    arguments = ("serve", str(checkpoint), "--listen", "127.0.0.1:0", *options)
    with log.open("w") as stderr:
        process = start_process("headgate.inference", arguments, stderr)
    readable, _, _ = select.select([process.stdout], [], [], START_BOUND_S)
    line = process.stdout.readline() if readable else ""
    if not line.startswith("listening on http://"):
        process.kill()
        process.wait()
        process.stdout.close()
        raise AssertionError(f"the server did not start: {line!r}; log:\n{log.read_text()}")
    host, _, port = line.strip().removeprefix("listening on http://").rpartition(":")
    return Server(process, host, int(port), log)
