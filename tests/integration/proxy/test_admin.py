"""The admin address: its calls, and that it is served as strictly as a listener."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from headgate.proxy.admin import MAX_CONNECTIONS, SETTINGS, Admin
from headgate.proxy.admin_calls import MAX_RELOADS, AdminCalls
from headgate.proxy.compile import build
from headgate.proxy.config.load import load
from headgate.proxy.config.schema import Config
from headgate.proxy.downstream.settings import ListenerSettings
from headgate.proxy.gateway import Gateway
from headgate.proxy.observe.access_log import AccessLog
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.observe.observer import Observer
from headgate.proxy.plugin_types import PluginTypes
from headgate.proxy.reload import Reloader
from headgate.proxy.server import bind

from ...http_client import Answer, Client, client, fetch
from ...running import gateway, plain
from ...upstream import Call, upstream

TOKEN = "secret-of-the-test"
BEARER = f"Authorization: Bearer {TOKEN}"
TEXT = "text/plain; charset=utf-8"
METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def with_admin(url: str = "http://127.0.0.1:1", **more: Any) -> dict[str, Any]:
    return {**plain(url), "admin": {"address": "127.0.0.1:0", "token": "env:TOKEN"}, **more}


async def call(connected: Client, method: str, path: str, *fields: str) -> Answer:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields, "", ""]
    connected.writer.write("\r\n".join(lines).encode())
    return await connected.answer(method)


class Stand:
    """An admin address in this process. Its reloads wait for `may_read`."""

    def __init__(self, settings: ListenerSettings) -> None:
        self.may_read = threading.Event()
        self.num_read = 0
        self.failure: Exception | None = None
        types, registry = PluginTypes(), Registry()
        config = load(json.dumps(with_admin()), types.schemas())
        assert config.admin is not None
        self.gateway = Gateway(build(config, types, registry), Observer(registry, AccessLog("off")))

        def read(types: PluginTypes) -> Config:
            self.num_read += 1
            assert self.may_read.wait(10)
            if self.failure is not None:
                raise self.failure
            return config

        calls = AdminCalls(self.gateway, Reloader(self.gateway, read, types, registry), config.admin)
        self.admin = Admin(self.gateway, calls, settings)
        self.bound = bind(config.admin.address)

    @property
    def port(self) -> int:
        assert self.admin.address is not None
        return self.admin.address.port

    async def until_reading(self) -> None:
        async with asyncio.timeout(5):
            while not self.num_read:  # noqa: ASYNC110 - it is read in a thread
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def stand(settings: ListenerSettings = SETTINGS) -> AsyncIterator[Stand]:
    made = Stand(settings)
    await made.admin.start(made.bound)
    try:
        yield made
    finally:
        made.may_read.set()
        await made.admin.stop()
        await made.gateway.close()


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)


CALLS = [
    ("GET", "/livez", (), 200, TEXT),
    ("HEAD", "/livez", (), 200, TEXT),
    ("GET", "/readyz?verbose", (), 200, "application/json"),
    ("GET", "/metrics", (), 200, METRICS),
    ("HEAD", "/metrics", (), 200, METRICS),
    ("GET", "/config", (), 401, "application/problem+json"),
    ("GET", "/config", (BEARER,), 200, "application/json"),
    ("GET", "/plugins", (BEARER,), 200, "application/json"),
    ("POST", "/reload", (BEARER, "Content-Length: 0"), 200, "application/json"),
    ("POST", "/livez", (), 405, TEXT),
    ("DELETE", "/metrics", (), 405, TEXT),
    ("GET", "/reload", (BEARER,), 405, TEXT),
    ("HEAD", "/reload", (BEARER,), 405, TEXT),
    ("POST", "/reload", (), 401, "application/problem+json"),
    ("GET", "/nothing", (), 401, "application/problem+json"),
    ("GET", "/nothing", (BEARER,), 404, TEXT),
    ("GET", "/livez/", (BEARER,), 404, TEXT),
    ("OPTIONS", "*", (BEARER,), 404, TEXT),
    ("GET", "http://localhost/livez", (), 200, TEXT),
    ("GET", "http://evil.example/config", (BEARER,), 421, "application/problem+json"),
]


def test_every_call_has_its_status_and_the_connection_goes_on() -> None:
    async def main() -> list[Answer]:
        async with stand() as made, client(made.port) as connected:
            made.may_read.set()
            return [await call(connected, method, path, *fields) for method, path, fields, _, _ in CALLS]

    for (method, path, _, status, media_type), answer in zip(CALLS, asyncio.run(main()), strict=True):
        assert (answer.status, answer.field("content-type")) == (status, media_type), f"{method} {path}"
        assert answer.field("date") and answer.field("connection") is None
        assert int(answer.field("content-length") or 0) > 0
        assert answer.body or method == "HEAD"
        assert answer.field("www-authenticate") == ("Bearer" if status == 401 else None)
        allowed = "POST" if path == "/reload" else "GET,HEAD"
        assert answer.field("allow") == (allowed if status == 405 else None)


def test_without_a_token_in_the_configuration_there_are_no_changing_calls() -> None:
    async def main() -> Answer:
        config = {**with_admin(), "admin": {"address": "127.0.0.1:0"}}
        async with gateway(config) as gate, client(gate.admin_port) as connected:
            return await call(connected, "GET", "/config", BEARER)

    assert asyncio.run(main()).status == 403


@pytest.mark.parametrize("head", [b"GET /livez HTTP/1.1\r\nHost", b"G"])
def test_a_head_that_does_not_come_is_ended_with_408(head: bytes) -> None:
    async def main() -> tuple[Answer, bytes]:
        async with stand(replace(SETTINGS, head_timeout_s=0.2)) as made, client(made.port) as connected:
            connected.writer.write(head)
            return await connected.answer(), await asyncio.wait_for(connected.reader.read(-1), 5)

    answer, rest = asyncio.run(main())
    assert (answer.status, answer.field("connection"), rest) == (408, "close", b"")


def test_an_idle_connection_is_closed() -> None:
    async def main() -> bytes:
        async with stand(replace(SETTINGS, idle_timeout_s=0.2)) as made, client(made.port) as connected:
            assert (await call(connected, "GET", "/livez")).status == 200
            return await asyncio.wait_for(connected.reader.read(-1), 5)

    assert asyncio.run(main()) == b""


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /livez HTTP/1.1\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    ],
)
def test_heads_are_read_strictly(request_bytes: bytes, status: int) -> None:
    async def main() -> Answer:
        async with stand() as made, client(made.port) as connected:
            connected.writer.write(request_bytes)
            return await connected.answer()

    answer = asyncio.run(main())
    assert (answer.status, answer.field("connection")) == (status, "close")


def test_a_connection_too_many_is_answered_503_and_a_closed_one_makes_room() -> None:
    async def main() -> Answer:
        async with gateway(with_admin()) as gate, contextlib.AsyncExitStack() as stack:
            held = [await stack.enter_async_context(client(gate.admin_port)) for _ in range(MAX_CONNECTIONS)]
            for connected in held:
                assert (await call(connected, "GET", "/livez")).status == 200
            refused = await fetch(gate.admin_port, "GET", "/livez")
            await gate.until(gate.log)
            assert [line["error"] for line in gate.log()] == ["overloaded"]
            assert (await call(held[0], "GET", "/livez")).status == 200  # the others are none the worse
            held[0].close()
            async with asyncio.timeout(5):
                while (await fetch(gate.admin_port, "GET", "/livez")).status != 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            return refused

    refused = asyncio.run(main())
    assert (refused.status, refused.field("connection")) == (503, "close")


def test_a_body_is_not_looked_at_and_ends_the_connection_unless_it_has_come() -> None:
    async def main() -> tuple[Answer, Answer, Answer, bytes]:
        async with stand() as made, client(made.port) as connected:
            head = b"GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
            connected.writer.write(head + b"whole")
            whole = await connected.answer()
            connected.writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            next_one = await connected.answer()
            connected.writer.write(head + b"ha")
            return whole, next_one, await connected.answer(), await asyncio.wait_for(connected.reader.read(-1), 5)

    whole, next_one, partly, rest = asyncio.run(main())
    assert (whole.status, whole.field("connection")) == (200, None)
    assert (next_one.status, next_one.field("connection")) == (200, None)
    assert (partly.status, partly.field("connection"), rest) == (200, "close", b"")


def test_a_reload_that_has_begun_goes_on_where_its_caller_leaves_and_few_may_wait() -> None:
    async def main() -> tuple[list[int], int]:
        async with stand() as made:
            for number in range(MAX_RELOADS):
                async with client(made.port) as leaving:
                    leaving.writer.write(f"POST /reload HTTP/1.1\r\nHost: localhost\r\n{BEARER}\r\n\r\n".encode())
                    # An answer on another connection: by then this call is under way as well.
                    assert (await fetch(made.port, "GET", "/livez")).status == 200
                    if not number:
                        await made.until_reading()
            async with client(made.port) as connected:
                refused = await call(connected, "POST", "/reload", BEARER)
                made.may_read.set()
                async with asyncio.timeout(5):
                    while made.gateway.snapshot.version != 1 + MAX_RELOADS:  # noqa: ASYNC110
                        await asyncio.sleep(0.005)
                taken = await call(connected, "POST", "/reload", BEARER)
            return [refused.status, taken.status], made.gateway.snapshot.version

    assert asyncio.run(main()) == ([503, 200], 2 + MAX_RELOADS)


def test_a_call_that_fails_is_answered_500_and_told_in_the_log_only(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> list[Answer]:
        async with stand() as made, client(made.port) as connected:
            made.failure = RuntimeError("a fault of the test")
            made.may_read.set()
            failed = await call(connected, "POST", "/reload", BEARER)
            return [failed, await call(connected, "GET", "/livez")]

    failed, after = asyncio.run(main())
    assert (failed.status, after.status) == (500, 200)
    assert b"a fault of the test" not in failed.body
    assert ["a fault of the test" in record.getMessage() for record in caplog.records] == [True]


def test_readiness_and_liveness_are_answered_all_through_a_drain() -> None:
    may_end = asyncio.Event()

    async def slow(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
        await may_end.wait()
        await call.send(b"lf")

    async def main() -> list[int]:
        async with (
            upstream(slow) as served,
            gateway(with_admin(served.url)) as gate,
            client(gate.port) as busy,
            client(gate.port) as idle,
            client(gate.admin_port) as kept,
        ):
            assert (await call(kept, "GET", "/readyz")).status == 200
            await busy.send("GET", "/")
            await asyncio.wait_for(busy.head(), 5)
            gate.signal(signal.SIGTERM)
            assert await asyncio.wait_for(idle.reader.read(-1), 5) == b""
            fresh = [await fetch(gate.admin_port, "GET", path) for path in ("/readyz", "/livez")]
            old = [await call(kept, "GET", path) for path in ("/readyz", "/livez")]
            assert not fresh[0].json()["is_ready"]
            may_end.set()
            assert await asyncio.wait_for(gate.process.wait(), 10) == 0
            return [answer.status for answer in (*fresh, *old)]

    assert asyncio.run(main()) == [503, 200, 503, 200]


def test_its_stop_closes_idle_connections_at_once_and_waits_a_second_for_the_others() -> None:
    async def main() -> float:
        async with stand() as made, client(made.port) as idle, client(made.port) as busy:
            assert (await call(idle, "GET", "/livez")).status == 200
            busy.writer.write(f"POST /reload HTTP/1.1\r\nHost: localhost\r\n{BEARER}\r\n\r\n".encode())
            await made.until_reading()
            loop = asyncio.get_running_loop()
            began = loop.time()
            stopping = asyncio.create_task(made.admin.stop())
            assert await asyncio.wait_for(idle.reader.read(-1), 0.9) == b""
            with pytest.raises(ConnectionError):
                await fetch(made.port, "GET", "/livez")
            await stopping
            seconds = loop.time() - began
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(busy.reader.readexactly(1), 5)
            return seconds

    assert 0.9 < asyncio.run(main()) < 3
