"""Tokens that a whole answer tells of are counted, in however many pieces it comes."""

from __future__ import annotations

import asyncio
import json

import pytest

from ...http_client import client
from ...running import gateway, plain
from ...upstream import Call, upstream
from .completions import PATH

BODY = b'{"id": "c", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 11}}'
LENGTH = f"Content-Length: {len(BODY)}".encode()
ASKED = json.dumps({"model": "m", "messages": []}).encode()


@pytest.mark.parametrize(
    ("media_type", "cuts", "found"),
    [
        (b"application/json", (len(BODY),), (7, 11)),
        (b"application/json", (0, len(BODY)), (7, 11)),
        (b"application/json", (1, 40, len(BODY) - 1, len(BODY)), (7, 11)),
        (b"Application/JSON; charset=utf-8", (len(BODY),), (7, 11)),
        (b"text/plain", (len(BODY),), (None, None)),
    ],
)
def test_usage_is_found_in_the_pieces_of_an_answer(
    media_type: bytes, cuts: tuple[int, ...], found: tuple[int | None, int | None]
) -> None:
    seen = asyncio.Semaphore(0)  # the client has what was sent: so the next piece comes by itself

    async def script(call: Call) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: " + media_type + b"\r\n" + LENGTH + b"\r\n\r\n"
        for begin, end in zip((0, *cuts), cuts, strict=False):
            await call.send(head + BODY[begin:end])
            head = b""
            if 0 < end < len(BODY):
                await seen.acquire()

    async def main() -> None:
        async with upstream(script) as service:
            config = plain(service.url, kind="inference")
            async with gateway(config) as gate, client(gate.port) as connected:
                await connected.send("POST", PATH, ASKED, "Content-Type: application/json")
                _, head = await connected.head()
                assert LENGTH in head
                got = b""
                while len(got) < len(BODY):
                    got += await connected.reader.read(1 << 16)
                    seen.release()
                assert got == BODY
            [line] = gate.log()
            assert (line["prompt_tokens"], line["completion_tokens"]) == found

    asyncio.run(main())
