"""Passes bytes both ways once a connection was upgraded (RFC 9110 §7.8, RFC 6455)."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from ..errors import GatewayError
from ..exchange.message import Response
from ..record import Record
from ..upstream.connection import UpgradedStream

if TYPE_CHECKING:
    from .connection import DownstreamConnection

_HIGH_BYTES = 64 * 1024


class ClientBytes:
    """What the client sent and the upstream has not taken yet; reading from the client pauses while it is much."""

    __slots__ = ("_connection", "_is_ended", "_pieces", "_size", "_waiter")

    def __init__(self, connection: DownstreamConnection) -> None:
        self._connection = connection
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._is_ended = False
        self._waiter: asyncio.Future[None] | None = None

    def receive(self, data: bytes) -> None:
        """Take bytes from the client; b"" is its end."""
        if data:
            self._pieces.append(data)
            self._size += len(data)
            if self._size > _HIGH_BYTES:
                self._connection.pause_client()
        else:
            self._is_ended = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def read(self) -> bytes:
        """Return the next bytes; b"" at the end."""
        while not self._pieces:
            if self._is_ended:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if self._size <= _HIGH_BYTES:
            self._connection.resume_client()
        return piece


async def run_tunnel(
    connection: DownstreamConnection, upstream: UpgradedStream, response: Response, record: Record
) -> None:
    """Answer 101 and pass bytes until one side ends; then both are closed. The idle timeouts no longer apply."""
    client = ClientBytes(connection)
    transport = connection.transport
    if transport is None:
        upstream.abort()
        raise GatewayError("client_gone", "the connection closed before the switch")
    connection.begin_tunnel(client.receive)
    lines = [b"HTTP/1.1 101 Switching Protocols", b"Connection: Upgrade", b"Upgrade: websocket"]
    lines += [b"%b: %b" % pair for pair in response.fields.raw]
    transport.write(b"\r\n".join([*lines, b"", b""]))
    record.status = 101
    up = asyncio.ensure_future(_client_to_upstream(client, upstream, record))
    down = asyncio.ensure_future(_upstream_to_client(connection, upstream, record))
    try:
        await _until_ended(up, down, record, connection.settings.tunnel_timeout_s)
    finally:
        await _end(up, down, upstream, connection)
    record.is_complete = True


async def _until_ended(up: asyncio.Task[None], down: asyncio.Task[None], record: Record, idle_s: float) -> None:
    """Wait until one side ends, or nothing has passed for `idle_s`."""
    while True:
        passed = record.received_bytes + record.sent_bytes
        done, _ = await asyncio.wait((up, down), timeout=idle_s, return_when=asyncio.FIRST_COMPLETED)
        if done or passed == record.received_bytes + record.sent_bytes:
            return


async def _client_to_upstream(client: ClientBytes, upstream: UpgradedStream, record: Record) -> None:
    while data := await client.read():
        record.received_bytes += len(data)
        await upstream.write(data)


async def _upstream_to_client(connection: DownstreamConnection, upstream: UpgradedStream, record: Record) -> None:
    while data := await upstream.read():
        if connection.transport is None:
            return
        record.sent_bytes += len(data)
        connection.transport.write(data)
        if connection.writing_paused:
            async with asyncio.timeout(connection.settings.write_timeout_s):
                await connection.drained()


async def _end(
    up: asyncio.Task[None], down: asyncio.Task[None], upstream: UpgradedStream, connection: DownstreamConnection
) -> None:
    is_client_done = up.done()
    for task in (up, down):
        task.cancel()
    await asyncio.wait((up, down))
    for task in (up, down):  # a side that broke ends the tunnel; nothing is left to tell the other
        if not task.cancelled():
            task.exception()
    if is_client_done:
        upstream.close()
    else:
        upstream.abort()
    connection.close_now()
