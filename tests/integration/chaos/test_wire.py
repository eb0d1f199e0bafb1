"""What can be seen on the wire: the names that headgate gives and takes, connections used again, no needless delay."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ...http_client import Answer, Client, client, fetch
from ...running import RunningGateway, gateway, plain
from ...upstream import Call, Script, Upstream, upstream

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
NUM_TIMED = 50
STALL_S = 0.040  # what a delayed acknowledgement costs where small writes are held back
SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def answer_ok(call: Call) -> None:
    await call.answer(b"ok", "200 OK", "X-Headgate-Target: a lie", "X-Headgate-Other: a lie", "X-Request-Id: a lie")


def run(script: Script, test: Callable[[RunningGateway, Upstream], Awaitable[None]], **route: Any) -> None:
    async def main() -> None:
        async with upstream(script) as served, gateway(plain(served.url, **route)) as gate:
            await test(gate, served)

    asyncio.run(main())


def values(answer: Answer, name: str) -> list[str]:
    pairs = [line.decode("latin-1").partition(":") for line in answer.head.split(b"\r\n")[1:]]
    return [value.strip() for key, _, value in pairs if key.lower() == name]


def test_what_a_client_says_in_our_names_goes_no_further_than_it_may() -> None:
    async def test(gate: RunningGateway, served: Upstream) -> None:
        answer = await fetch(
            gate.port,
            "GET",
            "/x",
            None,
            "X-Request-Id: mine-1",
            f"Traceparent: 00-{TRACE}-{PARENT}-00",
            "Tracestate: vendor=1",
            "X-Headgate-Target: mine",
            "x-headgate-anything: mine",
            "X-Headgate-Priority: system",
            "X-Headgate-Deadline-Ms: 5000",
        )
        (call,) = served.calls
        assert call.fields("x-request-id") == ["mine-1"]
        assert values(answer, "x-request-id") == ["mine-1"]
        (traceparent,) = call.fields("traceparent")
        version, trace, parent, flags = traceparent.split("-")
        assert (version, trace, flags) == ("00", TRACE, "00") and parent != PARENT
        assert call.fields("tracestate") == ["vendor=1"]
        assert call.fields("x-headgate-priority") == ["default"]
        (deadline,) = call.fields("x-headgate-deadline-ms")
        assert 3000 < int(deadline) <= 5000
        names = {line.partition(b":")[0].lower() for line in call.head.split(b"\r\n")[1:]}
        assert {name for name in names if name.startswith(b"x-headgate-")} == {
            b"x-headgate-priority",
            b"x-headgate-deadline-ms",
        }
        await gate.until(gate.log)
        assert (gate.log()[0]["request_id"], gate.log()[0]["trace_id"]) == ("mine-1", TRACE)

    run(answer_ok, test)


def test_what_an_upstream_says_in_our_names_is_not_passed_on() -> None:
    async def test(gate: RunningGateway, served: Upstream) -> None:
        answer = await fetch(gate.port)
        assert values(answer, "x-headgate-target") == ["t0"]
        assert values(answer, "x-headgate-attempts") == ["1"]
        assert values(answer, "x-headgate-other") == []
        (own,) = values(answer, "x-request-id")
        assert own == served.calls[0].fields("x-request-id")[0] != "a lie"

    run(answer_ok, test)


@pytest.mark.parametrize("given", ["has a space", "x" * 129, "semi;colon", ""])
def test_a_request_id_that_is_no_plain_token_is_replaced(given: str) -> None:
    async def test(gate: RunningGateway, served: Upstream) -> None:
        answer = await fetch(gate.port, "GET", "/", None, f"X-Request-Id: {given}", "Traceparent: rubbish")
        (own,) = values(answer, "x-request-id")
        assert own != given and served.calls[0].fields("x-request-id") == [own]
        (traceparent,) = served.calls[0].fields("traceparent")
        assert traceparent.startswith("00-") and len(traceparent) == 55

    run(answer_ok, test)


def test_every_answer_has_a_request_id_our_own_errors_and_refusals_too() -> None:
    async def refused(gate: RunningGateway, raw: bytes) -> Answer:
        async with client(gate.port) as connected:
            connected.writer.write(raw)
            return await connected.answer()

    async def test(gate: RunningGateway, served: Upstream) -> None:
        unrouted = await fetch(gate.port, "GET", "/elsewhere", None, "X-Request-Id: mine-2")
        assert (unrouted.status, values(unrouted, "x-request-id")) == (404, ["mine-2"])
        for raw in (b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"):
            (own,) = values(await refused(gate, raw), "x-request-id")
            assert len(own) == 32

    run(answer_ok, test, match={"path": "/only"})


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("is_kept", [True, False])
def test_ten_requests_in_turn_use_one_upstream_connection(method: str, is_kept: bool) -> None:
    body = b"x" if method == "POST" else None

    async def test(gate: RunningGateway, served: Upstream) -> None:
        async with client(gate.port) as connected:
            for _ in range(10):
                ask = connected.request(method, "/", body) if is_kept else fetch(gate.port, method, "/", body)
                assert (await ask).status == 200
        assert (len(served.calls), served.num_connections) == (10, 1)

    run(answer_ok, test)


async def _timed(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


def test_an_answer_in_two_writes_is_not_held_back() -> None:
    async def two_writes(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none")
        await asyncio.sleep(0.002)  # so that these are two writes of the gateway, too
        await call.send(b"two")

    async def test(gate: RunningGateway, served: Upstream) -> None:
        async with client(gate.port) as connected:
            took_s = [await _timed(lambda: connected.request("GET", "/")) for _ in range(NUM_TIMED)]
        assert statistics.median(took_s) < STALL_S / 2

    run(two_writes, test)


def test_a_request_in_two_writes_is_not_held_back() -> None:
    async def send_twice(connected: Client) -> None:
        connected.writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\none")
        await asyncio.sleep(0.002)
        connected.writer.write(b"two")
        assert (await connected.answer("POST")).status == 200

    async def test(gate: RunningGateway, served: Upstream) -> None:
        async with client(gate.port) as connected:
            took_s = [await _timed(lambda: send_twice(connected)) for _ in range(NUM_TIMED)]
        assert statistics.median(took_s) < STALL_S / 2
        assert {call.body for call in served.calls} == {b"onetwo"}

    run(answer_ok, test)


def test_the_first_event_comes_ten_milliseconds_later_at_most() -> None:
    async def events(call: Call) -> None:
        await call.send(SSE_HEAD)
        await asyncio.sleep(0.002)
        await call.send(b'f\r\ndata: {"n":1}\n\n\r\n')
        await asyncio.sleep(0.002)
        await call.send(b'f\r\ndata: {"n":2}\n\n\r\n0\r\n\r\n')

    async def first_event(connected: Client) -> float:
        began = time.perf_counter()
        await connected.send("POST", "/v1/chat/completions", b'{"stream": true}')
        await connected.reader.readuntil(b'data: {"n":1}\n\n')
        took_s = time.perf_counter() - began
        await connected.reader.readuntil(b"0\r\n\r\n")
        return took_s

    async def test(gate: RunningGateway, served: Upstream) -> None:
        async with client(gate.port) as through, client(served.port) as direct:
            added_s = []
            for _ in range(NUM_TIMED):  # in turn, so that both meet the same machine
                direct_s = await first_event(direct)
                added_s.append(await first_event(through) - direct_s)
        assert statistics.median(added_s) <= 0.010

    run(events, test, kind="inference", read_model=False)
