"""A wire between the gateway and a replica that ends when so many events have passed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from ...upstream import raw_server

Cut = Callable[["Wire"], None]


@dataclass(slots=True)
class Plan:
    """After `after` events of data the wire does `cut`, once; then it passes everything on."""

    after: int = 0
    cut: Cut | None = None
    num_cuts: int = 0


@dataclass(slots=True)
class Wire:
    """One connection through the cutter, to the replica whose number is `replica`."""

    plan: Plan
    replica: int
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_stalled: bool = False
    num_events: int = 0
    held: bytearray = field(default_factory=bytearray)

    def reset(self) -> None:
        self.client.transport.abort()
        self.server.transport.abort()

    async def answer(self, reader: asyncio.StreamReader) -> None:
        """Pass the answer on, event by event, as long as the plan lets it."""
        while data := await reader.read(65536):
            self.held += data
            while b"\n\n" in self.held and not self.is_stalled:
                self._pass(self.held.index(b"\n\n") + 2)
            if not self.is_stalled and b"data:" not in self.held and b"id:" not in self.held:
                self._pass(len(self.held))
            await self.client.drain()

    def _pass(self, size: int) -> None:
        piece = bytes(self.held[:size])
        if b"HTTP/1.1 " in piece:  # another answer on a kept connection
            self.num_events = 0
        if b"data:" in piece:
            if self.plan.cut is not None and self.num_events == self.plan.after:
                cut, self.plan.cut = self.plan.cut, None
                self.plan.num_cuts += 1
                self.is_stalled = True
                cut(self)
                return
            self.num_events += 1
        del self.held[:size]
        self.client.write(piece)


@contextlib.asynccontextmanager
async def cutter(ports: list[int], plan: Plan) -> AsyncIterator[list[int]]:
    """Stand in front of replicas; yields a port for each."""
    async with contextlib.AsyncExitStack() as stack:
        made = []
        for replica, port in enumerate(ports):
            made.append(await stack.enter_async_context(raw_server(_serving(replica, port, plan))))
        yield made


def _serving(
    replica: int, port: int, plan: Plan
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], asyncio.Future[None]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
            wire = Wire(plan, replica, writer, to_server)
            upward = asyncio.create_task(_pass_on(reader, to_server))
            try:
                await wire.answer(from_server)
            finally:
                upward.cancel()
                to_server.close()

    return serve  # type: ignore[return-value]


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
