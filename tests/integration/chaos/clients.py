"""Clients of a chaos run: each sends its operations in turn and keeps exactly what came back."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass
from typing import Literal

from .schedule import Operation, upload

ANSWER_S = 15.0
_TAIL_S = 5.0


@dataclass(slots=True)
class Result:
    """What a client got for one operation.

    `closed`: the connection ended before any byte of an answer; `cut`: inside the answer; `lost`: nothing at all
    within the bound. `tail` is whatever came after a cut. `is_first`: no other request was ahead of it on its way.
    """

    operation: Operation
    outcome: Literal["whole", "cut", "closed", "lost"]
    is_first: bool
    status: int = 0
    fields: dict[str, str] | None = None
    body: bytes = b""
    tail: bytes = b""


class ChaosClient:
    """One keep-alive connection at a time; now and then several requests at once."""

    def __init__(self, port: int, seed: str) -> None:
        self._port = port
        self._chance = random.Random(seed)
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def run(self, operations: list[Operation]) -> list[Result]:
        """Send every operation once."""
        results: list[Result] = []
        at = 0
        while at < len(operations):
            size = self._chance.choice((2, 3, 4)) if self._chance.random() < 0.15 else 1
            results += await self._batch(operations[at : at + size])
            at += size
        self._drop()
        return results

    async def _batch(self, operations: list[Operation]) -> list[Result]:
        reader, writer = await self._connection()
        # Answers are read while bodies are still sent: an early answer must not be overlooked.
        sending = asyncio.create_task(self._send(writer, operations))
        results: list[Result] = []
        try:
            for operation in operations:
                result = await self._read(reader, operation, is_first=not results)
                results.append(result)
                is_kept = result.outcome == "whole" and (result.fields or {}).get("connection") != "close"
                if not is_kept:
                    self._drop()
                    break
        finally:
            if self._writer is None:
                sending.cancel()
            await asyncio.wait([sending])
        left = operations[len(results) :]
        return results + [Result(operation, "closed", False) for operation in left]

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        return self._reader, self._writer

    def _drop(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def _send(self, writer: asyncio.StreamWriter, operations: list[Operation]) -> None:
        with contextlib.suppress(ConnectionError):  # what became of it shows when the answer is read
            for operation in operations:
                for piece in _pieces(operation):
                    writer.write(piece)
                    await writer.drain()

    async def _read(self, reader: asyncio.StreamReader, operation: Operation, *, is_first: bool) -> Result:
        result = Result(operation, "closed", is_first)
        try:
            async with asyncio.timeout(ANSWER_S):
                await _read_head(reader, result)
                await _read_body(reader, result)
                result.outcome = "whole"
        except TimeoutError:
            result.outcome = "lost"
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            if result.status or (isinstance(error, asyncio.IncompleteReadError) and error.partial):
                result.outcome = "cut"
        if result.outcome == "cut":
            result.tail = await _rest(reader)
        return result


def _pieces(operation: Operation) -> list[bytes]:
    lines = [f"{operation.method} {operation.path} HTTP/1.1", "Host: gate.test", f"X-Request-Id: {operation.id}"]
    body = upload(operation)
    if operation.method == "GET":
        return ["\r\n".join([*lines, "", ""]).encode()]
    if not operation.is_chunked:
        return ["\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body]
    head = "\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""]).encode()
    step = max(1, len(body) // 5)
    parts = [body[at : at + step] for at in range(0, len(body), step)]
    return [head, *(b"%x\r\n%b\r\n" % (len(part), part) for part in parts), b"0\r\n\r\n"]


async def _read_head(reader: asyncio.StreamReader, result: Result) -> None:
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head.rstrip("\r\n").split("\r\n")
        version, _, rest = line.partition(" ")
        assert version == "HTTP/1.1", f"expected an answer, got {line!r}"
        status = int(rest[:3])
        if status >= 200:
            result.status = status
            result.fields = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in lines)}
            return


async def _read_body(reader: asyncio.StreamReader, result: Result) -> None:
    fields = result.fields or {}
    if fields.get("transfer-encoding") != "chunked":
        await _read_exactly(reader, result, int(fields["content-length"]))
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        await _read_exactly(reader, result, size)
        assert await reader.readexactly(2) == b"\r\n"
    assert await reader.readexactly(2) == b"\r\n"


async def _read_exactly(reader: asyncio.StreamReader, result: Result, size: int) -> None:
    try:
        result.body += await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        result.body += error.partial
        raise


async def _rest(reader: asyncio.StreamReader) -> bytes:
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(_TAIL_S):
            return await reader.read(-1)
    return b""
