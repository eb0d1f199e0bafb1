"""A client that leaves takes its upstream with it, at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from ...http_client import client, fetch
from ...running import gateway, plain
from ...upstream import Call, Upstream, raw_server, upstream
from .completions import begin, chunks, events

BOUND_S = 0.100
NUM = 200  # for each way


@dataclass
class Visit:
    """One exchange whose client leaves: when the calls for it were closed. `begun`: they wait for the client."""

    num_calls: int
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    num_begun: int = 0
    closed_at: list[float] = field(default_factory=list)

    async def wait(self, call: Call) -> None:
        """Stay until the gateway closes the connection."""
        self.num_begun += 1
        if self.num_begun == self.num_calls:
            self.begun.set()
        await call.gone()
        self.closed_at.append(time.monotonic())
        if len(self.closed_at) == self.num_calls:
            self.closed.set()
        raise ConnectionError("gone")


async def wait(visit: Visit, call: Call) -> None:
    await visit.wait(call)


async def stream(visit: Visit, call: Call) -> None:
    await begin(call)
    await chunks(call, events()[:1])
    await visit.wait(call)


async def resume(visit: Visit, call: Call) -> None:
    """Break off, and wait once asked for the rest."""
    if b"headgate_resume" in call.body:
        await visit.wait(call)
    await begin(call, "x-headgate-numerics: n1")
    await chunks(call, events(is_marked=True)[:1])
    call.reset()
    raise ConnectionError("cut")


WAYS: dict[str, tuple[Callable[[Visit, Call], Awaitable[None]], int, bytes, dict[str, Any]]] = {
    "waiting": (wait, 1, b"", {}),
    "streaming": (stream, 1, events()[0], {}),
    "hedging": (wait, 2, b"", {"hedge": {"after": "10ms"}}),
    "holding back": (stream, 1, b"", {"hold_back": "complete"}),
    "resuming": (resume, 1, events(is_marked=True)[0], {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_upstream_is_closed_within_100_ms_of_the_client_leaving(way: str) -> None:
    """Every attempt of the exchange is: where it is hedged, both."""
    play, num_calls, seen, route = WAYS[way]
    visits: dict[str, Visit] = {}

    async def script(call: Call) -> None:
        await play(visits[call.line.split()[1]], call)

    async def leave(port: int, name: str) -> float:
        visit = visits[name] = Visit(num_calls)
        async with client(port) as connected:
            await connected.send("POST", name, b'{"stream": true}')
            if seen:
                await connected.reader.readuntil(seen)
            await asyncio.wait_for(visit.begun.wait(), 5)
            left_at = time.monotonic()
        await asyncio.wait_for(visit.closed.wait(), 5)
        return max(visit.closed_at) - left_at

    async def main() -> list[float]:
        async with upstream(script) as served, gateway(loose(served.url, **route)) as gate:
            delays = [await leave(gate.port, f"/{number}") for number in range(NUM)]
            await gate.until(lambda: len(gate.log()) == NUM)
            assert all(line["client_gone"] and line["error"] == "client_gone" for line in gate.log())
            return delays

    delays = asyncio.run(main())
    late = [delay for delay in delays if delay > BOUND_S]
    assert len(delays) == NUM
    assert not late, f"{len(late)} of {len(delays)} upstreams were closed late, the latest after {max(delays):.3f} s"


def test_no_attempt_begins_after_the_client_left_in_a_pause() -> None:
    async def busy(call: Call) -> None:
        await call.answer(b"", "429 Too Many Requests", "Retry-After: 1")

    async def leave(port: int, served: Upstream, name: str) -> None:
        async with client(port) as connected:
            await connected.send("POST", name, b"{}")
            await served.until(lambda: any(call.line.split()[1] == name for call in served.calls))

    async def main() -> list[str]:
        async with upstream(busy) as served, gateway(loose(served.url)) as gate:
            await asyncio.gather(*(leave(gate.port, served, f"/{number}") for number in range(NUM)))
            await gate.until(lambda: len(gate.log()) == NUM)
            assert all(line["error"] == "client_gone" and line["attempts"] == 1 for line in gate.log())
            # One that stays has its second attempt after the time of all others has come.
            await fetch(gate.port, "POST", "/stays", b"{}")
            return [call.line.split()[1] for call in served.calls]

    names = asyncio.run(main())
    assert sorted(names) == sorted([*(f"/{number}" for number in range(NUM)), "/stays", "/stays"])


def loose(url: str, **route: Any) -> dict[str, Any]:
    """A configuration in which nothing but the client ends an exchange, and hedges are never denied."""
    config = plain(url, kind="inference", **route)
    config["clusters"]["t0"] |= {"breaker": {"failures": 1000}, "retry_budget": {"floor": 10_000, "window": "1000s"}}
    return config | {"access_log": "-"}


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
