"""TLS connections are counted from the moment they are accepted, and bounded."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from ...http_client import Answer, Client, fetch
from ...running import RunningGateway, gateway, plain
from ...upstream import Call, upstream

NEVER = "1h"


async def ok(call: Call) -> None:
    await call.answer()


class Stand:
    """A gateway with one TLS listener, and clients of it. `held` are connections that stay."""

    def __init__(self, gate: RunningGateway, authority: trustme.CA) -> None:
        self.gate = gate
        self.context = ssl.create_default_context()
        authority.configure_trust(self.context)
        self.held: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection that says nothing."""
        self.held.append(await asyncio.open_connection("127.0.0.1", self.gate.port))
        return self.held[-1]

    async def ask(self) -> Answer | None:
        """Send a request on a TLS connection and keep it; None where the gateway closed it unheard."""
        try:
            async with asyncio.timeout(10):
                opened = await asyncio.open_connection(
                    "127.0.0.1", self.gate.port, ssl=self.context, server_hostname="gate.test"
                )
                self.held.append(opened)
                return await Client(*opened).request("GET", "/")
        except (ConnectionError, asyncio.IncompleteReadError):
            return None

    async def is_served(self) -> bool:
        answer = await self.ask()
        return answer is not None and answer.status == 200

    async def until_served(self) -> None:
        """Ask until there is a place: the gateway learns a little later that one was left."""
        async with asyncio.timeout(10):
            while not await self.is_served():  # noqa: ASYNC110 - only by asking can one see it
                await asyncio.sleep(0.01)

    def errors(self) -> list[str]:
        return [line for line in self.gate.complaints if not line.startswith(("INFO", "DEBUG"))]


@contextlib.asynccontextmanager
async def stand(folder: Path, connections: int, head: str = NEVER) -> AsyncIterator[Stand]:
    authority = trustme.CA()
    issued = authority.issue_cert("gate.test")
    (folder / "chain.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())
    listener: dict[str, Any] = {
        "address": "127.0.0.1:0",
        "tls": {"certificate": str(folder / "chain.pem"), "key": str(folder / "key.pem")},
        "limits": {"connections": connections},
        "timeouts": {"head": head},
    }
    async with upstream(ok) as served, gateway(config(served.url, listener)) as gate:
        made = Stand(gate, authority)
        try:
            yield made
        finally:
            for _, writer in made.held:
                writer.transport.abort()


def config(url: str, listener: dict[str, Any]) -> dict[str, Any]:
    return {**plain(url), "listeners": [listener], "admin": {"address": "127.0.0.1:0"}}


async def is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(1), 5) == b""
    except ConnectionError:
        return True


def test_peers_that_never_shake_hands_take_places_and_give_them_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with stand(tmp_path, connections=4) as made:
            for _ in range(4):
                await made.connect()
            for _ in range(3):
                too_many, _ = await made.connect()
                assert await is_closed(too_many)
            assert not await made.is_served()
            await made.gate.until(lambda: len(made.gate.log()) == 4)
            line = made.gate.log()[0]
            assert (line["error"], line["peer"]) == ("overloaded", "127.0.0.1")
            made.held[0][1].close()
            await made.until_served()
            assert not made.errors()

    asyncio.run(main())


def test_one_too_many_gets_no_byte_and_is_told_in_the_log_and_the_metrics(tmp_path: Path) -> None:
    """Before the handshake an answer would be no TLS, after it the peer would have cost one: it is closed at once."""

    async def main() -> None:
        async with stand(tmp_path, connections=2) as made:
            assert await made.is_served()
            await made.connect()
            unheard, _ = await made.connect()
            assert await is_closed(unheard)
            greeting, writer = await made.connect()
            writer.write(b"\x16\x03\x01\x02\x00")
            assert await is_closed(greeting)
            with pytest.raises(ConnectionError):  # what a client of TLS sees
                await asyncio.open_connection(
                    "127.0.0.1", made.gate.port, ssl=made.context, server_hostname="gate.test"
                )
            await made.gate.until(lambda: len(made.gate.log()) == 4)
            served, *refused = made.gate.log()
            assert served["status"] == 200
            for line in refused:
                assert line.pop("ts")
                assert line == {
                    "peer": "127.0.0.1",
                    "status": 503,
                    "level": "warning",
                    "error": "overloaded",
                    "detail": "expected at most 2 connections",
                }
            metrics = (await fetch(made.gate.admin_port, "GET", "/metrics")).body.decode().splitlines()
            assert 'headgate_refused_total{error="overloaded"} 3' in metrics
            assert [line for line in metrics if line.startswith("headgate_requests_total{")] == [
                'headgate_requests_total{route="all",status="200"} 1'
            ]
            assert not made.errors()

    asyncio.run(main())


def test_open_connections_and_handshakes_share_the_places(tmp_path: Path) -> None:
    async def main() -> None:
        async with stand(tmp_path, connections=4) as made:
            assert await made.is_served() and await made.is_served()
            await made.connect()
            await made.connect()
            assert not await made.is_served()
            opened = Client(*made.held[0])
            assert (await opened.request("GET", "/")).status == 200  # who is in stays in
            opened.close()
            await made.until_served()
            assert not await made.is_served()

    asyncio.run(main())


def test_of_many_who_come_at_once_exactly_as_many_stay_as_there_are_places(tmp_path: Path) -> None:
    async def main() -> int:
        async with stand(tmp_path, connections=8) as made:
            return sum(await asyncio.gather(*(made.is_served() for _ in range(40))))

    assert asyncio.run(main()) == 8


def test_a_handshake_that_takes_too_long_is_ended_and_its_place_free(tmp_path: Path) -> None:
    async def main() -> None:
        async with stand(tmp_path, connections=2, head="300ms") as made:
            silent, _ = await made.connect()
            halfway, writer = await made.connect()
            writer.write(b"\x16\x03\x01\x02\x00")  # the header of a record that does not come
            assert await is_closed(silent) and await is_closed(halfway)
            for _ in range(2):  # a busy machine may take longer than that for an honest handshake
                await made.until_served()
            assert not made.errors()

    asyncio.run(main())


def test_failed_handshakes_are_no_news_and_leave_no_place_taken(tmp_path: Path) -> None:
    async def main() -> None:
        async with stand(tmp_path, connections=16) as made:
            for said in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x00" * 300, b"\x16\x03\x01\x00\x05hello") * 5:
                reader, writer = await made.connect()
                writer.write(said)
                assert await is_closed(reader)
            for _ in range(16):
                await made.until_served()
            assert not await made.is_served()
            assert not made.errors()

    asyncio.run(main())


def test_a_drain_closes_handshakes_that_are_under_way(tmp_path: Path) -> None:
    async def main() -> None:
        async with stand(tmp_path, connections=4) as made:
            assert await made.is_served()
            silent, _ = await made.connect()
            halfway, writer = await made.connect()
            writer.write(b"\x16\x03\x01\x02\x00")
            opened, _ = made.held[0]
            made.gate.signal(signal.SIGTERM)
            assert await is_closed(silent) and await is_closed(halfway) and await is_closed(opened)
            assert await asyncio.wait_for(made.gate.process.wait(), 5) == 0
            assert not made.errors()

    asyncio.run(main())


def test_without_descriptors_connections_wait_and_are_served_once_there_are_some(tmp_path: Path) -> None:
    async def main() -> tuple[float, list[str]]:
        async with stand(tmp_path, connections=100) as made:
            pid = made.gate.process.pid
            assert await made.is_served()
            limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (_num_open(pid), limits[1]))
            waiting = asyncio.create_task(made.is_served())
            await made.gate.until(made.errors)
            before = _cpu_s(pid)
            await asyncio.sleep(0.5)  # how much it does meanwhile is what is measured
            spent_s = _cpu_s(pid) - before
            assert not waiting.done()
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
            assert await waiting
            return spent_s, made.errors()

    spent_s, errors = asyncio.run(main())
    assert spent_s < 0.2
    assert len(errors) == 1 and "cannot accept connections" in errors[0]


def _num_open(pid: int) -> int:
    """Return a limit that leaves a process no descriptor: one more than the highest, with no gap below."""
    numbers = sorted(int(name) for name in os.listdir(f"/proc/{pid}/fd"))
    gap = next((number for number, found in enumerate(numbers) if number != found), len(numbers))
    return gap


def _cpu_s(pid: int) -> float:
    columns = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(columns[11]) + int(columns[12])) / os.sysconf("SC_CLK_TCK")
