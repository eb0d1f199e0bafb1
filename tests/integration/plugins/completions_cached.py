"""A gateway with `completion_cache`, and a service that answers as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from ...http_client import Client, client
from ...running import WAIT_S, WAYS, RunningGateway, gateway
from ...unit.plugins.completion_cache.answers import chat, stream
from ...upstream import Call

both_ways = pytest.mark.parametrize("way", ["lane", "reference"])


CHAT = "/v1/chat/completions"


PEPPER = "a pepper of the tests"


MESSAGES: Any = [{"role": "user", "content": "hi"}]


WHOLE = b"".join(stream())


def asking(**more: Any) -> bytes:
    return json.dumps({"model": "m", "temperature": 0, "messages": MESSAGES, **more}).encode()


STREAMED = asking(stream=True)


@contextlib.asynccontextmanager
async def cached(*urls: str, **more: Any) -> AsyncIterator[RunningGateway]:
    options = {"enabled": True, **more.pop("options", {})}
    environment: Any = {
        "PEPPER": PEPPER,
        **WAYS[more.pop("way", "lane")],
    }
    config = {
        "listeners": [{"address": "127.0.0.1:0"}],
        "clusters": {f"t{place}": {"endpoints": [url]} for place, url in enumerate(urls)},
        "plugins": {"completion_cache": more.pop("cache", {}), **more.pop("plugins", {})},
        "stages": {"cache": ["completion_cache"], "response_head": ["completion_cache"], **more.pop("stages", {})},
        "admin": {"address": "127.0.0.1:0"},
        "drain": more.pop("drain", "30s"),
        "routes": [
            {
                "name": "chat",
                "match": {"path": CHAT},
                "kind": "inference",
                "targets": [f"t{place}" for place in range(len(urls))],
                "plugins": {"completion_cache": options},
                **more,
            }
        ],
    }
    async with gateway(config, **environment) as gate:
        yield gate


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


END = b"0\r\n\r\n"


async def answer(call: Call) -> None:
    """Answer as a service does: a stream where one is asked for."""
    if json.loads(call.body).get("stream"):
        usage = bool(json.loads(call.body).get("stream_options"))
        await call.send(HEAD + chunked(*stream(has_usage=usage)) + END)
    else:
        await call.answer(chat(), "200 OK", "Content-Type: application/json")


class Steps:
    """A stream that goes on as the test says."""

    def __init__(self, pieces: Sequence[bytes] = stream()) -> None:
        self.pieces = pieces
        self.gates = [asyncio.Event() for _ in pieces]
        self.gone = asyncio.Event()

    async def __call__(self, call: Call) -> None:
        await call.send(HEAD)
        watch = asyncio.create_task(self._watch(call))
        for piece, gate in zip(self.pieces, self.gates, strict=True):
            await gate.wait()
            await call.send(chunked(piece))
        await call.send(END)
        watch.cancel()

    async def _watch(self, call: Call) -> None:
        await call.gone()
        self.gone.set()

    def go(self, number: int | None = None) -> None:
        for gate in self.gates[:number]:
            gate.set()


async def until_events(one: Client, number: int) -> bytes:
    """Read a head and so many events of a stream."""
    async with asyncio.timeout(WAIT_S):
        _, head = await one.head()
        assert b"chunked" in head.lower()
        body = b""
        while body.count(b"\n\n") < number:
            size = int(await one.reader.readuntil(b"\r\n"), 16)
            body += (await one.reader.readexactly(size + 2))[:-2]
    return body


async def until_told(gate: RunningGateway, *, followers: int = 0, gone: int = 0) -> None:
    """Wait until the gateway's metrics tell of so many requests that follow, and fetches without their client."""
    wanted = [f'headgate_completion_cache_flights{{plugin="completion_cache",client="gone"}} {gone}']
    if followers:
        wanted.append(f'headgate_completion_cache_followers{{plugin="completion_cache"}} {followers}')
    async with asyncio.timeout(WAIT_S):
        while True:  # it can only be asked for
            lines = (await fetch_admin(gate)).splitlines()
            if all(line in lines for line in wanted):
                return
            await asyncio.sleep(0.01)


async def fetch_admin(gate: RunningGateway) -> str:
    async with client(gate.admin_port) as connected:
        connected.writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return (await connected.answer("GET")).body.decode()
