"""A plain HTTP/1.1 client that shows what came, whole or cut."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

WAIT_S = 10.0


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
