"""A client that leaves takes its upstream with it, at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

from ...http_client import client
from ...running import gateway, plain
from ...upstream import Call, raw_server, upstream

BOUND_S = 0.100
NUM_EACH = 100


def test_upstream_is_closed_within_100_ms_of_the_client_leaving() -> None:
    closed_at: dict[str, asyncio.Future[float]] = {}
    begun: dict[str, asyncio.Event] = {}

    async def script(call: Call) -> None:
        name = call.line.split()[1]
        if "stream" in name:
            await call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            await call.send(b'f\r\ndata: {"n":1}\n\n\r\n')
        begun[name].set()
        await call.gone()
        closed_at[name].set_result(time.monotonic())
        raise ConnectionError("gone")

    async def leave(port: int, name: str, *, is_streaming: bool) -> float:
        begun[name], closed_at[name] = asyncio.Event(), asyncio.get_running_loop().create_future()
        async with client(port) as connected:
            await connected.send("POST", name, b'{"stream": true}')
            if is_streaming:
                await connected.reader.readuntil(b'data: {"n":1}\n\n')
            await asyncio.wait_for(begun[name].wait(), 5)
            left_at = time.monotonic()
        return await asyncio.wait_for(closed_at[name], 5) - left_at

    async def main() -> list[float]:
        async with upstream(script) as served, gateway(plain(served.url, kind="inference", read_model=False)) as gate:
            delays = []
            for number in range(NUM_EACH):
                delays.append(await leave(gate.port, f"/wait/{number}", is_streaming=False))
                delays.append(await leave(gate.port, f"/stream/{number}", is_streaming=True))
            await gate.until(lambda: len(gate.log()) == 2 * NUM_EACH)
            assert all(line["client_gone"] and line["error"] == "client_gone" for line in gate.log())
            return delays

    delays = asyncio.run(main())
    late = [delay for delay in delays if delay > BOUND_S]
    assert len(delays) == 2 * NUM_EACH
    assert not late, f"{len(late)} of {len(delays)} upstreams were closed late, the latest after {max(delays):.3f} s"


def test_a_client_that_leaves_an_upload_nobody_takes_is_noticed() -> None:
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await stuck.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        try:
            while await reader.read(1 << 20):
                pass
        except ConnectionError:
            pass
        closed.set()

    stuck = asyncio.Event()

    async def main() -> None:
        async with (
            raw_server(serve, limit=1024) as port,
            gateway(plain(f"http://127.0.0.1:{port}", body_limit=0)) as gate,
            client(gate.port) as connected,
        ):
            connected.writer.write(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n")
            with contextlib.suppress(TimeoutError):
                while True:
                    connected.writer.write(b"x" * 65536)
                    async with asyncio.timeout(0.5):
                        await connected.writer.drain()
            raw = connected.writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            connected.writer.transport.abort()  # a reset: an end behind bytes that nobody takes cannot be seen
            await gate.until(lambda: gate.log(), 5)  # the upstream still takes nothing: only the client tells us
            assert gate.log()[0]["error"] == "client_gone"
            stuck.set()
            await asyncio.wait_for(closed.wait(), 5)

    asyncio.run(main())
