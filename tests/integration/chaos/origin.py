"""Origins that misbehave as the schedule says, and know how often each operation was executed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from .schedule import FAULTS, FOREIGN, FOREIGN_AFTER_BYTES, GARBAGE, Fate, Operation, download, fate, upload

_NO_LINGER = b"\x01\x00\x00\x00\x00\x00\x00\x00"
_DRIP_S = 0.01
_SLOW_PIECES = 8


@dataclass(slots=True)
class Ledger:
    """What the origins of a run saw, together."""

    seed: int
    operations: dict[str, Operation]
    arrivals: Counter[str] = field(default_factory=Counter)
    executions: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    visits: set[Visit] = field(default_factory=set)
    num_busy: int = 0
    num_lies: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until_idle(self, bound_s: float = 10.0) -> None:
        """Wait until no request is under way."""
        await self._until(lambda: not self.num_busy, bound_s)

    async def until_left(self, bound_s: float = 10.0) -> None:
        """Wait until every connection is closed."""
        await self._until(lambda: not self.visits, bound_s)

    async def _until(self, is_true: Callable[[], bool], bound_s: float) -> None:
        async with asyncio.timeout(bound_s):
            while not is_true():
                self.changed.clear()
                await self.changed.wait()

    def lie(self) -> None:
        """Answer what nobody asked, everywhere; only while nothing is under way, for else it would be an answer."""
        assert not self.num_busy
        for visit in self.visits:
            visit.lie()
            self.num_lies += 1

    def arrived(self, identity: str) -> Fate:
        self.arrivals[identity] += 1
        drawn = fate(self.seed, identity, self.arrivals[identity])
        assert drawn.fault in FAULTS
        self.faults[drawn.fault] += 1
        return drawn

    def executed(self, operation: Operation, body: bytes) -> None:
        self.executions[operation.id] += 1
        if body != upload(operation):
            self.violations.append(f"the upload of {operation.id} was altered: {len(body)} bytes arrived as whole")


class Visit:
    """One connection to an origin."""

    def __init__(
        self, ledger: Ledger, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: socket.socket
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._writer = writer
        self._connection = connection

    def lie(self) -> None:
        """Answer what nobody asked."""
        self._writer.write(FOREIGN)

    async def run(self) -> None:
        """Answer requests until somebody closes."""
        self._ledger.visits.add(self)
        try:
            while await self._serve():
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the gateway closed, or gave up half-way: nothing was executed
        finally:
            self._ledger.visits.discard(self)
            self._ledger.changed.set()
            self._writer.transport.abort()

    async def _serve(self) -> bool:
        head = await self._reader.readuntil(b"\r\n\r\n")
        self._ledger.num_busy += 1
        try:
            operation = self._operation(head)
            drawn = self._ledger.arrived(operation.id)
            if drawn.reads_request:
                self._ledger.executed(operation, await self._body(head))
            return await self._act(operation, drawn, head)
        finally:
            self._ledger.num_busy -= 1
            self._ledger.changed.set()

    def _operation(self, head: bytes) -> Operation:
        method, path, version = head.partition(b"\r\n")[0].decode().split(" ")
        operation = self._ledger.operations[path.rpartition("/")[2]]
        if (method, path, version) != (operation.method, operation.path, "HTTP/1.1"):
            self._ledger.violations.append(f"{operation} arrived as {method} {path} {version}")
        return operation

    async def _body(self, head: bytes) -> bytes:
        lowered = head.lower()
        if b"\r\ntransfer-encoding: chunked\r\n" in lowered:
            pieces = []
            while size := int(await self._reader.readuntil(b"\r\n"), 16):
                pieces.append((await self._reader.readexactly(size + 2))[:-2])
            await self._reader.readexactly(2)
            return b"".join(pieces)
        _, found, rest = lowered.partition(b"\r\ncontent-length: ")
        return await self._reader.readexactly(int(rest.partition(b"\r\n")[0])) if found else b""

    async def _act(self, operation: Operation, drawn: Fate, head: bytes) -> bool:
        """Do as the schedule says; whether the connection is kept."""
        kind, _, detail = drawn.fault.partition(" ")
        if drawn.fault.startswith("good"):
            return await self._good(operation, drawn, head)
        if drawn.fault.startswith("refusal"):
            await self._send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 7\r\nConnection: close\r\n\r\nrefused")
            return await self._leave(drawn)
        if kind.isdigit():
            return await self._fail(kind, detail)
        if kind == "garbage":
            await self._send(drawn.chance.choice(GARBAGE))
            return await self._leave(drawn)
        return await self._break(operation, drawn)

    async def _good(self, operation: Operation, drawn: Fate, head: bytes) -> bool:
        answer = b"".join(_answer(operation.id, drawn.chance.random() < 0.4))
        if "interim" in drawn.fault:
            answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer
        if "slow" in drawn.fault:
            await self._drip(answer)
        else:
            is_followed = "at once" in drawn.fault and len(answer) <= FOREIGN_AFTER_BYTES
            await self._send(answer + FOREIGN if is_followed else answer)
        if "then close" in drawn.fault or "then reset" in drawn.fault:
            await asyncio.sleep(drawn.chance.choice((0, drawn.chance.random() * _DRIP_S)))
            return self._close(is_reset="reset" in drawn.fault)
        if not drawn.reads_request:
            if drawn.chance.random() < 0.5:
                return await self._leave(drawn)
            self._ledger.executed(operation, await self._body(head))  # it takes the request after all
        return True

    async def _fail(self, status: str, detail: str) -> bool:
        extra = b"Retry-After: 0\r\n" if detail else b""
        await self._send(b"HTTP/1.1 %b Failed\r\n%bContent-Length: 6\r\n\r\nfailed" % (status.encode(), extra))
        return True

    async def _break(self, operation: Operation, drawn: Fate) -> bool:
        head, body = _answer(operation.id, is_chunked=drawn.fault == "broken chunk")
        where = drawn.fault.partition(" ")[2]
        if where == "inside the head":
            await self._send(head[: drawn.chance.randrange(len(head))])
        elif where == "inside the body":
            # One byte more than there is, so that even an empty body is cut.
            longer = head.replace(b"\r\n\r\n", b"0\r\n\r\n") if not body else head
            await self._send(longer + body[: drawn.chance.randrange(max(1, len(body)))])
        elif where.startswith("inside a body that ends"):
            await self._send(b"HTTP/1.1 200 OK\r\n\r\n" + body[: drawn.chance.randrange(len(body) + 1)])
        elif drawn.fault == "length too long":
            await self._send(head.replace(b"Content-Length: ", b"Content-Length: 9") + body)
        elif drawn.fault == "broken chunk":
            await self._send(head + body[: body.rindex(b"0\r\n\r\n")] + b"xyz\r\n\r\n")
        if drawn.fault.startswith("silence"):
            return await self._wait()
        return self._close(is_reset=drawn.fault.startswith("reset"))

    async def _leave(self, drawn: Fate) -> bool:
        """Close, politely or not, while the rest of the request may still come."""
        return self._close(is_reset=drawn.chance.random() < 0.3)

    async def _wait(self) -> bool:
        while await self._reader.read(65536):
            pass
        return False

    def _close(self, *, is_reset: bool) -> bool:
        if is_reset:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._writer.transport.abort()
        else:
            self._writer.close()
        return False

    async def _drip(self, data: bytes) -> None:
        step = max(1, len(data) // _SLOW_PIECES)
        for at in range(0, len(data), step):
            await self._send(data[at : at + step])
            await asyncio.sleep(_DRIP_S)

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


def _answer(identity: str, is_chunked: bool) -> tuple[bytes, bytes]:
    body = download(identity)
    head = b"HTTP/1.1 200 OK\r\nX-Operation: %b\r\n" % identity.encode()
    if not is_chunked:
        return head + b"Content-Length: %d\r\n\r\n" % len(body), body
    pieces = [body[at : at + 9_000] for at in range(0, len(body), 9_000)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head + b"Transfer-Encoding: chunked\r\n\r\n", chunks + b"0\r\n\r\n"


class Origin:
    """An address that is listened on, or not: then connections are refused, while the port stays taken."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._holder = _bound(0)
        self._listening: socket.socket | None = None
        self._visits: set[asyncio.Task[None]] = set()
        self.port: int = self._holder.getsockname()[1]

    def open(self) -> None:
        """Listen (again)."""
        self._listening = _bound(self.port)
        self._listening.listen(256)
        asyncio.get_running_loop().add_reader(self._listening, self._accept, self._listening)

    def refuse(self) -> None:
        """Stop listening; connections that are there stay."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None

    async def close(self) -> None:
        """Stop everything."""
        self.refuse()
        visits = tuple(self._visits)
        for visit in visits:
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
        self._holder.close()

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            connection, _ = listening.accept()
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is sent leaves at once
            visit = asyncio.create_task(self._visit(connection))
            self._visits.add(visit)
            visit.add_done_callback(self._visits.discard)

    async def _visit(self, connection: socket.socket) -> None:
        with connection:
            reader, writer = await asyncio.open_connection(sock=connection, limit=1 << 20)
            await Visit(self._ledger, reader, writer, connection).run()


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made


@contextlib.asynccontextmanager
async def origins(ledger: Ledger, number: int) -> AsyncIterator[list[Origin]]:
    """Run origins that share a ledger."""
    made = [Origin(ledger) for _ in range(number)]
    try:
        for origin in made:
            origin.open()
        yield made
    finally:
        await asyncio.gather(*(origin.close() for origin in made))
