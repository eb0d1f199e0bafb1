"""One GiB up and one GiB down in bounded memory; what a flood took is given back."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from ...http_client import fetch
from ...running import RunningGateway, gateway, plain
from ...upstream import Call, raw_server, upstream

MIB = 1 << 20
WARM_UP, LOAD = 64 * MIB, 1024 * MIB
GROWTH = 2 * MIB
BLOCK = bytes(range(256)) * 1024
NUM_FLOOD, FLOOD_BODY = 300, b'{"model": "m", "x": "%b"}' % (b"x" * 150_000)


async def take_upload(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each upload with the number of bytes and a digest of them."""
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        left = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        digest, size = hashlib.blake2b(digest_size=16), 0
        while left:
            data = await reader.read(min(left, 1 << 18))
            left -= len(data)
            size += len(data)
            digest.update(data)
        body = f"{size} {digest.hexdigest()}".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()


async def give_download(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer `GET /SIZE` with that many bytes."""
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        size = int(head.split(b" ", 2)[1][1:])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(BLOCK)):
            writer.write(BLOCK)
            await writer.drain()


async def upload(port: int, size: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
    for _ in range(size // len(BLOCK)):
        writer.write(BLOCK)
        await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head
    body = await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
    writer.close()
    await writer.wait_closed()
    return body


async def download(port: int, size: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 18)
    writer.write(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % size)
    await reader.readuntil(b"\r\n\r\n")
    digest, left = hashlib.blake2b(digest_size=16), size
    while left:
        data = await reader.read(1 << 18)
        assert data, f"{left} bytes are missing"
        left -= len(data)
        digest.update(data)
    writer.close()
    await writer.wait_closed()
    return f"{size} {digest.hexdigest()}".encode()


def expected(size: int) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for _ in range(size // len(BLOCK)):
        digest.update(BLOCK)
    return f"{size} {digest.hexdigest()}".encode()


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("direction", ["upload", "download"])
def test_peak_memory_of_a_gib_is_at_most_2_mib_above_that_of_a_warm_up(direction: str) -> None:
    move, serve = (upload, take_upload) if direction == "upload" else (download, give_download)

    async def peak_of(gate: RunningGateway, size: int) -> int:
        gate.reset_peak()
        assert await move(gate.port, size) == expected(size)
        return gate.peak_rss_bytes()

    async def main() -> tuple[int, int]:
        async with (
            raw_server(serve, limit=1 << 18) as port,
            gateway(plain(f"http://127.0.0.1:{port}", body_limit=0), is_fresh=True) as gate,
        ):
            return await peak_of(gate, WARM_UP), await peak_of(gate, LOAD)

    warm, loaded = asyncio.run(main())
    assert loaded - warm <= GROWTH, f"{loaded / MIB:.1f} MiB after 1 GiB, {warm / MIB:.1f} MiB after 64 MiB"


def flooded(url: str) -> dict[str, Any]:
    config = plain(url, read_model=True)
    config["clusters"]["t0"]["pool"] = {"max_connections": NUM_FLOOD}
    return config


def test_a_flood_leaves_little_memory_behind() -> None:
    num_there, all_there = 0, asyncio.Event()

    async def script(call: Call) -> None:
        nonlocal num_there
        num_there += 1
        if num_there == NUM_FLOOD:
            all_there.set()
        await all_there.wait()
        await call.answer()

    async def main() -> tuple[int, int]:
        async with upstream(script) as served, gateway(flooded(served.url), is_fresh=True) as gate:
            before = gate.rss_bytes()
            answers = await asyncio.gather(*(fetch(gate.port, "POST", "/", FLOOD_BODY) for _ in range(NUM_FLOOD)))
            assert [answer.status for answer in answers] == [200] * NUM_FLOOD
            grown = gate.peak_rss_bytes() - before
            for _ in range(200):  # by itself: nothing more is asked of it
                if gate.rss_bytes() - before <= grown / 2:
                    break
                await asyncio.sleep(0.1)
            return grown, gate.rss_bytes() - before

    grown, left = asyncio.run(main())
    assert grown > NUM_FLOOD * len(FLOOD_BODY) * 0.9, "the bodies were not there at the same time"
    assert left <= grown / 2
