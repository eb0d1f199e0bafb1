"""Gateways that share a Redis, as processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme

from headgate.plugins.api_key import digest, new_key

from ..http_client import Answer, client, fetch
from ..running import RunningGateway, gateway
from ..upstream import Call, upstream
from .running_redis import RunningRedis, running_redis

FRESH = "Cache-Control: max-age=60"
PEPPER = "a pepper of the tests"
PASSWORD = "a-password-nobody-sees"


@pytest.fixture
def shared() -> Iterator[RunningRedis]:
    with running_redis() as running:
        yield running


@contextlib.asynccontextmanager
async def caching(origin: str, second: dict[str, Any], **more: Any) -> AsyncIterator[RunningGateway]:
    """Run a gateway with a second level."""
    config = {
        "listeners": [{"address": "127.0.0.1:0"}],
        "admin": {"address": "127.0.0.1:0", "token": "env:TOKEN", "hosts": ["gate.test"]},
        "clusters": {"origin": {"endpoints": [origin]}},
        "plugins": {"cache": {"second": {"timeout": "5s", **second}}, **more.pop("plugins", {})},
        "stages": {"cache": ["cache"], "response_head": ["cache"], **more.pop("stages", {})},
        "routes": [{"name": "all", "match": {"path": "/{*rest}"}, "targets": ["origin"]}],
    }
    async with gateway(config, PEPPER=PEPPER, TOKEN="secret-of-the-test", PASSWORD=PASSWORD, **more) as gate:
        yield gate


async def fresh(call: Call) -> None:
    await call.answer(b"hello", "200 OK", FRESH, "Age: 5", 'ETag: "v1"')


async def counted(gate: RunningGateway, operation: str, result: str) -> int:
    """Return a number of the gateway's metrics."""
    shown = await fetch(gate.admin_port, "GET", "/metrics", None, "Authorization: Bearer secret-of-the-test")
    wanted = f'headgate_cache_second_total{{plugin="cache",operation="{operation}",result="{result}"}} '
    lines = [line for line in shown.body.decode().splitlines() if line.startswith(wanted)]
    return int(float(lines[0].rpartition(" ")[2])) if lines else 0


async def until_counted(gate: RunningGateway, operation: str, result: str, number: int = 1) -> None:
    async with asyncio.timeout(20):
        while await counted(gate, operation, result) < number:
            pass  # every turn asks


def test_the_second_gateway_answers_without_asking_the_origin(shared: RunningRedis) -> None:
    async def main() -> None:
        second = {"url": shared.url}
        async with upstream(fresh) as served, caching(served.url, second) as one, caching(served.url, second) as two:
            first = await fetch(one.port, "GET", "/a")
            assert first.field("cache-status") == "headgate; fwd=uri-miss; stored"
            await until_counted(one, "keep", "kept")
            async with client(two.port) as connected:
                found = await connected.request("GET", "/a")
                again = await connected.request("GET", "/a")
            assert len(served.calls) == 1
            assert (found.status, found.body, found.field("x-headgate-cache")) == (200, b"hello", "hit")
            assert (found.field("cache-status") or "").endswith("; detail=second")
            assert (again.body, again.field("x-headgate-cache")) == (b"hello", "hit")
            assert "second" not in (again.field("cache-status") or "")
            assert 5 <= int(found.field("age") or "") <= 30
            assert (await counted(two, "look", "hit"), await counted(two, "look", "miss")) == (1, 0)
            await two.until(lambda: len(two.log()) == 2)
            assert [line["cache"] for line in two.log()] == ["hit", "hit"]

    asyncio.run(main())


def test_tenants_do_not_see_each_others_answers(shared: RunningRedis, tmp_path: Path) -> None:
    mine, theirs = new_key("test"), new_key("test")
    keys = [
        {"id": f"{tenant}-1", "tenant": tenant, "digests": [{"digest": digest(key, PEPPER)}]}
        for tenant, key in (("mine", mine), ("theirs", theirs))
    ]
    (tmp_path / "keys.json").write_text(json.dumps({"keys": keys}))
    num_calls = 0

    async def count(call: Call) -> None:
        nonlocal num_calls
        num_calls += 1
        await call.answer(b"%d" % num_calls, "200 OK", FRESH)

    async def main() -> list[bytes]:
        plugins = {"api_key": {"pepper": "env:PEPPER", "keys_file": str(tmp_path / "keys.json")}}
        more = {"plugins": plugins, "stages": {"auth": ["api_key"]}}
        second = {"url": shared.url}
        async with (
            upstream(count) as served,
            caching(served.url, second, **more) as one,
            caching(served.url, second, **more) as two,
        ):

            async def ask(gate: RunningGateway, key: str) -> Answer:
                return await fetch(gate.port, "GET", "/a", None, f"X-API-Key: {key}")

            bodies = [(await ask(one, mine)).body]
            await until_counted(one, "keep", "kept")
            bodies += [(await ask(two, theirs)).body]
            await until_counted(two, "keep", "kept")
            return [*bodies, (await ask(two, mine)).body, (await ask(one, theirs)).body]

    assert asyncio.run(main()) == [b"1", b"2", b"1", b"2"]


def test_an_unsafe_request_at_one_reaches_what_is_shared(shared: RunningRedis) -> None:
    async def main() -> None:
        second = {"url": shared.url}
        async with upstream(fresh) as served, caching(served.url, second) as one, caching(served.url, second) as two:
            await fetch(one.port, "GET", "/a")
            await until_counted(one, "keep", "kept")
            await fetch(two.port, "POST", "/a", b"")
            await until_counted(two, "forget", "forgotten")
            await fetch(two.port, "GET", "/a")
            assert [call.line.split()[0] for call in served.calls] == ["GET", "POST", "GET"]

    asyncio.run(main())


def test_a_gateway_serves_though_its_redis_is_killed(shared: RunningRedis) -> None:
    async def main() -> None:
        async with upstream(fresh) as served, caching(served.url, {"url": shared.url}) as gate:
            async with client(gate.port) as one:
                assert (await one.request("GET", "/a")).status == 200
                shared.kill()
                answers = [await one.request("GET", f"/{place}") for place in range(20)]
                assert {(answer.status, answer.body) for answer in answers} == {(200, b"hello")}
            assert await counted(gate, "look", "paused") >= 10
            assert sum("is out" in line for line in gate.complaints) == 1
            shared.start_again()

    asyncio.run(main())


def test_it_starts_without_a_redis() -> None:
    async def main() -> None:
        second = {"url": "redis://127.0.0.1:1"}
        async with upstream(fresh) as served, caching(served.url, second) as gate:
            assert not gate.complaints
            assert [(await fetch(gate.port, "GET", f"/{place}")).body for place in range(5)] == [b"hello"] * 5
            await gate.until(lambda: any("is out" in line for line in gate.complaints))

    asyncio.run(main())


def test_over_tls_with_a_user_and_a_password(tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    files = {"cert": "cert.pem", "key": "key.pem", "ca-cert": "ca.pem"}
    arguments = [word for name, file in files.items() for word in (f"--tls-{name}-file", str(tmp_path / file))]
    allowed = "+eval +get +set +getrange +pttl +pexpire +del +lpush +rpop +lrem +llen +time +select"

    async def main() -> None:
        with running_redis(*arguments, "--tls-auth-clients", "no") as running:
            with running.client() as connected:
                connected.execute_command("ACL", "SETUSER", "gate", "on", f">{PASSWORD}", "~own:*", *allowed.split())
                port = free_tls_port(connected)
            second = {
                "url": f"rediss://127.0.0.1:{port}/1",
                "username": "gate",
                "password": "env:PASSWORD",
                "prefix": "own",
            }
            trusting = {**second, "ca": str(tmp_path / "ca.pem")}
            async with upstream(fresh) as served, caching(served.url, trusting) as one:
                await fetch(one.port, "GET", "/a")
                await until_counted(one, "keep", "kept")
                await fetch(one.port, "POST", "/b", b"")
                await until_counted(one, "forget", "forgotten")
                async with caching(served.url, trusting) as two:
                    found = await fetch(two.port, "GET", "/a")
                    assert (found.field("cache-status") or "").endswith("; detail=second")
                async with caching(served.url, {**second, "ca": str(tmp_path / "other.pem")}) as three:
                    assert [(await fetch(three.port, "GET", f"/{n}")).status for n in range(4)] == [200] * 4
                    await three.until(lambda: any("certificate" in line.lower() for line in three.complaints))
                    assert await counted(three, "look", "hit") == 0
                    assert not any(PASSWORD in line for line in three.complaints)

    asyncio.run(main())


def free_tls_port(connected: redis.Redis) -> int:
    """Have the server listen with TLS on a port that it finds free, and return it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    connected.config_set("tls-port", port)
    return port
