"""Streams in whatever pieces they come: what is passed on of them, and how they end when they break."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import zlib
from typing import Any

import pytest

from headgate.ext.http1 import ChunkScanner

from ...http_client import client
from ...running import gateway, plain
from ...upstream import Call, upstream
from .chunked import SSE_HEAD, chunk

PIECES = [
    *(chunk(b"one"), chunk(b"two") + chunk(b"three"), b"5\r\nfo", b"ur-\r\n" + chunk(b"five"), b"3;x=y\r\nsix\r\n"),
    *(chunk(b"7"), b"00", b"1\r", b"\n8", b"\r", b"\n", chunk(b"nine"), chunk(b"x" * 100_000)),
    *(chunk(b"ten") + b"1\r\n", b"1\r\n", chunk(b"last")),
]
EVENTS = [
    *(chunk(b"data: 1\n\n"), chunk(b"data: 2\n\n") + chunk(b"id: 3\ndata: 3\n\n"), chunk(b"data: 4"), chunk(b"\n\n")),
    *(chunk(b"data: 5\n\ndata: "), chunk(b"6\n\n"), chunk(b"data: 7\r\n\r\n"), b"9\r\ndata: ", b"8\n\n\r\n"),
    *(chunk(b": none\n"), chunk(b"\n"), chunk(b"data: %b\n\n" % (b"9" * 100_000)), chunk(b"data: 10\n\n")),
]
HALF = chunk(b"event: eleven\nda")
LINE = chunk(b"event: eleven") + chunk(b"\n")  # the last bytes look like the end of an event, with that of its chunk


@pytest.mark.parametrize("pieces", [PIECES, EVENTS])
@pytest.mark.parametrize("is_cut", [False, True])
@pytest.mark.parametrize("half", [HALF, LINE])
def test_chunks_are_passed_on_however_they_come(pieces: list[bytes], half: bytes, is_cut: bool) -> None:
    """Of events half of one is not passed on, unless it is the end."""
    is_sse = pieces is EVENTS
    head = SSE_HEAD if is_sse else SSE_HEAD.replace(b"event-stream", b"plain")
    wholes = [ChunkScanner().decode(b"".join(pieces[: number + 1]))[0] for number in range(len(pieces))]
    if is_sse:
        wholes = [whole[: max(whole.rfind(b"\n\n") + 2, whole.rfind(b"\r\n\r\n") + 4)] for whole in wholes]
    has_come = asyncio.Event()
    got = b""

    async def script(call: Call) -> None:
        await call.send(head)
        for piece, whole in zip(pieces, wholes, strict=True):
            await call.send(piece)
            while len(got) < len(whole):  # the client has all that it can have
                await has_come.wait()
                has_come.clear()
        await call.send(half)
        if is_cut:
            call.reset()
            raise ConnectionError
        await call.send(b"0\r\nX-Sum: 1\r\n\r\n")

    async def main() -> tuple[bool, dict[str, Any]]:
        nonlocal got
        scanner = ChunkScanner()
        async with upstream(script) as served, gateway(plain(served.url)) as gate, client(gate.port) as connected:
            await connected.send("GET", "/stream")
            await connected.head()
            with contextlib.suppress(ConnectionError):
                while not scanner.is_complete and (data := await connected.reader.read(1 << 16)):
                    got += scanner.decode(data)[0]
                    has_come.set()
            await gate.until(lambda: gate.log())
            return scanner.is_complete, gate.log()[0]

    is_whole, line = asyncio.run(main())
    assert got.startswith(wholes[-1])
    assert (is_whole, line["error"]) == ((False, "truncated") if is_cut else (True, None))
    rest = got[len(wholes[-1]) :]
    if is_cut and is_sse:
        assert rest.startswith(b"event: error\n") or rest.startswith(b"data: "), rest
        assert b"eleven" not in rest
        assert line["sent_bytes"] == len(wholes[-1])
    else:
        assert is_cut or rest == ChunkScanner().decode(half)[0]
        assert line["sent_bytes"] == len(got)


def test_a_coded_stream_passes_as_any_other_bytes_and_is_cut_as_such() -> None:
    coder = zlib.compressobj(wbits=31)
    pieces = [coder.compress(b"data: %d\n\n" % number) + coder.flush(zlib.Z_SYNC_FLUSH) for number in range(3)]
    read = asyncio.Semaphore(0)

    async def script(call: Call) -> None:
        await call.send(SSE_HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"))
        for piece in pieces:
            await call.send(chunk(piece))
            await read.acquire()
        call.reset()
        raise ConnectionError

    async def main() -> tuple[bytes, bool]:
        decoder, scanner, got = zlib.decompressobj(wbits=31), ChunkScanner(), b""
        async with upstream(script) as served, gateway(plain(served.url)) as gate, client(gate.port) as connected:
            await connected.send("GET", "/stream")
            await connected.head()
            with contextlib.suppress(ConnectionError):
                while data := await asyncio.wait_for(connected.reader.read(1 << 16), 5):
                    got += decoder.decompress(scanner.decode(data)[0])
                    if got.endswith(b"\n\n"):
                        read.release()
            return got, scanner.is_complete

    assert asyncio.run(main()) == (b"data: 0\n\ndata: 1\n\ndata: 2\n\n", False)


@pytest.mark.parametrize("commit", ["head", "first_event"])
@pytest.mark.parametrize("ending", ["reset", "drain"])
def test_no_error_event_follows_half_of_an_event_that_was_too_large_to_be_held(commit: str, ending: str) -> None:
    first, half = b"data: first\n\n", b"data: " + b"x" * (9 << 20)
    has_much = asyncio.Event()

    async def script(call: Call) -> None:
        await call.send(SSE_HEAD + chunk(first) + chunk(half))
        await has_much.wait()
        if ending == "reset":
            call.reset()
        else:
            await call.gone()
        raise ConnectionError

    async def main() -> tuple[bytes, bool, str]:
        scanner, got = ChunkScanner(), b""
        config = {**plain("", commit=commit), "drain": "200ms"}
        async with upstream(script) as served:
            config["clusters"]["t0"]["endpoints"] = [served.url]
            async with gateway(config) as gate, client(gate.port) as connected:
                await connected.send("GET", "/stream")
                await connected.head()
                with contextlib.suppress(ConnectionError):
                    while data := await asyncio.wait_for(connected.reader.read(1 << 20), 10):
                        got += scanner.decode(data)[0]
                        if len(got) > 8 << 20 and not has_much.is_set():
                            has_much.set()
                            if ending == "drain":
                                gate.signal(signal.SIGTERM)
                await gate.until(lambda: gate.log())
                return got, scanner.is_complete, gate.log()[0]["error"]

    got, is_complete, error = asyncio.run(main())
    assert (first + half).startswith(got)
    assert (is_complete, error) == (False, "draining" if ending == "drain" else "truncated")


def test_a_stream_that_the_route_calls_another_is_cut_as_that() -> None:
    sent = b"data: first\n\ndata: sec"

    async def script(call: Call) -> None:
        await call.send(SSE_HEAD + chunk(sent))
        call.writer.write_eof()  # in order: what was sent comes before the end
        raise ConnectionError

    async def main() -> tuple[bytes, bytes, bool]:
        scanner, got = ChunkScanner(), b""
        async with upstream(script) as served:
            config = plain(served.url, response_headers={"set": {"content-type": "text/plain"}})
            async with gateway(config) as gate, client(gate.port) as connected:
                await connected.send("GET", "/stream")
                _, head = await connected.head()
                with contextlib.suppress(ConnectionError):
                    while data := await asyncio.wait_for(connected.reader.read(1 << 16), 5):
                        got += scanner.decode(data)[0]
        return head, got, scanner.is_complete

    head, got, is_complete = asyncio.run(main())
    assert b"text/plain" in head and b"event-stream" not in head
    assert sent.startswith(got) and b"error" not in got  # a reset may overtake what was sent
    assert not is_complete
