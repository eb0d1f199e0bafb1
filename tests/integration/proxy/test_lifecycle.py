"""Reload and drain: no request is lost, every stream gets an end."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest

from ...http_client import Answer, client, fetch
from ...running import RunningGateway, gateway, plain
from ...upstream import Call, upstream


async def ok(call: Call) -> None:
    await call.answer(b"old")


async def new(call: Call) -> None:
    await call.answer(b"new")


def with_admin(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "admin": {"address": "127.0.0.1:0", "token": "env:TOKEN"}}


async def admin(gate: RunningGateway, method: str, path: str, *fields: str) -> Answer:
    async with client(gate.admin_port) as connected:
        lines = [f"{method} {path} HTTP/1.1", *(fields or ("Host: localhost",)), "Content-Length: 0", "", ""]
        connected.writer.write("\r\n".join(lines).encode())
        return await connected.answer(method)


def test_no_request_is_lost_while_the_configuration_is_reloaded_again_and_again() -> None:
    async def main() -> tuple[list[tuple[int, bytes]], int]:
        seen: list[tuple[int, bytes]] = []
        async with upstream(ok) as before, upstream(new) as after:
            configs = [with_admin(plain(before.url)), with_admin(plain(after.url))]
            async with gateway(configs[0], TOKEN="secret-of-the-test") as gate:
                stop = asyncio.Event()

                async def load() -> None:
                    async with client(gate.port) as connected:
                        while not stop.is_set():
                            answer = await connected.request("GET", "/")
                            seen.append((answer.status, answer.body))

                clients = [asyncio.create_task(load()) for _ in range(8)]
                version = 1
                for number in range(1, 11):
                    gate.write(configs[number % 2])
                    gate.signal(signal.SIGHUP)
                    version += 1
                    async with asyncio.timeout(10):
                        # Only by asking can one see that a reload is done.
                        while (await admin(gate, "GET", "/readyz")).json()["config_version"] != version:  # noqa: ASYNC110
                            await asyncio.sleep(0.01)
                stop.set()
                await asyncio.gather(*clients)
                return seen, version

    seen, version = asyncio.run(main())
    assert version == 11
    assert {status for status, _ in seen} == {200}
    assert {body for _, body in seen} == {b"old", b"new"}


def test_a_broken_file_leaves_the_old_configuration_in_force_and_says_so() -> None:
    async def main() -> tuple[Answer, Answer, Answer]:
        async with upstream(ok) as served, gateway(with_admin(plain(served.url)), TOKEN="secret-of-the-test") as gate:
            gate.write('{"listeners": 5, "rutes": []}')
            token = "Authorization: Bearer secret-of-the-test"
            refused = await admin(gate, "POST", "/reload", "Host: localhost", token)
            ready = await admin(gate, "GET", "/readyz")
            return refused, ready, await fetch(gate.port)

    refused, ready, answer = asyncio.run(main())
    assert refused.status == 422
    assert "gateway.yaml:1:" in refused.json()["detail"] and "rutes" in refused.json()["detail"]
    assert ready.status == 200 and ready.json()["config_version"] == 1
    assert "rutes" in ready.json()["config_error"]
    assert answer.body == b"old"


def test_a_reload_by_the_admin_address_is_logged_once_whether_taken_or_refused() -> None:
    async def main() -> list[str]:
        config = with_admin(plain("http://127.0.0.1:1"))
        async with gateway(config, TOKEN="secret-of-the-test") as gate:
            fields = "Host: localhost", "Authorization: Bearer secret-of-the-test"
            gate.write({**config, "drain": "7s"})
            assert (await admin(gate, "POST", "/reload", *fields)).status == 200
            gate.write('{"listeners": 5, "rutes": []}')
            assert (await admin(gate, "POST", "/reload", *fields)).status == 422
            gate.write({**config, "drain": "8s"})
            gate.signal(signal.SIGHUP)  # logged after those before it
            await gate.until(lambda: any("version 3 is in force" in line for line in gate.complaints))
            return gate.complaints

    complaints = asyncio.run(main())
    told = [line for line in complaints if "is in force" in line or "is refused" in line]
    assert [line.split()[0] for line in told] == ["INFO", "ERROR", "INFO"]
    assert ["version 2 is in force" in told[0], "kept version 2" in told[1]] == [True, True]
    assert sum("rutes" in line for line in complaints) == 1


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (("Host: localhost",), 401),
        (("Host: localhost", "Authorization: Bearer wrong"), 401),
        (("Host: evil.example", "Authorization: Bearer secret-of-the-test"), 421),
        (("Host: 127.0.0.1:1234", "Authorization: bearer secret-of-the-test"), 200),
    ],
)
def test_the_admin_address_changes_nothing_without_token_and_host(fields: tuple[str, ...], status: int) -> None:
    async def main() -> Answer:
        async with upstream(ok) as served, gateway(with_admin(plain(served.url)), TOKEN="secret-of-the-test") as gate:
            return await admin(gate, "POST", "/reload", *fields)

    assert asyncio.run(main()).status == status


def test_the_admin_address_shows_no_secret() -> None:
    async def main() -> Answer:
        async with upstream(ok) as served:
            config = with_admin(plain(served.url))
            config["clusters"]["t0"]["credential"] = "env:UPSTREAM_KEY"
            async with gateway(config, TOKEN="secret-of-the-test", UPSTREAM_KEY="very-secret-key") as gate:
                token = "Authorization: Bearer secret-of-the-test"
                return await admin(gate, "GET", "/config", "Host: localhost", token)

    answer = asyncio.run(main())
    assert answer.status == 200
    assert b"very-secret-key" not in answer.body and b"secret-of-the-test" not in answer.body
    assert answer.json()["config"]["clusters"]["t0"]["credential"] == "***"


def test_a_drain_finishes_streams_refuses_new_connections_and_says_so_in_readiness() -> None:
    may_end = asyncio.Event()

    async def slow(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
        await may_end.wait()
        await call.send(b"lf")

    async def main() -> None:
        async with (
            upstream(slow) as served,
            gateway(with_admin(plain(served.url)), TOKEN="secret-of-the-test") as gate,
            client(gate.port) as busy,
            client(gate.port) as idle,
        ):
            await busy.send("GET", "/")
            status, _ = await asyncio.wait_for(busy.head(), 5)
            gate.signal(signal.SIGTERM)
            assert await asyncio.wait_for(idle.reader.read(-1), 5) == b""  # idle connections are closed at once
            ready = await admin(gate, "GET", "/readyz")
            assert ready.status == 503
            with pytest.raises(ConnectionError):
                await fetch(gate.port)
            may_end.set()
            assert (status, await asyncio.wait_for(busy.reader.read(-1), 5)) == (200, b"half")
            assert await asyncio.wait_for(gate.process.wait(), 10) == 0

    asyncio.run(main())


def test_a_stream_that_outlives_the_grace_gets_a_typed_end() -> None:
    async def endless(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await call.send(b'10\r\ndata: {"n": 1}\n\n\r\n')
        await call.gone()
        raise ConnectionError

    async def wait(call: Call) -> None:
        await call.gone()
        raise ConnectionError

    async def script(call: Call) -> None:
        await (wait(call) if "wait" in call.line else endless(call))

    async def main() -> tuple[bytes, Answer]:
        async with (
            upstream(script) as served,
            gateway({**plain(served.url), "drain": "300ms"}) as gate,
            client(gate.port) as streaming,
            client(gate.port) as waiting,
        ):
            await streaming.send("GET", "/v1/stream")
            await asyncio.wait_for(streaming.reader.readuntil(b'data: {"n": 1}\n\n'), 5)
            await waiting.send("GET", "/v1/wait")
            await served.until(lambda: len(served.calls) == 2)
            gate.signal(signal.SIGTERM)
            answer = await waiting.answer()
            rest = await asyncio.wait_for(streaming.reader.read(-1), 5)
            assert await asyncio.wait_for(gate.process.wait(), 10) == 0
            return rest, answer

    rest, answer = asyncio.run(main())
    assert (answer.status, answer.json()["error"]["code"]) == (503, "draining")
    assert b'"code":"draining"' in rest and not rest.endswith(b"0\r\n\r\n")


def test_metrics_are_open_metrics_and_need_no_token() -> None:
    async def main() -> Answer:
        async with upstream(ok) as served, gateway(with_admin(plain(served.url)), TOKEN="secret-of-the-test") as gate:
            await fetch(gate.port)
            await gate.until(lambda: gate.log())
            return await admin(gate, "GET", "/metrics", "Host: anything.example")

    answer = asyncio.run(main())
    text = answer.body.decode()
    assert answer.status == 200
    assert 'headgate_requests_total{route="all",status="200"} 1' in text
    assert text.endswith("# EOF\n")


def test_one_log_line_an_exchange_with_trace_and_request_id() -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    told: list[str] = []

    async def note(call: Call) -> None:
        told.extend(call.fields("traceparent"))
        await call.answer()

    async def main() -> tuple[Answer, list[dict[str, Any]]]:
        async with upstream(note) as served, gateway(plain(served.url)) as gate:
            answer = await fetch(gate.port, "GET", "/a?secret=1", None, f"Traceparent: {trace}", "X-Request-Id: mine-1")
            await gate.until(lambda: gate.log())
            return answer, gate.log()

    answer, log = asyncio.run(main())
    assert answer.field("x-request-id") == "mine-1"
    assert len(log) == 1
    assert (log[0]["request_id"], log[0]["trace_id"]) == ("mine-1", "4bf92f3577b34da6a3ce929d0e0e4736")
    assert "secret" not in json.dumps(log[0])
    assert told[0].split("-")[1] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert told[0] != trace  # a span of our own


def test_the_metrics_count_what_the_log_tells() -> None:
    """Whatever became of the fallback: an answer, a break, silence until the deadline, a client that left."""

    async def bad(call: Call) -> None:
        await call.answer(b"", "502 Bad Gateway")

    async def second(call: Call) -> None:
        if call.line.startswith("GET /good"):
            await call.answer()
        elif call.line.startswith("GET /cut"):
            await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            call.reset()
            raise ConnectionError
        else:
            await call.gone()
            raise ConnectionError

    async def main() -> tuple[list[dict[str, Any]], str]:
        async with upstream(bad) as first, upstream(second) as other:
            config = with_admin(plain(first.url, other.url, retry={"attempts": 1}))
            config["clusters"]["t0"]["breaker"] = {"failures": 1000}
            async with gateway(config, TOKEN="secret-of-the-test") as gate:
                for path in ("/good", "/cut", "/late"):
                    await fetch(gate.port, "GET", path, None, "X-Headgate-Deadline-Ms: 200")
                async with client(gate.port) as leaving:
                    await leaving.send("GET", "/left")
                    await other.until(lambda: len(other.calls) == 4)
                await gate.until(lambda: len(gate.log()) == 4)
                return gate.log(), (await admin(gate, "GET", "/metrics")).body.decode()

    log, text = asyncio.run(main())
    assert [(line["error"], line["attempts"], line["fallback"], line["target"]) for line in log] == [
        (None, 2, True, "t1"),
        ("truncated", 2, True, "t1"),
        ("deadline", 2, True, None),
        ("client_gone", 2, True, None),
    ]
    counted = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("headgate_attempts_total"))
    assert counted == {
        'headgate_attempts_total{target="t0",outcome="status 502"}': "4",
        'headgate_attempts_total{target="t1",outcome="answered"}': "1",
        'headgate_attempts_total{target="t1",outcome="truncated"}': "1",
        'headgate_attempts_total{target="t1",outcome="deadline"}': "1",
        'headgate_attempts_total{target="t1",outcome="abandoned"}': "1",
    }
    counted = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("headgate_fallback_total"))
    assert counted == {'headgate_fallback_total{from="t0",to="t1",reason="status 502"}': "2"}
