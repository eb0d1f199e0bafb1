"""The origin answers what is right, refuses what it cannot count, and tells of both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from bench.figures import InvalidRun
from bench.origin import Counts, event, serve
from bench.streams import Stream, read_streams
from bench.works import ANSWER, EVENT_BYTES, LAST_EVENT, get, get_cached, post

from ...upstream import raw_server

Client = Callable[[int, Counts], Awaitable[None]]


def with_origin(client: Client) -> None:
    async def main() -> None:
        server, port, counts = await serve()
        async with asyncio.timeout(20):
            await client(port, counts)
        server.close()

    asyncio.run(main())


async def exchange(port: int, *pieces: bytes) -> bytes:
    """Send pieces, each in a segment of its own, then read what comes until the end or a whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    body = await reader.readexactly(length)
    writer.close()
    return head.partition(b"\r\n")[0] + b"\n" + body


def test_a_request_is_answered_wherever_it_is_split() -> None:
    request = post(0, b"x" * 20)

    async def client(port: int, counts: Counts) -> None:
        for cut in range(1, len(request)):
            assert await exchange(port, request[:cut], request[cut:]) == b"HTTP/1.1 200 OK\n" + ANSWER
        assert counts == Counts(requests=len(request) - 1, body_bytes=20 * (len(request) - 1))

    with_origin(client)


def test_requests_on_one_connection_are_each_counted() -> None:
    async def client(port: int, counts: Counts) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(0) + post(1, b"abc") + get(2))
        answers = [await reader.readuntil(ANSWER[-20:]) for _ in range(3)]
        assert all(answer.endswith(ANSWER) for answer in answers)
        assert counts == Counts(requests=3, body_bytes=3)
        writer.close()

    with_origin(client)


def test_counts_do_not_count_themselves() -> None:
    async def client(port: int, counts: Counts) -> None:
        told = await exchange(port, b"GET /counts HTTP/1.1\r\n\r\n")
        assert told == b'HTTP/1.1 200 OK\n{"requests":0,"body_bytes":0,"refused":0}'

    with_origin(client)


def test_requests_are_counted_by_the_port_they_came_from() -> None:
    async def client(port: int, counts: Counts) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(0) + get(1))
        for _ in range(2):
            await reader.readuntil(ANSWER[-20:])
        own = writer.get_extra_info("sockname")[1]
        told = json.loads((await exchange(port, b"GET /ports HTTP/1.1\r\n\r\n")).partition(b"\n")[2])
        assert told[str(own)] == 2 and sorted(told.values()) == [0, 2]
        writer.close()

    with_origin(client)


@pytest.mark.parametrize(("request_bytes", "may_be_kept"), [(get(0), False), (get_cached(0), True)])
def test_only_what_is_for_the_cache_may_be_kept(request_bytes: bytes, may_be_kept: bool) -> None:
    async def client(port: int, counts: Counts) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_bytes)
        head = await reader.readuntil(b"\r\n\r\n")
        assert (b"Cache-Control: public, max-age=" in head) == may_be_kept
        assert (b"Cache-Control: no-store" in head) != may_be_kept
        writer.close()

    with_origin(client)


@pytest.mark.parametrize("head", [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"x" * 20_000])
def test_what_cannot_be_counted_is_refused(head: bytes) -> None:
    async def client(port: int, counts: Counts) -> None:
        assert await exchange(port, head) == b"HTTP/1.1 400 Bad Request\n"
        assert counts == Counts(refused=1)

    with_origin(client)


@pytest.mark.parametrize("number", [1, 99, 123_456])
def test_every_event_has_one_size(number: int) -> None:
    made = event(number, 10**18)
    assert len(made) == EVENT_BYTES and made.endswith(b"\n\n")


def test_streams_are_read_whole() -> None:
    async def client(port: int, counts: Counts) -> None:
        load = await read_streams(port, num_streams=5, num_events=4)
        assert load.units == 20 and 0 <= load.p50_ms <= load.p99_ms
        assert load.more["largest_gap_ms"] > 0 and 0 <= load.more["num_gapped"] <= 5
        assert counts.requests == 5

    with_origin(client)


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_a_gap_is_the_time_between_reads_that_brought_events() -> None:
    """In pieces of one byte, 1 ms apart; the second event is 200 ms late."""

    async def main() -> Stream:
        stream, now_ns = Stream(0, b"", 3), 0
        pieces = HEAD + chunk(event(1, 0)), chunk(event(2, 0)), chunk(event(3, 0)), chunk(LAST_EVENT) + chunk(b"")
        for number, data in enumerate(pieces):
            now_ns += 200_000_000 if number == 1 else 0
            for at in range(len(data)):
                now_ns += 1_000_000
                stream.take(data[at : at + 1], now_ns)
        await stream.is_done
        return stream

    stream = asyncio.run(main())
    first_ns, second_ns, third_ns = stream.delays_ns
    assert stream.largest_gap_ns == second_ns - first_ns > 200_000_000 > third_ns - second_ns


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "expected 200"),
        (HEAD + chunk(event(1, 0)) + b"0\r\n\r\n", "got 1 and b''"),
        (HEAD + chunk(event(1, 0) * 2) + b"0\r\n\r\n", "expected event 2"),
        (HEAD + chunk(event(2, 0)), "expected event 1"),
        (HEAD + chunk(event(1, 0) + event(2, 0)), "was cut"),
        (HEAD + chunk(event(1, 0)[:-4] + b"\n\n"), "of 150 bytes"),
    ],
)
def test_a_wrong_stream_makes_the_run_invalid(answer: bytes, complaint: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async def main() -> None:
        async with raw_server(script) as port:
            await read_streams(port, num_streams=1, num_events=2)

    with pytest.raises(InvalidRun, match=complaint):
        asyncio.run(main())
