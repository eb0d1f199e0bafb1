"""Active checks on real sockets: what counts as well, how often is asked, and that it ends."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from headgate.proxy.upstream.cluster import Cluster, ClusterSettings
from headgate.proxy.upstream.endpoint import Endpoint
from headgate.proxy.upstream.health.active_check import MAX_BODY_BYTES, ActiveCheck
from headgate.proxy.upstream.health.settings import CheckSettings, HealthSettings
from headgate.proxy.upstream.tls import client_context

from ... import virtual_clock
from .exchanges import BOUND_S, OK, Run, until
from .script_server import Peer, ScriptServer

Serve = Callable[..., ScriptServer]

QUICK = CheckSettings(interval_s=0.02, timeout_s=5.0)


class Service:
    """Answers each connection once with `answer`; keeps what it was asked."""

    def __init__(self, answer: bytes = OK) -> None:
        self.answer = answer
        self.requests: list[bytes] = []

    def __call__(self, peer: Peer) -> None:
        self.requests.append(peer.read_head())
        peer.send_while_taken(self.answer)


def single(endpoint: Endpoint, settings: CheckSettings = QUICK) -> ActiveCheck:
    return ActiveCheck(endpoint, settings, [], random.random, lambda is_well: None)


async def checked(where: int | Endpoint, settings: CheckSettings = QUICK) -> str | None:
    endpoint = where if isinstance(where, Endpoint) else Endpoint("127.0.0.1", where)
    async with asyncio.timeout(BOUND_S):
        return await single(endpoint, settings).check()


@asynccontextmanager
async def running(cluster: Cluster) -> AsyncIterator[Cluster]:
    cluster.start(asyncio.get_running_loop())
    try:
        yield cluster
    finally:
        cluster.close()


def cluster_of(*ports: int, check: CheckSettings | None = QUICK) -> Cluster:
    endpoints = tuple(Endpoint("127.0.0.1", port) for port in ports)
    return Cluster(ClusterSettings("c", endpoints, health=HealthSettings(check=check)), random.random)


def names(request: bytes) -> dict[bytes, bytes]:
    lines = [line.partition(b": ") for line in request.split(b"\r\n")[1:] if line]
    return {name.lower(): value for name, _, value in lines}


def test_one_check_asks_for_the_path_and_closes(run: Run, serve: Serve) -> None:
    service = Service()
    server = serve(service)

    async def main() -> None:
        assert await checked(server.port, replace(QUICK, path="/up?deep=1")) is None

    run(main())
    assert service.requests[0].startswith(b"GET /up?deep=1 HTTP/1.1\r\n")
    fields = names(service.requests[0])
    assert fields[b"host"] == b"127.0.0.1:%d" % server.port
    assert fields[b"connection"] == b"close"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * (MAX_BODY_BYTES + 100_000), None),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno", "status 503"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status 404"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal", "truncated"),
        (b"hello\r\n\r\n", "malformed_answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", "answer_too_large"),
        (b"", "reset"),
    ],
)
def test_what_is_an_answer_of_one_that_is_well(run: Run, serve: Serve, answer: bytes, reason: str | None) -> None:
    server = serve(Service(answer))

    async def main() -> None:
        found = await checked(server.port)
        assert found is None if reason is None else found is not None and found.startswith(reason)

    run(main())


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"])
def test_silence_ends_with_the_timeout(run: Run, serve: Serve, said: bytes) -> None:
    def stall(peer: Peer) -> None:
        peer.read_head()
        peer.send(said)
        peer.wait_closed()

    server = serve(stall)

    async def main() -> None:
        began = asyncio.get_running_loop().time()
        assert await checked(server.port, replace(QUICK, timeout_s=0.1)) == "no answer within 0.1 s"
        assert asyncio.get_running_loop().time() - began < BOUND_S / 2

    run(main())


def test_nobody_there_is_not_well(run: Run) -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        found = await checked(port)
        assert found is not None and found.startswith("connect_failed: ")

    run(main())


def test_a_check_goes_over_tls_and_unix_sockets_as_requests_do(run: Run, serve: Serve, tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("service.test").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = serve(Service(), context)
    serve(Service(), path=str(tmp_path / "sock"))

    async def main() -> None:
        trusting = client_context(True, str(tmp_path / "ca.pem"))
        assert await checked(Endpoint("127.0.0.1", tls.port, trusting, "service.test")) is None
        refused = await checked(Endpoint("127.0.0.1", tls.port, trusting, "other.test"))
        assert refused is not None and refused.startswith("tls_failed: ")
        assert await checked(Endpoint("localhost", 80, unix_path=str(tmp_path / "sock"))) is None

    run(main())


def test_a_member_that_falls_ill_is_left_out_and_comes_back(
    run: Run, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="headgate")
    services = [Service(), Service()]
    servers = [serve(service) for service in services]

    async def main() -> None:
        async with running(cluster_of(*(server.port for server in servers))) as cluster:
            first, second = cluster.members
            await until(lambda: all(service.requests for service in services))
            assert cluster.outlier.num_healthy(0.0) == 2
            services[0].answer = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
            await until(lambda: first.is_checked_bad)
            now = asyncio.get_running_loop().time()
            assert {cluster.pick((), now) for _ in range(100)} == {second}
            services[0].answer = OK
            await until(lambda: not first.is_checked_bad)
            now = asyncio.get_running_loop().time()
            assert first.well_since is not None and first.well_since <= now
            assert cluster.balancer.slow_start(first, now) < 0.5

    run(main())
    told = [record.getMessage() for record in caplog.records]
    port = servers[0].port
    assert told == [f"endpoint 127.0.0.1:{port} is not well: status 500", f"endpoint 127.0.0.1:{port} is well again"]


class CountedCheck(ActiveCheck):
    """Counts its checks, and how many run at once at most."""

    num_begun = 0
    num_running = 0
    most = 0

    async def check(self) -> str | None:
        self.num_begun += 1
        self.num_running += 1
        self.most = max(self.most, self.num_running)
        try:
            return await super().check()
        finally:
            self.num_running -= 1


def test_an_endpoint_is_never_checked_twice_at_once(run: Run, serve: Serve) -> None:
    """Each check takes longer than the interval: the next one waits for it."""
    server = serve(lambda peer: peer.wait_closed())

    async def main() -> None:
        settings = replace(QUICK, interval_s=0.001, timeout_s=0.03)
        check = CountedCheck(Endpoint("127.0.0.1", server.port), settings, [], random.random, lambda is_well: None)
        check.start()
        check.start()
        await until(lambda: check.num_begun >= 4)
        check.stop()
        await until(lambda: not running_checks())
        assert (check.most, check.num_running) == (1, 0)

    run(main())


def test_checks_end_with_the_cluster_and_leave_no_connection(run: Run, serve: Serve) -> None:
    begun, closed = list[Peer](), list[Peer]()

    def hang(peer: Peer) -> None:
        peer.read_head()
        begun.append(peer)
        peer.wait_closed()
        closed.append(peer)

    servers = [serve(hang), serve(hang)]

    async def main() -> None:
        check = replace(QUICK, timeout_s=60.0)
        async with running(cluster_of(*(server.port for server in servers), check=check)) as cluster:
            cluster.start(asyncio.get_running_loop())  # they run already
            await until(lambda: len(begun) == 2)
            assert len(running_checks()) == 2
        await until(lambda: len(closed) == 2 and not running_checks())

    run(main())
    assert len(begun) == 2


def running_checks() -> list[asyncio.Task[None]]:
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("check ")]


def test_without_a_configured_check_nothing_is_asked(run: Run, serve: Serve) -> None:
    server = serve(Service())

    async def main() -> None:
        async with running(cluster_of(server.port, check=None)):
            assert len(asyncio.all_tasks()) == 1

    run(main())
    assert server.num_connections == 0


def test_checks_carry_what_every_request_to_the_cluster_has(run: Run, serve: Serve) -> None:
    service = Service()
    server = serve(service)

    async def main() -> None:
        settings = ClusterSettings(
            "c",
            (Endpoint("127.0.0.1", server.port),),
            credential=("authorization", "Bearer secret"),
            set_fields=(("x-team", "search"),),
            health=HealthSettings(check=QUICK),
        )
        async with running(Cluster(settings, random.random)):
            await until(lambda: bool(service.requests))

    run(main())
    fields = names(service.requests[0])
    assert (fields[b"authorization"], fields[b"x-team"]) == (b"Bearer secret", b"search")


def test_the_pace_of_checks_varies_around_the_interval(tmp_path: Path) -> None:
    """The first comes within one interval, each next one after 0.9 to 1.1 of it."""
    chances = iter([0.5, 0.0, 1.0, 0.5])
    instants: list[float] = []

    def chance() -> float:
        """Is asked before every pause: no check takes any time, as nothing listens there."""
        instants.append(asyncio.get_running_loop().time())
        return next(chances)

    async def main() -> None:
        endpoint = Endpoint("localhost", 80, unix_path=str(tmp_path / "nobody"))
        check = ActiveCheck(endpoint, replace(QUICK, interval_s=10.0), [], chance, lambda is_well: None)
        check.start()
        await asyncio.sleep(34.5)
        check.stop()

    virtual_clock.run(main())
    assert instants == pytest.approx([0.0, 5.0, 14.0, 25.0])
