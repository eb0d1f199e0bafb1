"""Scripted clients: what each asks, how slowly it reads, when it leaves; and what it got."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

import h11

from headgate.proxy.downstream.client_socket import reset


@dataclass(frozen=True)
class Visitor:
    """One request of one client.

    It comes at `at`, sends `body` in `num_parts` with `part_s` between them, reads `read_bytes` at a time with `read_s`
    between, and leaves `leave_s` after it came, by closing or by a reset (None: it stays to the end).
    """

    number: int
    at: float = 0.0
    method: str = "POST"
    path: str = "/v1/chat/completions"
    body: bytes = b""
    fields: tuple[tuple[str, str], ...] = ()
    num_parts: int = 1
    part_s: float = 0.0
    read_bytes: int = 1 << 16
    read_s: float = 0.0
    leave_s: float | None = None
    is_leaving_by_reset: bool = False


@dataclass
class Got:
    """What a client saw. `end` says how it ended: whole, cut (the connection was closed inside it), reset, or left."""

    visitor: Visitor
    status: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    end: str = ""
    begun_at: float | None = None  # first byte
    ended_at: float = 0.0
    extra: bytes = b""  # after the end of the answer
    num_interim: int = 0


def reset_stream(writer: asyncio.StreamWriter) -> None:
    """End a connection by a reset."""
    reset(cast(asyncio.Transport, writer.transport))


async def visit(visitor: Visitor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Got:
    """Ask, and read to the end."""
    got = Got(visitor)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(visitor.leave_s):
            sending = asyncio.ensure_future(_send(visitor, writer))
            try:
                await _read(got, reader)
            finally:
                sending.cancel()
                await asyncio.wait((sending,))
    except TimeoutError:
        got.end = "left"
    except ConnectionError:
        got.end = "reset"
    got.ended_at = loop.time()
    if visitor.is_leaving_by_reset and got.end == "left":
        reset_stream(writer)
    writer.close()
    return got


async def _send(visitor: Visitor, writer: asyncio.StreamWriter) -> None:
    body = visitor.body
    lines = [f"{visitor.method} {visitor.path} HTTP/1.1", "Host: gate", f"X-Exchange: {visitor.number}"]
    lines.append(f"X-Request-Id: client-{visitor.number}")  # or the gateway would make one by chance
    lines += [f"{name}: {value}" for name, value in visitor.fields]
    lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"] if body else []
    writer.write("\r\n".join([*lines, "", ""]).encode())
    size = -(-len(body) // visitor.num_parts) if body else 1
    for start in range(0, len(body), size):
        if start:
            await asyncio.sleep(visitor.part_s)
        writer.write(body[start : start + size])
        await writer.drain()


async def _read(got: Got, reader: asyncio.StreamReader) -> None:
    """Read one answer with a parser that nobody here wrote."""
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method=got.visitor.method, target=got.visitor.path, headers=[("Host", "gate")]))
    parser.send(h11.EndOfMessage())
    while True:
        try:
            event = parser.next_event()
        except h11.RemoteProtocolError:  # the connection ended inside the answer
            got.end = "cut"
            return
        if event is h11.NEED_DATA:
            if got.begun_at is not None and got.visitor.read_s:
                await asyncio.sleep(got.visitor.read_s)
            data = await reader.read(got.visitor.read_bytes)
            if data and got.begun_at is None:
                got.begun_at = asyncio.get_running_loop().time()
            parser.receive_data(data)
        elif isinstance(event, h11.InformationalResponse):
            got.num_interim += 1
        elif isinstance(event, h11.Response):
            got.status = event.status_code
            got.fields = {name.decode(): value.decode() for name, value in event.headers}
        elif isinstance(event, h11.Data):
            got.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            got.end, got.extra = "whole", parser.trailing_data[0]
            return
        else:
            got.end = "cut"
            return
