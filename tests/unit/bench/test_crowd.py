"""A crowd is believed only where every answer was right and every connection stayed."""

from __future__ import annotations

import asyncio

import pytest

from bench.crowd import burst, check_held, hold
from bench.figures import InvalidRun
from bench.origin import Counts, serve
from bench.works import get, post

from ...upstream import raw_server
from .test_origin import with_origin


def test_a_burst_is_sent_once_over_each_connection() -> None:
    async def client(port: int, counts: Counts) -> None:
        load = await burst(port, [post(number, b"x" * 30_000) for number in range(100)])
        assert load.units == 100 and 0 < load.p50_ms <= load.p99_ms
        assert counts == Counts(requests=100, body_bytes=100 * 30_000)

    with_origin(client)


def test_idle_connections_are_held() -> None:
    async def main() -> None:
        server, port, counts = await serve()
        load, callers = await hold(port, (get(number) for number in range(150)))
        assert load.units == len(callers) == counts.requests == 150
        check_held(callers)
        callers[3].close()
        await asyncio.sleep(0)
        with pytest.raises(InvalidRun, match="1 idle"):
            check_held(callers)
        for caller in callers:
            caller.close()
        server.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 400\r\n\r\n" + b"x" * 400, "a wrong answer.*503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 318\r\n\r\n" + b"x" * 318, "a wrong answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 318\r\n\r\n" + b"x", "without its answer"),
    ],
)
def test_a_wrong_answer_makes_the_run_invalid(answer: bytes, complaint: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async def main() -> None:
        async with raw_server(script) as port:
            await burst(port, [get(1)])

    with pytest.raises(InvalidRun, match=complaint):
        asyncio.run(main())
