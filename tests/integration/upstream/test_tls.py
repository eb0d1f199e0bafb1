"""TLS to upstreams: who is trusted, and answers cut inside it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from headgate.proxy.upstream.endpoint import Endpoint
from headgate.proxy.upstream.tls import client_context

from .exchanges import OK, Run, exchange, kind_of, pool_for, soon
from .script_server import Peer, ScriptServer

Serve = Callable[..., ScriptServer]


class Authority:
    """A certificate authority with one server, `service.test`."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.file = str(folder / "ca.pem")
        self._ca.cert_pem.write_to_path(self.file)
        self.names: list[str | None] = []

    def server_context(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*(names or ("service.test", "127.0.0.1"))).configure_cert(context)
        context.sni_callback = lambda _, name, __: self.names.append(name)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def always_ok(peer: Peer) -> None:
    while peer.read_request():
        peer.send_while_taken(OK)


def test_a_trusted_server_is_asked_by_name(run: Run, serve: Serve, authority: Authority) -> None:
    server = serve(always_ok, authority.server_context())

    async def main() -> None:
        context = client_context(True, authority.file)
        with pool_for(Endpoint("127.0.0.1", server.port, context, "service.test")) as pool:
            for _ in range(3):
                assert (await exchange(pool))[1] == b"ok"
            assert (pool.num_idle, pool.num_busy) == (1, 0)
        with pool_for(Endpoint("127.0.0.1", server.port, context)) as pool:
            assert (await exchange(pool))[1] == b"ok"

    run(main())
    assert authority.names[0] == "service.test"
    assert server.num_connections == 2


@pytest.mark.parametrize("fault", ["authority", "name", "system", "plain"])
def test_a_server_that_cannot_be_trusted_is_refused(
    run: Run, serve: Serve, authority: Authority, tmp_path: Path, fault: str
) -> None:
    (tmp_path / "other").mkdir()
    ca_file = Authority(tmp_path / "other").file if fault == "authority" else authority.file
    name = "wrong.test" if fault == "name" else "service.test"

    def talk_plain(peer: Peer) -> None:
        peer.receive()
        peer.send_while_taken(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = serve(talk_plain) if fault == "plain" else serve(always_ok, authority.server_context())

    async def main() -> None:
        context = client_context(True, None if fault == "system" else ca_file)
        with pool_for(Endpoint("127.0.0.1", server.port, context, name)) as pool:
            assert await kind_of(pool.acquire(soon())) == "tls_failed"
            assert pool.num_busy == 0

    run(main())


def test_a_server_may_be_taken_unseen(run: Run, serve: Serve, authority: Authority) -> None:
    server = serve(always_ok, authority.server_context("other.test"))

    async def main() -> None:
        with pool_for(Endpoint("127.0.0.1", server.port, client_context(False, None))) as pool:
            assert (await exchange(pool))[1] == b"ok"

    run(main())


def test_a_handshake_that_stalls(run: Run, serve: Serve) -> None:
    server = serve(Peer.wait_closed)

    async def main() -> None:
        endpoint = Endpoint("127.0.0.1", server.port, client_context(False, None))
        with pool_for(endpoint, connect_timeout_s=0.05) as pool:
            assert await kind_of(pool.acquire(soon())) == "connect_timeout"
            assert pool.num_busy == 0

    run(main())


def test_a_server_that_closes_in_the_handshake(run: Run, serve: Serve) -> None:
    server = serve(lambda peer: None)

    async def main() -> None:
        with pool_for(Endpoint("127.0.0.1", server.port, client_context(False, None))) as pool:
            assert await kind_of(pool.acquire(soon())) == "tls_failed"

    run(main())


def test_the_gateway_shows_its_own_certificate(run: Run, serve: Serve, tmp_path: Path, authority: Authority) -> None:
    ca = trustme.CA()
    mine = ca.issue_cert("gateway.test")
    mine.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "mine.pem"))
    wants = authority.server_context()
    wants.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(wants)
    server = serve(always_ok, wants)

    async def main() -> None:
        context = client_context(True, authority.file, str(tmp_path / "mine.pem"))
        with pool_for(Endpoint("127.0.0.1", server.port, context, "service.test")) as pool:
            assert (await exchange(pool))[1] == b"ok"

    run(main())


@pytest.mark.parametrize("is_clean", [True, False])
def test_only_a_proper_goodbye_ends_an_answer_without_length(
    run: Run, serve: Serve, authority: Authority, is_clean: bool
) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nto the end")
        if is_clean:
            assert isinstance(peer.sock, ssl.SSLSocket)
            peer.sock.unwrap()

    server = serve(script, authority.server_context())

    async def main() -> None:
        endpoint = Endpoint("127.0.0.1", server.port, client_context(True, authority.file), "service.test")
        with pool_for(endpoint) as pool:
            if is_clean:
                assert (await exchange(pool))[1] == b"to the end"
            else:
                assert await kind_of(exchange(pool)) == "truncated"

    run(main())


def test_a_ca_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("no certificate")
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(OSError):
            client_context(True, str(tmp_path / name))
