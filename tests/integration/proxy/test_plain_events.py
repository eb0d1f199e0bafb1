"""Events that tell nothing new are passed on as they came, between others that are looked at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ...http_client import Client, client
from ...running import RunningGateway, gateway, plain
from ...upstream import Call, Script, upstream
from .completions import DONE, PATH, ROLE, begin, event, last

ASKED = b'{"stream": true}'
COUNTED = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9}}\n\n'


def chunk(*events: bytes) -> bytes:
    """Return a chunk whose size is written as nobody here would write it."""
    data = b"".join(events)
    return b"000%X\r\n%b\r\n" % (len(data), data)


@asynccontextmanager
async def warm(script: Script) -> AsyncIterator[tuple[RunningGateway, Client]]:
    """Run a gateway with a connection to its target, and one of a client."""

    async def play(call: Call) -> None:
        await (script(call) if call.body == ASKED else call.answer())

    async with upstream(play) as one:
        config = plain(one.url, kind="inference", read_model=False) | {"access_log": "-"}
        async with gateway(config) as gate, client(gate.port) as connected:
            await connected.send("POST", PATH, b"{}")
            await connected.answer()
            yield gate, connected


async def logged(gate: RunningGateway) -> dict[str, Any]:
    await gate.until(lambda: len(gate.log()) == 2)
    return gate.log()[1]


def test_chunks_of_plain_events_keep_their_framing_between_others() -> None:
    read = asyncio.Event()
    half = event(5, "half")
    sent = [
        chunk(ROLE) + chunk(event(1, "a")),
        chunk(event(2, "b")),
        chunk(event(3, "c"), event(4, "d")) + chunk(event(4, "e")),
        chunk(b": ping\n\n"),
        chunk(event(4, "f")),
        chunk(half[:20]),
        chunk(half[20:]),
        chunk(event(6, "g")),
        chunk(event(6, "h"))[:-20],
        chunk(event(6, "h"))[-20:],
        chunk(event(7, "i")),
        chunk(last(8)),
        chunk(COUNTED),
        chunk(DONE) + b"0\r\n\r\n",
    ]
    kept = [1, 2, 4, 7, 10]

    async def script(call: Call) -> None:
        await begin(call)
        for piece in sent:
            await call.send(piece)
            await read.wait()
            read.clear()

    async def main() -> tuple[bytes, dict[str, Any]]:
        async with warm(script) as (gate, connected):
            await connected.send("POST", PATH, ASKED)
            await connected.head()
            body = b""
            for number in range(len(sent)):
                # of half an event or chunk nothing is passed on
                if number not in (5, 8):
                    body += await asyncio.wait_for(connected.reader.read(65536), 5)
                else:
                    await asyncio.sleep(0.1)  # what the target does: it pauses
                read.set()
            return body, await logged(gate)

    body, line = asyncio.run(main())
    assert [number for number, piece in enumerate(sent) if piece[:3] == b"000" and piece in body] == kept
    events = [ROLE, *(event(*each) for each in zip((1, 2, 3, 4, 4), "abcde", strict=True)), b": ping\n\n"]
    events += [
        event(4, "f"),
        half,
        *(event(*each) for each in zip((6, 6, 7), "ghi", strict=True)),
        last(8),
        COUNTED,
        DONE,
    ]
    assert body.endswith(b"0\r\n\r\n")
    assert unchunked(body) == b"".join(events)
    assert (line["status"], line["error"], line["sent_bytes"]) == (200, None, len(b"".join(events)))
    assert (line["prompt_tokens"], line["completion_tokens"]) == (3, 9)


def unchunked(body: bytes) -> bytes:
    data = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        data, body = data + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return data


@pytest.mark.parametrize("is_reset", (True, False))
def test_a_break_after_plain_events_can_be_seen(is_reset: bool) -> None:
    read = asyncio.Event()

    async def script(call: Call) -> None:
        await begin(call)
        for piece in (chunk(ROLE) + chunk(event(1, "a")), chunk(event(2, "b"))):
            await call.send(piece)
            await read.wait()
            read.clear()
        if not is_reset:
            await call.send(b"no size\r\n")
        call.reset()
        raise ConnectionError

    async def main() -> tuple[bytes, dict[str, Any]]:
        async with warm(script) as (gate, connected):
            await connected.send("POST", PATH, ASKED)
            await connected.head()
            for _ in range(2):
                await asyncio.wait_for(connected.reader.read(65536), 5)
                read.set()
            rest = await asyncio.wait_for(connected.reader.read(), 5)
            return rest, await logged(gate)

    rest, line = asyncio.run(main())
    assert json.loads(unchunked(rest).partition(b"data: ")[2])["error"]
    assert b"\r\n0\r\n" not in rest
    assert (line["status"], line["error"] is None) == (200, False)


def test_a_client_that_reads_nothing_stops_plain_events() -> None:
    piece, most = chunk(event(1, "x" * 60_000)), 1000
    stopped, num_sent = asyncio.Event(), 0

    async def script(call: Call) -> None:
        nonlocal num_sent
        await begin(call)
        await call.send(chunk(ROLE) + chunk(event(1, "a")))
        while num_sent < most and not stopped.is_set():
            call.writer.write(piece)
            num_sent += 1
            try:
                async with asyncio.timeout(1.0):
                    await call.writer.drain()
            except TimeoutError:
                stopped.set()
        await call.writer.drain()
        await call.send(chunk(last(8)) + chunk(DONE) + b"0\r\n\r\n")

    async def main() -> tuple[bytes, dict[str, Any]]:
        async with warm(script) as (gate, connected):
            await connected.send("POST", PATH, ASKED)
            await connected.head()
            await asyncio.wait_for(stopped.wait(), 20)
            body = b""
            while not body.endswith(b"\r\n0\r\n\r\n"):
                body += await connected.reader.read(1 << 20)
            return body, await logged(gate)

    body, line = asyncio.run(main())
    assert num_sent < most
    assert unchunked(body).count(event(1, "x" * 60_000)) == num_sent
    assert (line["error"], line["failures"]) == (None, [])
