"""Scripted upstreams: each request meets its fate, on any streams, simulated or real."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import h11

from .client import reset_stream

DONE = b"data: [DONE]\n\n"
NUMERICS = b"n1"
TOLD = {
    "error": b'data: {"error": {"message": "out of order", "code": "oops"}}\n\n',
    "malformed": b"data: {oops\n\n",
    "early_done": DONE,
}
# What ends an answer after `num_pieces` of it.
ENDINGS = ("whole", "no_done", "no_finish", "early_done", "end", "reset", "stall", "error", "malformed")


@dataclass(frozen=True)
class Fate:
    """What one request meets at an endpoint. Spans are in seconds, each from the step before.

    `connect` says what becomes of a new connection. With `status` other than 200 the answer is that refusal. `at` is
    how many pieces come before the `ending`, and `cut` how many bytes of the next one. `after` is what follows a whole
    answer on the connection: it is kept, announced to be closed, or closed without a word.
    """

    connect: str = "open"
    connect_s: float = 0.0
    status: int = 200
    retry_after_s: int | None = None
    is_too_long: bool = False
    head_s: float = 0.0
    first_s: float = 0.0
    gap_s: float = 0.0
    ending: str = "whole"
    at: int = 2
    cut: int = 0
    after: str = "keep"
    is_pinging: bool = False


@dataclass
class Visit:
    """One request as an endpoint saw it, and what it got."""

    exchange: int
    site: str
    number: int
    at: float
    request: dict[str, Any]
    cursors: int
    fate: Fate
    body: bytes = b""  # written, but for the part of a piece at a cut
    whole: bytes = b""  # what would have been written without it
    ended: str = ""  # "whole", the fate's ending, or "aborted" by the gateway
    is_waiting: bool = False  # for somebody to read what it has written
    ended_at: float = 0.0


@dataclass
class Site:
    """One endpoint: what its requests meet, in their order, the last for ever; and what it saw."""

    name: str
    fates: tuple[Fate, ...]
    num_tokens: int
    is_own: bool  # it can continue its streams exactly
    clock: Callable[[], float]
    padding_bytes: int = 0  # on top of each token
    visits: list[Visit] = field(default_factory=list)
    partial: Counter[int] = field(default_factory=Counter)  # requests of which not everything came, by exchange
    num_met: int = 0  # requests and refused connections: each meets the next fate
    num_connections: int = 0

    def _fate(self) -> Fate:
        return self.fates[min(self.num_met, len(self.fates) - 1)]

    # -- connections

    async def admit(self) -> None:
        """Let a connection in, or not: the fate of the next request decides. Raises: OSError."""
        fate = self._fate()
        self.num_met += fate.connect != "open"
        if fate.connect_s:
            await asyncio.sleep(fate.connect_s)
        if fate.connect == "hang":
            await asyncio.get_running_loop().create_future()
        if fate.connect == "refuse":
            raise ConnectionRefusedError("connection refused")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.num_connections += 1
        try:
            with contextlib.suppress(ConnectionError):
                rest: bytes | None = b""
                while rest is not None:
                    rest = await self._one(reader, writer, rest)
        finally:
            self.num_connections -= 1
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rest: bytes) -> bytes | None:
        read = await self._read(reader, rest)
        if read is None:
            return None
        request, rest = read
        fate = self._fate()
        self.num_met += 1
        exchange = int(request["fields"]["x-exchange"])
        cursors = len(_json(request["body"]).get("headgate_resume", ()))
        visit = Visit(exchange, self.name, len(self.visits), self.clock(), request, cursors, fate)
        self.visits.append(visit)
        answering = asyncio.ensure_future(_Answer(self, visit, writer).give())
        leaving = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                raise ConnectionAbortedError
            answering.result()
        except ConnectionError:
            visit.ended, visit.ended_at = "aborted", self.clock()
            return None
        finally:
            for task in (answering, leaving):
                task.cancel()
            await asyncio.wait((answering, leaving))
            if not answering.cancelled():
                answering.exception()
        visit.ended, visit.ended_at = fate.ending, self.clock()
        if fate.ending not in ("whole", "no_done") or fate.after != "keep":
            return None
        more = b"" if leaving.cancelled() else leaving.result()
        return rest + more if more or not reader.at_eof() else None

    async def _read(self, reader: asyncio.StreamReader, rest: bytes) -> tuple[dict[str, Any], bytes] | None:
        """Read one request; None at the end of the connection."""
        parser = h11.Connection(h11.SERVER)
        request: dict[str, Any] = {"body": b""}
        if rest:
            parser.receive_data(rest)
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                data = await reader.read(1 << 16)
                if not data:
                    if "fields" in request:
                        self.partial[int(request["fields"]["x-exchange"])] += 1
                    return None
                parser.receive_data(data)
            elif isinstance(event, h11.Request):
                request["method"], request["target"] = event.method.decode(), event.target.decode()
                request["fields"] = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h11.Data):
                request["body"] += bytes(event.data)
            else:
                return request, parser.trailing_data[0]


def _json(body: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        value = json.loads(body)
        if isinstance(value, dict):
            return value
    return {}


class _Answer:
    """Writes what one visit's fate says."""

    def __init__(self, site: Site, visit: Visit, writer: asyncio.StreamWriter) -> None:
        self._site = site
        self._visit = visit
        self._writer = writer
        self._is_stream = bool(_json(visit.request["body"]).get("stream"))

    async def give(self) -> None:
        """Write the answer, up to the end that it has."""
        fate, visit = self._visit.fate, self._visit
        await asyncio.sleep(fate.head_s)
        if fate.at < 0:  # before the head
            await self._end(b"HTTP/1.1 200 OK\r\n"[: fate.cut])
            return
        if fate.status != 200:
            await self._refuse()
            return
        pieces = self._pieces()
        visit.whole = b"".join(pieces)
        self._write(self._head() + (_chunk(b": ping\n\n") if fate.is_pinging and self._is_stream else b""))
        for index, piece in enumerate(pieces):
            await asyncio.sleep(fate.gap_s if index else fate.first_s)
            if fate.ending not in ("whole", "no_done", "no_finish") and index == min(fate.at, len(pieces) - 1):
                await self._end(_chunk(piece)[: fate.cut])
                return
            self._write(_chunk(piece))
            visit.body += piece
            visit.is_waiting = True
            await self._writer.drain()
            visit.is_waiting = False
        if not pieces and fate.ending in ("stall", "end", "reset"):
            await self._end(b"")
            return
        self._write(b"0\r\n\r\n")

    def _head(self) -> bytes:
        fields = [b"Content-Type: " + (b"text/event-stream" if self._is_stream else b"application/json")]
        fields += [b"Transfer-Encoding: chunked", b"X-Author: %b/%d" % (self._site.name.encode(), self._visit.number)]
        if self._is_stream and self._site.is_own:
            fields.append(b"X-Headgate-Numerics: " + NUMERICS)
        if self._visit.fate.after == "close":
            fields.append(b"Connection: close")
        return b"\r\n".join([b"HTTP/1.1 200 OK", *fields, b"", b""])

    def _pieces(self) -> list[bytes]:
        """Return all of the answer that this fate lets come, a piece for each token."""
        site, visit = self._site, self._visit
        author = f"{site.name}/{visit.number}"
        if not self._is_stream:
            padding = b" " * (10 + site.padding_bytes)
            return [json.dumps({"author": author}).encode(), *[padding] * (site.num_tokens - 1)]
        words = [token(site.is_own, author, index) for index in range(site.num_tokens)]
        events = [chunk(author, {"content": word}) for word in words]
        if visit.fate.ending != "no_finish":
            events.append(chunk(author, {}, "stop"))
        if site.is_own:
            events = [b"id: c%d\n" % index + event for index, event in enumerate(events)]
        if site.padding_bytes:
            events = [b":%b\n" % (b"." * site.padding_bytes) + event for event in events]
        if visit.fate.ending not in ("no_done", "no_finish"):
            events.append(DONE)
        return events[visit.cursors :]

    async def _end(self, part: bytes) -> None:
        """End the answer early."""
        ending = self._visit.fate.ending
        if ending in ("error", "malformed", "early_done"):
            self._visit.body += TOLD[ending]
            self._write(b"" if self._visit.fate.at < 0 else _chunk(TOLD[ending]) + b"0\r\n\r\n")
            return
        if part:
            self._write(part)
        while ending == "drip":  # of what never comes to an end; not drawn: hours of it take long even here
            await asyncio.sleep(1.0)
            self._write(_chunk(b":"))
        if ending == "stall":
            await asyncio.get_running_loop().create_future()
        if ending == "reset":
            reset_stream(self._writer)

    async def _refuse(self) -> None:
        fate, site, visit = self._visit.fate, self._site, self._visit
        code = "context_length_exceeded" if fate.is_too_long else "refused"
        body = json.dumps({"error": {"message": "no", "code": code, "by": f"{site.name}/{visit.number}"}}).encode()
        wait = b"" if fate.retry_after_s is None else b"Retry-After: %d\r\n" % fate.retry_after_s
        head = b"HTTP/1.1 %d Refused\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
        visit.body = body
        self._write(head % (fate.status, wait, len(body)) + body)
        await self._writer.drain()

    def _write(self, data: bytes) -> None:
        if self._writer.transport.is_closing():
            raise ConnectionResetError("the gateway is gone")
        self._writer.write(data)


def token(is_own: bool, author: str, index: int) -> str:
    """Return a token: the same from all replicas of our own, else one that names its author."""
    return f"t{index} " if is_own else f"{author}.{index} "


def chunk(author: str, delta: dict[str, str], reason: str | None = None) -> bytes:
    """Return an event of a completion."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: " + json.dumps({"id": "x", "model": author, "choices": [choice]}).encode() + b"\n\n"


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)
