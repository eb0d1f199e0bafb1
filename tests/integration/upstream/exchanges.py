"""What the tests do with the client, in short."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from headgate.ext.http1 import ResponseHead
from headgate.proxy.errors import GatewayError
from headgate.proxy.upstream.connection import UpstreamConnection
from headgate.proxy.upstream.endpoint import Endpoint
from headgate.proxy.upstream.pool import ConnectionPool, PoolLimits

Run = Callable[[Coroutine[Any, Any, None]], None]

BOUND_S = 10.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def pool_for(where: int | Endpoint, **limits: Any) -> Iterator[ConnectionPool]:
    """A pool for a port or an endpoint, with time to connect on a busy machine; closed afterwards."""
    endpoint = where if isinstance(where, Endpoint) else Endpoint("127.0.0.1", where)
    pool = ConnectionPool(endpoint, PoolLimits(**{"connect_timeout_s": BOUND_S, **limits}))
    try:
        yield pool
    finally:
        pool.close()


def soon() -> float:
    """A deadline that no passing test reaches."""
    return asyncio.get_running_loop().time() + BOUND_S


def send(
    connection: UpstreamConnection,
    method: bytes = b"GET",
    fields: Sequence[tuple[bytes, bytes]] = (),
    *,
    end: bool = True,
) -> None:
    connection.send_head(method, b"/x?y", [(b"Host", b"a.example"), *fields])
    if end:
        connection.end_body()


async def read_all(connection: UpstreamConnection) -> bytes:
    pieces = []
    while piece := await connection.read_body():
        pieces.append(piece)
    return b"".join(pieces)


async def exchange(
    pool: ConnectionPool, method: bytes = b"GET", fields: Sequence[tuple[bytes, bytes]] = (), *, fresh: bool = False
) -> tuple[ResponseHead, bytes]:
    """One whole exchange without a request body; aborted where it fails."""
    connection = await pool.acquire(soon(), fresh=fresh)
    try:
        async with asyncio.timeout(BOUND_S):
            send(connection, method, fields)
            head = await connection.read_head()
            body = await read_all(connection)
    except BaseException:
        connection.abort()
        raise
    connection.release()
    return head, body


async def kind_of(action: Awaitable[object]) -> str:
    """The kind of the GatewayError that `action` ends with."""
    with pytest.raises(GatewayError) as caught:
        async with asyncio.timeout(BOUND_S):
            await action
    return caught.value.kind.name


async def until(is_so: Callable[[], bool]) -> None:
    """Let the event loop and other threads go on until `is_so`, within a bound."""
    async with asyncio.timeout(BOUND_S):
        while not is_so():  # noqa: ASYNC110 (what is waited for happens in other threads)
            await asyncio.sleep(0.001)
