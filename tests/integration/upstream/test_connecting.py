"""Connections that cannot be made, and names with several addresses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headgate.proxy.upstream.endpoint import Endpoint

from ...black_hole import black_hole
from .exchanges import OK, Run, exchange, kind_of, pool_for, soon
from .script_server import Peer, ScriptServer

Serve = Callable[..., ScriptServer]


def always_ok(peer: Peer) -> None:
    while peer.read_request():
        peer.send_while_taken(OK)


def refusing_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


class Names:
    """Answers look-ups in place of the system's, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, addresses: list[tuple[str, int]]) -> None:
        self.addresses: list[tuple[str, int]] | None = addresses
        self.num_lookups = 0
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: Any, port: Any, *args: Any, **options: Any) -> list[Any]:
        assert host == "service.test"
        self.num_lookups += 1
        if self.addresses is None:
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in self.addresses]


def test_a_refused_connection(run: Run) -> None:
    async def main() -> None:
        with pool_for(refusing_port()) as pool:
            for _ in range(3):
                assert await kind_of(pool.acquire(soon())) == "connect_failed"
            assert pool.num_busy == 0

    run(main())


def test_a_connection_that_takes_too_long(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with black_hole() as port, pool_for(port, connect_timeout_s=0.05) as pool:
            started = loop.time()
            assert await kind_of(pool.acquire(soon())) == "connect_timeout"
            assert 0.04 < loop.time() - started < 1
            assert await kind_of(pool.acquire(loop.time() + 0.02)) == "deadline"
            assert pool.num_busy == 0

    run(main())


def test_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, [])
    names.addresses = None

    async def main() -> None:
        with pool_for(Endpoint("service.test", 80)) as pool:
            assert await kind_of(pool.acquire(soon())) == "connect_failed"
            assert await kind_of(pool.acquire(soon())) == "connect_failed"
            assert pool.num_busy == 0

    asyncio.run(main())
    assert names.num_lookups == 2


def test_every_address_is_tried(monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    server = serve(always_ok)

    async def main() -> None:
        with black_hole() as hole:
            addresses = [("127.0.0.1", refusing_port()), ("127.0.0.1", hole), ("127.0.0.1", server.port)]
            Names(monkeypatch, addresses)
            with pool_for(Endpoint("service.test", 80), connect_timeout_s=0.4) as pool:
                assert (await exchange(pool))[1] == b"ok"

    asyncio.run(main())


def test_a_failed_look_up_keeps_the_last_good_addresses(monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    server = serve(always_ok)
    names = Names(monkeypatch, [("127.0.0.1", server.port)])

    async def main() -> None:
        with pool_for(Endpoint("service.test", 80)) as pool:
            await exchange(pool, fresh=True)
            names.addresses = None
            await exchange(pool, fresh=True)
            names.addresses = [("127.0.0.1", refusing_port())]
            assert await kind_of(exchange(pool, fresh=True)) == "connect_failed"

    asyncio.run(main())
    assert names.num_lookups == 3


def test_look_ups_at_once_are_one(monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    server = serve(always_ok)
    names = Names(monkeypatch, [("127.0.0.1", server.port)])

    async def main() -> None:
        with pool_for(Endpoint("service.test", 80)) as pool:
            await asyncio.gather(*(exchange(pool, fresh=True) for _ in range(8)))

    asyncio.run(main())
    assert names.num_lookups == 1


def test_an_address_needs_no_look_up(monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    names = Names(monkeypatch, [])
    server = serve(always_ok)

    async def main() -> None:
        with pool_for(server.port) as pool:
            await exchange(pool)

    asyncio.run(main())
    assert names.num_lookups == 0


def test_nagle_is_off(run: Run, serve: Serve) -> None:
    async def main() -> None:
        with pool_for(serve(always_ok).port) as pool:
            connection = await pool.acquire(soon())
            option = connection._wire._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert option != 0
            connection.abort()

    run(main())


def test_a_unix_socket(run: Run, serve: Serve, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    server = serve(always_ok, path=path)

    async def main() -> None:
        endpoint = Endpoint("local", 80, unix_path=path)
        assert endpoint.authority == f"unix:{path}"
        with pool_for(endpoint) as pool:
            assert (await exchange(pool))[1] == b"ok"
            assert (await exchange(pool))[1] == b"ok"
            assert pool.num_idle == 1
        with pool_for(Endpoint("local", 80, unix_path=path + "-none")) as pool:
            assert await kind_of(pool.acquire(soon())) == "connect_failed"

    run(main())
    assert server.num_connections == 1
