"""Streams: events without delay, backpressure with bounded memory, cuts that show."""

from __future__ import annotations

import asyncio
import socket
import time

from ...http_client import client, fetch
from ...running import gateway, plain
from ...upstream import Call, raw_server, upstream
from .chunked import SSE_HEAD, chunk

MIB = 1 << 20


def hold(writer: asyncio.StreamWriter, option: int) -> None:
    """Keep the kernel from growing a buffer of this connection (it may, to 32 MiB: tcp_rmem), whoever's it is."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, 65536)


def test_each_event_is_passed_on_before_the_next_is_made() -> None:
    turns: asyncio.Queue[int] = asyncio.Queue()

    async def script(call: Call) -> None:
        await call.send(SSE_HEAD)
        for number in range(20):
            await call.send(chunk(b'data: {"n": %d}\n\n' % number))
            assert await turns.get() == number  # the client has it: only then comes the next
        await call.send(b"0\r\n\r\n")

    async def main() -> float:
        async with upstream(script) as served, gateway(plain(served.url)) as gate, client(gate.port) as connected:
            await connected.send("GET", "/events")
            slowest = 0.0
            for number in range(20):
                began = time.monotonic()
                await asyncio.wait_for(connected.reader.readuntil(b'data: {"n": %d}\n\n' % number), 5)
                slowest = max(slowest, time.monotonic() - began)
                turns.put_nowait(number)
            await asyncio.wait_for(connected.reader.readuntil(b"0\r\n\r\n"), 5)
            return slowest

    assert asyncio.run(main()) < 1.0


def test_the_head_of_a_streamed_answer_does_not_wait_for_its_body() -> None:
    may_go_on = asyncio.Event()

    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Early: yes\r\n\r\n")
        await may_go_on.wait()
        await call.send(b"later")

    async def main() -> None:
        async with upstream(script) as served, gateway(plain(served.url)) as gate, client(gate.port) as connected:
            await connected.send("GET", "/")
            status, head = await asyncio.wait_for(connected.head(), 5)
            assert status == 200 and b"X-Early: yes" in head
            may_go_on.set()
            assert await connected.reader.readexactly(5) == b"later"

    asyncio.run(main())


def test_a_client_that_reads_nothing_stops_the_upstream_and_costs_little_memory() -> None:
    size, taken = 96 * MIB, []
    stopped = asyncio.Event()

    async def script(call: Call) -> None:
        hold(call.writer, socket.SO_SNDBUF)
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        block = b"x" * 65536
        for _ in range(size // len(block)):
            call.writer.write(block)
            try:
                async with asyncio.timeout(1.0):
                    await call.writer.drain()
            except TimeoutError:
                stopped.set()
                await call.gone()
                return
            taken.append(len(block))

    async def main() -> tuple[int, int]:
        async with (
            upstream(script) as served,
            gateway(plain(served.url), is_fresh=True) as gate,
            client(gate.port) as connected,
        ):
            before = gate.rss_bytes()
            gate.reset_peak()
            hold(connected.writer, socket.SO_RCVBUF)
            await connected.send("GET", "/big")
            await asyncio.wait_for(connected.reader.readuntil(b"\r\n\r\n"), 5)
            connected.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.wait_for(stopped.wait(), 30)
            return sum(taken), gate.peak_rss_bytes() - before

    ahead, growth = asyncio.run(main())
    # What is ahead stands in the gateway's two socket buffers in the kernel, and 64 KiB in each of its own.
    assert ahead <= 12 * MIB
    assert growth <= 2 * MIB


def test_a_cut_stream_ends_with_one_error_event_and_no_last_chunk() -> None:
    async def script(call: Call) -> None:
        await call.send(SSE_HEAD + chunk(b'data: {"n": 1}\n\n'))
        call.reset()
        raise ConnectionError

    async def main() -> bytes:
        async with (
            upstream(script) as served,
            gateway(plain(served.url, kind="inference", read_model=False)) as gate,
            client(gate.port) as connected,
        ):
            await connected.send("POST", "/v1/chat/completions", b"{}")
            return await asyncio.wait_for(connected.reader.read(-1), 5)

    received = asyncio.run(main())
    assert received.count(b"HTTP/1.1 ") == 1
    body = received.partition(b"\r\n\r\n")[2]
    assert body.startswith(chunk(b'data: {"n": 1}\n\n'))
    assert body.count(b'"code":"truncated"') == 1
    assert not body.endswith(b"0\r\n\r\n")


def test_a_cut_download_is_reset_and_never_looks_whole() -> None:
    async def script(call: Call) -> None:
        await call.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"half")
        )
        call.reset()
        raise ConnectionError

    async def main() -> None:
        async with upstream(script) as served, gateway(plain(served.url)) as gate:
            answer = await fetch(gate.port)
            assert (answer.status, answer.is_whole) == (200, False)
            await gate.until(lambda: len(gate.log()) == 1)
            assert gate.log()[0]["error"] == "truncated"

    asyncio.run(main())


def test_an_upload_streams_while_the_client_still_sends() -> None:
    first_seen = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(5) == b"first"
        first_seen.set()
        assert await reader.readexactly(6) == b"second"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    async def main() -> int:
        async with (
            raw_server(serve) as port,
            gateway(plain(f"http://127.0.0.1:{port}")) as gate,
            client(gate.port) as connected,
        ):
            connected.writer.write(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nfirst")
            await asyncio.wait_for(first_seen.wait(), 5)
            connected.writer.write(b"second")
            return (await connected.answer("POST")).status

    assert asyncio.run(main()) == 200


def test_an_upstream_that_takes_nothing_stops_the_uploading_client() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(3600)

    async def main() -> tuple[int, int]:
        async with (
            raw_server(serve, limit=1024) as port,
            gateway(plain(f"http://127.0.0.1:{port}", body_limit=0), is_fresh=True) as gate,
            client(gate.port) as connected,
        ):
            before, sent = gate.rss_bytes(), 0
            connected.writer.write(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n")
            try:
                while sent < 96 * MIB:
                    connected.writer.write(b"x" * 65536)
                    async with asyncio.timeout(1.0):
                        await connected.writer.drain()
                    sent += 65536
            except TimeoutError:
                pass
            connected.writer.transport.abort()
            growth = gate.peak_rss_bytes() - before
        return sent, growth

    sent, growth = asyncio.run(main())
    assert sent <= 16 * MIB
    assert growth <= 4 * MIB


def test_half_an_event_is_never_passed_on_so_that_the_error_can_be_read() -> None:
    async def script(call: Call) -> None:
        await call.send(SSE_HEAD + chunk(b'data: {"n": 1}\n\n') + chunk(b'data: {"tok'))
        await asyncio.sleep(0)
        call.reset()
        raise ConnectionError

    async def main() -> bytes:
        async with (
            upstream(script) as served,
            gateway(plain(served.url, kind="inference", read_model=False)) as gate,
            client(gate.port) as connected,
        ):
            await connected.send("POST", "/v1/chat/completions", b"{}")
            return await asyncio.wait_for(connected.reader.read(-1), 5)

    received = asyncio.run(main())
    assert b'{"tok' not in received
    assert received.count(b'data: {"error"') == 1
