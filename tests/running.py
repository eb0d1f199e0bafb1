"""A gateway as a process of its own, and upstreams that do as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

READY_S = 30.0
WAIT_S = 10.0


@dataclass(slots=True)
class RunningGateway:
    """A gateway that serves. `lines` is what it printed, its access log (`-`) included."""

    process: asyncio.subprocess.Process
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
        """Memory of the process now."""
        return _memory(self.process.pid, "VmRSS:")

    def peak_rss_bytes(self) -> int:
        """The most memory since `reset_peak`."""
        return _memory(self.process.pid, "VmHWM:")

    def reset_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


def _memory(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"expected {name} in the status of process {pid}")


@contextlib.asynccontextmanager
async def gateway(
    config: Mapping[str, Any] | str, may_complain: bool = False, **environment: str
) -> AsyncIterator[RunningGateway]:
    """Run `headgate serve` with a configuration; it is ended at the end. Each listener's address may have port 0."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.yaml"
        path.write_text(config if isinstance(config, str) else json.dumps(config))
        async with process(("serve", str(path)), path, may_complain, **environment) as running:
            yield running


@contextlib.asynccontextmanager
async def process(
    arguments: tuple[str, ...], path: Path, may_complain: bool = False, **environment: str
) -> AsyncIterator[RunningGateway]:
    """Run `headgate` with `arguments` until it serves; end it afterwards. Fails if it failed or logged a traceback."""
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "headgate.proxy",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
        limit=1 << 22,
    )
    running = RunningGateway(started, path)
    readers = [
        asyncio.create_task(_read(running, started.stdout)),
        asyncio.create_task(_complain(running, started.stderr)),
    ]
    try:
        wants_admin = path.is_file() and '"admin"' in path.read_text()
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
        if started.returncode is None:
            started.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(WAIT_S):
                    await started.wait()
            except TimeoutError:
                started.kill()
                await started.wait()
        await asyncio.gather(*readers)


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


@dataclass(slots=True)
class Call:
    """One request as an upstream got it, and the connection to answer on."""

    head: bytes
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def line(self) -> str:
        return self.head.partition(b"\r\n")[0].decode("latin-1")

    def fields(self, name: str) -> list[str]:
        """Every value of a field."""
        pairs = [line.partition(b":") for line in self.head.split(b"\r\n")[1:] if line]
        return [value.strip().decode("latin-1") for key, _, value in pairs if key.decode("latin-1").lower() == name]

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes = b"ok", status: str = "200 OK", *fields: str) -> None:
        """Answer whole, with a length."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]
        await self.send("\r\n".join(lines).encode("latin-1") + body)

    async def gone(self) -> None:
        """Wait until the gateway closes this connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        self.writer.transport.abort()


Script = Callable[[Call], Awaitable[None]]


@dataclass(slots=True)
class Upstream:
    """A server on a free port that plays `script` for every request. The script alone ends a connection."""

    script: Script
    port: int = 0
    calls: list[Call] = field(default_factory=list)
    num_connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                call = Call(head, b"", reader, writer)
                length = call.fields("content-length")
                if length:
                    call.body = await reader.readexactly(int(length[0]))
                self.calls.append(call)
                await self.script(call)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def upstream(script: Script) -> AsyncIterator[Upstream]:
    """Serve a script on loopback."""
    served = Upstream(script)
    async with raw_server(served.serve) as port:
        served.port = port
        yield served


@contextlib.asynccontextmanager
async def raw_server(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], limit: int = 1 << 20
) -> AsyncIterator[int]:
    """Serve connections on a free port of loopback; those still open at the end are cancelled and closed."""
    tasks: set[asyncio.Task[None]] = set()

    async def tracked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            tasks.discard(task)
            writer.transport.abort() if task.cancelling() else writer.close()

    server = await asyncio.start_server(tracked, "127.0.0.1", 0, limit=limit)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(slots=True)
class Answer:
    """An answer as a client read it. `is_whole` is false where the connection ended inside it."""

    status: int
    head: bytes
    body: bytes
    is_whole: bool

    def field(self, name: str) -> str | None:
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.decode("latin-1").lower() == name:
                return value.strip().decode("latin-1")
        return None

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A plain HTTP/1.1 client on one connection, strict about what is a whole answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, method: str, path: str, body: bytes | None = None, *fields: str) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: gate.test", *fields]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))
        await self.writer.drain()

    async def head(self) -> tuple[int, bytes]:
        """Read the next final head."""
        while True:
            head = await self.reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            if status >= 200 or status == 101:
                return status, head

    async def answer(self, method: str = "GET") -> Answer:
        """Read one whole answer, or what there is of it."""
        async with asyncio.timeout(WAIT_S):
            status, head = await self.head()
            answer = Answer(status, head, b"", False)
            try:
                await self._read_body(answer, method)
                answer.is_whole = True
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                answer.body += getattr(error, "partial", b"")
        return answer

    async def _read_body(self, answer: Answer, method: str) -> None:
        if method == "HEAD" or answer.status in (204, 304, 101):
            return
        length = answer.field("content-length")
        if length is not None:
            answer.body = await self.reader.readexactly(int(length))
        elif answer.field("transfer-encoding") == "chunked":
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                answer.body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readuntil(b"\r\n")
        else:
            answer.body = await self.reader.read(-1)

    async def request(self, method: str, path: str, body: bytes | None = None, *fields: str) -> Answer:
        await self.send(method, path, body, *fields)
        return await self.answer(method)

    def close(self) -> None:
        self.writer.close()


@contextlib.asynccontextmanager
async def client(port: int) -> AsyncIterator[Client]:
    """Connect to the gateway."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    connected = Client(reader, writer)
    try:
        yield connected
    finally:
        connected.close()


async def fetch(port: int, method: str = "GET", path: str = "/", body: bytes | None = None, *fields: str) -> Answer:
    """Send one request on a connection of its own."""
    async with client(port) as connected:
        return await connected.request(method, path, body, *fields)


def plain(*urls: str, **route: Any) -> dict[str, Any]:
    """A configuration with one route over targets `t0`, `t1`, … in order."""
    clusters = {f"t{number}": {"endpoints": [url]} for number, url in enumerate(urls)}
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "clusters": clusters,
        "routes": [{"name": "all", "match": {"path": "/{*rest}"}, "targets": list(clusters), **route}],
    }
