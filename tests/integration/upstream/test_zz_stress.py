"""Backpressure both ways, and answers that come before the request has ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from headgate.proxy.errors import GatewayError
from headgate.proxy.upstream.wire import READ_LIMIT_BYTES

from .exchanges import BOUND_S, OK, Run, kind_of, pool_for, read_all, send, soon, until
from .script_server import Peer, ScriptServer

Serve = Callable[..., ScriptServer]

MIB = 1024 * 1024
PIECE = b"x" * (64 * 1024)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_reader_that_does_not_read_stops_the_upstream(run: Run, serve: Serve, is_chunked: bool) -> None:
    total = 96 * MIB
    sent = 0

    def script(peer: Peer) -> None:
        nonlocal sent
        peer.read_request()
        piece = b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if is_chunked else PIECE
        framing = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % total
        peer.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        for _ in range(total // len(PIECE)):
            peer.send(piece)
            sent += len(PIECE)
        peer.send(b"0\r\n\r\n" if is_chunked else b"")
        peer.wait_closed()

    async def main() -> None:
        with pool_for(serve(script).port) as pool:
            connection = await pool.acquire(soon())
            send(connection)
            await connection.read_head()
            await until(lambda: connection._wire._is_paused)
            before, taken, most = resident_bytes(), 0, 0
            # Nothing is read from here on, so what was taken ahead is what the sockets and one read hold.
            assert sent < total // 3
            async with asyncio.timeout(BOUND_S):
                while piece := await connection.read_body():
                    taken += len(piece)
                    most = max(most, resident_bytes())
                    assert len(piece) <= READ_LIMIT_BYTES + 256 * 1024
            assert taken == total
            assert most - before < 8 * MIB
            connection.release()
            assert pool.num_idle == 1

    run(main())


def test_an_upstream_that_does_not_read_blocks_the_sender(run: Run, serve: Serve) -> None:
    go = threading.Event()
    received = 0

    def script(peer: Peer) -> None:
        nonlocal received
        peer.read_head()
        assert go.wait(BOUND_S)
        while received < total:
            received += len(peer.receive())
        peer.send(OK)
        peer.wait_closed()

    total = 64 * MIB
    sent = 0

    async def main() -> None:
        nonlocal sent
        with pool_for(serve(script).port) as pool:
            connection = await pool.acquire(soon())
            send(connection, b"POST", [(b"Content-Length", b"%d" % total)], end=False)

            async def upload() -> None:
                nonlocal sent
                while sent < total:
                    await connection.send_body(PIECE)
                    sent += len(PIECE)
                connection.end_body()

            task = asyncio.ensure_future(upload())
            await until(lambda: connection._wire.is_write_paused)
            stopped_at = sent
            for _ in range(50):
                await asyncio.sleep(0)
            assert sent == stopped_at < total // 2
            go.set()
            await task
            assert (await connection.read_head()).status == 200
            assert await read_all(connection) == b"ok"
            connection.release()
            assert pool.num_idle == 1

    run(main())
    assert received == total


def test_abort_wakes_a_blocked_sender(run: Run, serve: Serve) -> None:
    go = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_head()
        assert go.wait(BOUND_S)

    async def main() -> None:
        with pool_for(serve(script).port) as pool:
            connection = await pool.acquire(soon())
            send(connection, b"POST", [(b"Transfer-Encoding", b"chunked")], end=False)

            async def upload() -> None:
                while True:
                    await connection.send_body(PIECE)

            task = asyncio.ensure_future(upload())
            await until(lambda: connection._wire.is_write_paused)
            connection.abort()
            assert await kind_of(task) == "reset"
            go.set()

    run(main())


@pytest.mark.parametrize("round_", range(300))
def test_an_early_answer_is_read_though_the_upload_breaks(run: Run, serve: Serve, round_: int) -> None:
    """The upstream refuses with 413 and closes: its reset may hit the sender at any point."""

    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
        peer.sock.shutdown(1)
        peer.receive()

    async def main() -> None:
        with pool_for(serve(script).port) as pool:
            connection = await pool.acquire(soon())
            send(connection, b"POST", [(b"Content-Length", b"%d" % (64 * MIB))], end=False)

            async def upload() -> None:
                try:
                    for _ in range(1024):
                        await connection.send_body(PIECE)
                except GatewayError as error:
                    assert error.kind.name == "reset"

            task = asyncio.ensure_future(upload())
            head = await connection.read_head()
            assert head.status == 413
            assert await read_all(connection) == b"big"
            await task
            connection.release()
            assert (pool.num_idle, pool.num_busy) == (0, 0)

    run(main())


def test_an_early_answer_is_read_after_the_upload_gave_up(run: Run, serve: Serve) -> None:
    answered = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
        peer.sock.shutdown(1)
        answered.set()
        peer.wait_closed()

    async def main() -> None:
        with pool_for(serve(script).port) as pool:
            connection = await pool.acquire(soon())
            send(connection, b"POST", [(b"Content-Length", b"100")], end=False)
            await connection.send_body(b"x")
            await until(lambda: connection._wire.is_eof)
            await connection.send_body(b"x" * 99)  # dropped: the answer is what counts
            connection.end_body()
            assert (await connection.read_head()).status == 413
            assert await read_all(connection) == b"big"
            connection.release()
            assert pool.num_idle == 0

    run(main())


def test_a_body_that_is_not_what_was_declared_is_our_own_fault(run: Run, serve: Serve) -> None:
    async def main() -> None:
        with pool_for(serve(Peer.wait_closed).port) as pool:
            connection = await pool.acquire(soon())
            send(connection, b"POST", [(b"Content-Length", b"3")], end=False)
            assert await kind_of(connection.send_body(b"four")) == "internal"
            connection.abort()
            connection = await pool.acquire(soon())
            send(connection, b"POST", [(b"Content-Length", b"3")], end=False)
            await connection.send_body(b"12")
            with pytest.raises(GatewayError, match="internal"):
                connection.end_body()
            connection.abort()
            connection = await pool.acquire(soon())
            for fields in ([(b"X", b"a\r\nb")], [(b"X y", b"a")], []):
                with pytest.raises(GatewayError, match="internal"):
                    connection.send_head(b"GET", b"/", fields)
                connection.abort()
                connection = await pool.acquire(soon())
            connection.abort()

    run(main())
