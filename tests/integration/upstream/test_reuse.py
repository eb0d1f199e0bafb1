"""Kept connections: reuse, staleness, and answers that nobody asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from headgate.proxy.upstream.pool import ConnectionPool

from .exchanges import CHUNKED, OK, Run, exchange, kind_of, pool_for, read_all, send, soon, until
from .script_server import Peer, ScriptServer

Serve = Callable[..., ScriptServer]


def always(answer: bytes) -> Callable[[Peer], None]:
    """Answer every request of a connection."""

    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.send_while_taken(answer)

    return script


@pytest.mark.parametrize("answer", [OK, CHUNKED + b"2\r\nok\r\n0\r\n\r\n"], ids=["fixed", "chunked"])
def test_ten_requests_use_one_connection(run: Run, serve: Serve, answer: bytes) -> None:
    server = serve(always(answer))

    async def main() -> None:
        with pool_for(server.port) as pool:
            for index in range(10):
                connection = await pool.acquire(soon())
                assert connection.is_reused is (index > 0)
                send(connection)
                await connection.read_head()
                assert await read_all(connection) == b"ok"
                connection.release()
                assert (pool.num_idle, pool.num_busy) == (1, 0)

    run(main())
    assert server.num_connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        OK + OK,
        OK + b"x",
        CHUNKED + b"2\r\nok\r\n0\r\n\r\n" + OK,
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_a_connection_that_cannot_be_trusted_is_not_kept(run: Run, serve: Serve, answer: bytes) -> None:
    server = serve(always(answer))

    async def main() -> None:
        with pool_for(server.port) as pool:
            for _ in range(3):
                await exchange(pool)
                assert (pool.num_idle, pool.num_busy) == (0, 0)

    run(main())
    assert server.num_connections == 3


def test_an_answer_left_unread_is_not_kept(run: Run, serve: Serve) -> None:
    server = serve(always(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"))

    async def main() -> None:
        with pool_for(server.port) as pool:
            for _ in range(2):
                connection = await pool.acquire(soon())
                send(connection)
                await connection.read_head()
                connection.release()
                assert (pool.num_idle, pool.num_busy) == (0, 0)

    run(main())
    assert server.num_connections == 2


def test_a_request_left_unsent_is_not_kept(run: Run, serve: Serve) -> None:
    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send_while_taken(OK)
        peer.wait_closed()

    async def main() -> None:
        with pool_for(serve(script).port) as pool:
            connection = await pool.acquire(soon())
            send(connection, b"POST", [(b"Content-Length", b"5")], end=False)
            assert (await connection.read_head()).status == 200
            assert await read_all(connection) == b"ok"
            connection.release()
            assert (pool.num_idle, pool.num_busy) == (0, 0)

    run(main())


@pytest.mark.parametrize("event", ["bytes", "close", "reset"])
@pytest.mark.parametrize("is_noticed", [True, False])
def test_what_happens_to_an_idle_connection_removes_it(run: Run, serve: Serve, event: str, is_noticed: bool) -> None:
    """`is_noticed`: the event loop saw it; else only the kernel did when the next exchange begins."""
    go, gone = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)
        if peer.index == 0:
            assert go.wait(5)
            if event == "bytes":
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign")
            else:
                peer.reset() if event == "reset" else peer.close()
            gone.set()
        if peer.sock.fileno() >= 0:
            peer.wait_closed()

    server = serve(script)

    async def main() -> None:
        with pool_for(server.port) as pool:
            await exchange(pool)
            assert pool.num_idle == 1
            go.set()
            if is_noticed:
                await until(lambda: pool.num_idle == 0)
            else:
                assert gone.wait(5)  # blocks the event loop on purpose
                assert pool.num_idle == 1
            connection = await pool.acquire(soon())
            assert not connection.is_reused
            send(connection)
            await connection.read_head()
            assert await read_all(connection) == b"ok"
            connection.release()
            assert pool.num_idle == 1

    run(main())
    assert server.num_connections == 2


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_a_kept_connection_that_ends_at_the_next_request_is_stale(run: Run, serve: Serve, ending: str) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)
        peer.read_request()
        if ending == "reset":
            peer.reset()

    def until_closed(peer: Peer) -> None:
        script(peer) if peer.index == 0 else peer.wait_closed()

    server = serve(until_closed)

    async def main() -> None:
        with pool_for(server.port) as pool:
            await exchange(pool)
            connection = await pool.acquire(soon())
            assert connection.is_reused
            send(connection)
            assert connection.has_sent
            assert await kind_of(connection.read_head()) == "stale_connection"
            connection.abort()
            fresh = await pool.acquire(soon(), fresh=True)
            assert not fresh.is_reused
            fresh.abort()

    run(main())


def test_a_fresh_or_answering_connection_that_ends_is_reset_not_stale(run: Run, serve: Serve) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        if peer.index == 1:
            peer.send(OK)
            peer.read_request()
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def main() -> None:
        with pool_for(serve(script).port) as pool:
            assert await kind_of(exchange(pool)) == "reset"
            await exchange(pool)
            assert pool.num_idle == 1
            assert await kind_of(exchange(pool)) == "reset"

    run(main())


def test_fresh_makes_room_among_the_idle(run: Run, serve: Serve) -> None:
    server = serve(always(OK))

    async def main() -> None:
        with pool_for(server.port, max_connections=1) as pool:
            await exchange(pool)
            await exchange(pool, fresh=True)
            assert (pool.num_idle, pool.num_busy) == (1, 0)

    run(main())
    assert server.num_connections == 2


def test_idle_connections_are_bounded_in_number_and_time(run: Run, serve: Serve) -> None:
    server = serve(always(OK))

    async def fill(pool: ConnectionPool, count: int) -> None:
        connections = [await pool.acquire(soon(), fresh=True) for _ in range(count)]
        for connection in connections:
            send(connection)
            await connection.read_head()
            await read_all(connection)
        assert pool.num_busy == count
        for connection in connections:
            connection.release()

    async def main() -> None:
        with pool_for(server.port, max_idle=2, idle_timeout_s=0.05) as pool:
            await fill(pool, 4)
            assert (pool.num_idle, pool.num_busy) == (2, 0)
            await until(lambda: pool.num_idle == 0)
        with pool_for(server.port) as pool:
            await fill(pool, 3)
            assert pool.num_idle == 3
            pool.close()
            assert (pool.num_idle, pool.num_busy) == (0, 0)

    run(main())


def test_a_closed_pool_serves_on_but_keeps_nothing(run: Run, serve: Serve) -> None:
    server = serve(always(OK))

    async def main() -> None:
        with pool_for(server.port) as pool:
            busy = await pool.acquire(soon())
            pool.close()
            send(busy)
            await busy.read_head()
            assert await read_all(busy) == b"ok"
            busy.release()
            assert (pool.num_idle, pool.num_busy) == (0, 0)
            assert (await exchange(pool))[1] == b"ok"
            assert (pool.num_idle, pool.num_busy) == (0, 0)

    run(main())


def test_a_server_that_speaks_first_is_refused(run: Run, serve: Serve) -> None:
    def script(peer: Peer) -> None:
        peer.send(OK)
        peer.wait_closed()

    async def main() -> None:
        with pool_for(serve(script).port) as pool:
            connection = await pool.acquire(soon())
            await until(lambda: connection._wire.has_unread)
            connection.send_head(b"GET", b"/", [(b"Host", b"a")])
            with pytest.raises(Exception, match="malformed_answer"):
                connection.end_body()
            assert not connection.has_sent
            connection.abort()

    run(main())
