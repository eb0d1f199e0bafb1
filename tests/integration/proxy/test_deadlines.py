"""Every wait has an end: slow heads, slow bodies, silent upstreams, idle connections, the deadline over all."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ...http_client import Answer, client, fetch
from ...running import gateway, plain
from ...upstream import Call, upstream

LATE_S = 1.0  # what a deadline may be late on a busy machine


async def never(call: Call) -> None:
    await call.gone()
    raise ConnectionError


async def ok(call: Call) -> None:
    await call.answer()


def with_timeouts(url: str, **timeouts: str) -> dict[str, Any]:
    config = plain(url)
    config["listeners"][0]["timeouts"] = timeouts
    return config


def test_a_slow_head_is_answered_408_from_its_first_byte_on_however_it_drips() -> None:
    async def main() -> tuple[bytes, float]:
        async with (
            upstream(ok) as served,
            gateway(with_timeouts(served.url, head="1s")) as gate,
            client(gate.port) as connected,
        ):
            began = time.monotonic()
            ended = asyncio.create_task(connected.reader.read(-1))
            for byte in b"GET / HTTP/1.1\r\nX-Slow: " + b"y" * 200:
                connected.writer.write(bytes([byte]))
                done, _ = await asyncio.wait((ended,), timeout=0.05)
                if done:
                    break
            return await asyncio.wait_for(ended, 5), time.monotonic() - began

    received, seconds = asyncio.run(main())
    assert received.startswith(b"HTTP/1.1 408 ")
    assert 0.9 <= seconds <= 2.0 + LATE_S  # the refusal, then at most a second of lingering


def test_a_slow_body_is_answered_408() -> None:
    async def main() -> tuple[Answer, float]:
        async with (
            upstream(ok) as served,
            gateway(with_timeouts(served.url, body="500ms")) as gate,
            client(gate.port) as connected,
        ):
            connected.writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
            began = time.monotonic()
            return await connected.answer("POST"), time.monotonic() - began

    answer, seconds = asyncio.run(main())
    assert answer.status == 408
    assert answer.field("connection") == "close"
    assert 0.4 <= seconds <= 0.5 + LATE_S


def test_an_idle_connection_is_closed_without_a_word() -> None:
    async def main() -> float:
        async with (
            upstream(ok) as served,
            gateway(with_timeouts(served.url, idle="500ms")) as gate,
            client(gate.port) as connected,
        ):
            assert (await connected.request("GET", "/")).status == 200
            began = time.monotonic()
            assert await asyncio.wait_for(connected.reader.read(-1), 5) == b""
            return time.monotonic() - began

    assert 0.4 <= asyncio.run(main()) <= 0.5 + LATE_S


def test_a_silent_upstream_is_answered_504_at_its_head_timeout_and_closed() -> None:
    async def main() -> tuple[Answer, float, int]:
        async with upstream(never) as served:
            config = plain(served.url)
            config["clusters"]["t0"]["timeouts"] = {"head": "500ms"}
            async with gateway(config) as gate:
                began = time.monotonic()
                answer = await fetch(gate.port)
                return answer, time.monotonic() - began, len(served.calls)

    answer, seconds, attempts = asyncio.run(main())
    assert (answer.status, attempts) == (504, 1)
    assert answer.json()["type"] == "urn:headgate:error:silent"
    assert 0.4 <= seconds <= 0.5 + LATE_S


def test_an_upstream_that_stalls_in_its_body_is_cut() -> None:
    async def stall(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await never(call)

    async def main() -> tuple[Answer, float]:
        async with upstream(stall) as served:
            config = plain(served.url)
            config["clusters"]["t0"]["timeouts"] = {"idle": "500ms"}
            async with gateway(config) as gate:
                began = time.monotonic()
                return await fetch(gate.port), time.monotonic() - began

    answer, seconds = asyncio.run(main())
    assert (answer.status, answer.is_whole) == (200, False)
    assert 0.4 <= seconds <= 0.5 + LATE_S


def test_the_deadline_ends_everything_and_timeouts_never_add_up_past_it() -> None:
    async def main() -> tuple[Answer, float]:
        async with upstream(never) as one, upstream(never) as two:
            config = plain(one.url, two.url, kind="inference", read_model=False, deadline="700ms")
            async with gateway(config) as gate:  # whose timeouts are far longer
                began = time.monotonic()
                return await fetch(gate.port, "POST", "/", b"{}"), time.monotonic() - began

    answer, seconds = asyncio.run(main())
    assert answer.status == 504
    assert answer.json()["type"] == "urn:headgate:error:deadline"
    assert 0.6 <= seconds <= 0.7 + LATE_S


def test_a_client_can_shorten_the_deadline_but_not_lengthen_it_and_upstreams_are_told() -> None:
    told: list[str] = []

    async def note(call: Call) -> None:
        told.extend(call.fields("x-headgate-deadline-ms"))
        await call.answer()

    async def main() -> Answer:
        async with upstream(note) as served, gateway(plain(served.url, deadline="30s")) as gate:
            await fetch(gate.port, "GET", "/", None, "X-Headgate-Deadline-Ms: 5000")
            await fetch(gate.port, "GET", "/", None, "X-Headgate-Deadline-Ms: 999999999")
            return await fetch(gate.port, "GET", "/", None, "X-Headgate-Deadline-Ms: 0")

    answer = asyncio.run(main())
    assert answer.status == 504
    assert 3000 <= int(told[0]) <= 5000
    assert 25000 <= int(told[1]) <= 30000
    assert len(told) == 2


def test_a_deadline_of_a_client_that_is_no_number_of_milliseconds_counts_as_none() -> None:
    told: list[int] = []
    wrong = ("-1", "+5", "1.5", "5s", "0x10", "1e3", "", "soon", "1 000", "\u0665".encode().decode("latin-1"), "0" * 13)

    async def note(call: Call) -> None:
        told.extend(map(int, call.fields("x-headgate-deadline-ms")))
        await call.answer()

    async def main() -> list[int]:
        async with upstream(note) as served, gateway(plain(served.url, deadline="30s")) as gate:
            name = "X-Headgate-Deadline-Ms"
            answers = [await fetch(gate.port, "GET", "/", None, f"{name}: {value}") for value in wrong]
            answers.append(await fetch(gate.port, "GET", "/", None, f"{name}: 5", f"{name}: 5"))
            return [answer.status for answer in answers]

    assert asyncio.run(main()) == [200] * (len(wrong) + 1)
    assert all(25000 <= left_ms <= 30000 for left_ms in told) and len(told) == len(wrong) + 1


def test_a_client_that_reads_nothing_is_given_up_after_the_write_timeout() -> None:
    gone = asyncio.Event()

    async def endless(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                await call.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        except ConnectionError:
            gone.set()
            raise

    async def main() -> None:
        async with (
            upstream(endless) as served,
            gateway(with_timeouts(served.url, write="500ms")) as gate,
            client(gate.port) as connected,
        ):
            await connected.send("GET", "/")
            connected.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.wait_for(gone.wait(), 15)
            await gate.until(lambda: gate.log())
            assert gate.log()[0]["error"] == "client_gone"

    asyncio.run(main())
