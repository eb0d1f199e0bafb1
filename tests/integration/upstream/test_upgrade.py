"""Upgraded connections: both ways, first bytes, end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from headgate.proxy.upstream import wire
from headgate.proxy.upstream.connection import UpgradedStream, UpstreamConnection
from headgate.proxy.upstream.pool import ConnectionPool

from .exchanges import OK, Run, kind_of, pool_for, read_all, send, soon, until
from .script_server import Peer, ScriptServer

Serve = Callable[..., ScriptServer]

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
ASKS = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]


async def upgraded(pool: ConnectionPool) -> tuple[UpstreamConnection, UpgradedStream]:
    connection = await pool.acquire(soon())
    send(connection, fields=ASKS)
    head = await connection.read_head()
    assert head.status == 101
    return connection, connection.upgrade()


def echo(peer: Peer) -> None:
    peer.read_request()
    peer.send(SWITCH + b"hello")
    while data := peer.receive():
        peer.send_while_taken(data)


def test_bytes_pass_both_ways(run: Run, serve: Serve) -> None:
    async def main() -> None:
        with pool_for(serve(echo).port) as pool:
            connection, stream = await upgraded(pool)
            assert await stream.read() == b"hello"
            await stream.write(b"GET / HTTP/1.1\r\n\r\n\x00\xff")
            assert await stream.read() == b"GET / HTTP/1.1\r\n\r\n\x00\xff"
            assert pool.num_busy == 0  # a tunnel takes no request's place
            stream.close()
            connection.abort()
            connection.release()
            assert (pool.num_idle, pool.num_busy) == (0, 0)

    run(main())


def test_what_was_written_before_close_arrives(run: Run, serve: Serve) -> None:
    go = threading.Event()
    received = bytearray()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(SWITCH)
        assert go.wait(5)
        while data := peer.receive():
            received.extend(data)

    async def main() -> None:
        with pool_for(serve(script).port) as pool:
            connection, stream = await upgraded(pool)
            transport, sent = connection._wire._transport, 0
            while not transport.get_write_buffer_size():  # the sockets are full, the rest is still ours
                await stream.write(b"x" * 16_384)
                await asyncio.sleep(0)
                sent += 16_384
            stream.close()
            connection.abort()  # nothing any more: the tunnel has its own end
            assert pool.num_busy == 0
            go.set()
            await until(lambda: len(received) == sent)

    run(main())


def test_a_peer_that_takes_nothing_cannot_hold_a_closed_tunnel(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "_LINGER_S", 0.05)
    go = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(SWITCH)
        assert go.wait(5)

    async def main() -> None:
        with pool_for(serve(script).port) as pool:
            connection, stream = await upgraded(pool)
            while not connection._wire._transport.get_write_buffer_size():
                await stream.write(b"x" * 16_384)
                await asyncio.sleep(0)
            stream.close()
            await until(lambda: connection._wire.is_lost)
            go.set()

    run(main())


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_the_end_of_the_upstream_is_told(run: Run, serve: Serve, ending: str) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(SWITCH)
        peer.receive()
        if ending == "reset":
            peer.reset()

    async def main() -> None:
        with pool_for(serve(script).port) as pool:
            _, stream = await upgraded(pool)
            await stream.write(b"bye")
            if ending == "close":
                assert await stream.read() == b""
            else:
                assert await kind_of(stream.read()) == "reset"
                assert await kind_of(stream.write(b"x")) == "reset"
            stream.abort()
            assert pool.num_busy == 0

    run(main())


def test_a_refused_upgrade_is_a_plain_answer(run: Run, serve: Serve) -> None:
    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.send_while_taken(OK)

    async def main() -> None:
        with pool_for(serve(script).port) as pool:
            connection = await pool.acquire(soon())
            send(connection, fields=ASKS)
            assert (await connection.read_head()).status == 200
            assert await read_all(connection) == b"ok"
            connection.release()
            assert pool.num_idle == 1

    run(main())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    ],
)
def test_a_101_without_what_was_asked_for_is_malformed(run: Run, serve: Serve, answer: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send_while_taken(answer)

    async def main() -> None:
        with pool_for(serve(script).port) as pool:
            connection = await pool.acquire(soon())
            send(connection, fields=ASKS)
            assert await kind_of(connection.read_head()) == "malformed_answer"
            connection.abort()

    run(main())
