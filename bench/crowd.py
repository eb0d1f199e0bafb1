"""Many connections at once.

    python -m bench.crowd burst PORT NUM    sends one large request over each of NUM, all together
    python -m bench.crowd small PORT NUM    sends one small request over each of NUM, some at a time
    python -m bench.crowd idle PORT NUM     sends one request over each of NUM, then holds them until its input ends

Every answer must be the right one, byte for byte, and no connection may end while it is held. Prints a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import islice
from typing import cast

import uvloop

from .figures import InvalidRun, Load
from .works import ANSWER, BURST, IDLE, POST

_AT_ONCE = 64  # connections that are opened at the same time
_END_OF_HEAD = b"\r\n\r\n"


class Caller(asyncio.Protocol):
    """One connection, for one request."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, request: bytes) -> None:
        """Send a request. `answered` is the instant at which its answer was whole."""
        if self.transport is not None:
            self.transport.write(request)

    def close(self) -> None:
        """End the connection."""
        if self.transport is not None:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Look at the answer once it is whole."""
        self._received += data
        head, found, body = self._received.partition(_END_OF_HEAD)
        if found and len(body) >= len(ANSWER) and not self.answered.done():
            if head.startswith(b"HTTP/1.1 200 ") and body == ANSWER:
                self.answered.set_result(time.monotonic())
            else:
                self.answered.set_exception(InvalidRun(f"a wrong answer: {self._received[:200]!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Complain where it was too early."""
        self.transport = None
        if not self.answered.done():
            cause = exc or repr(self._received[:200])
            self.answered.set_exception(InvalidRun(f"a connection ended without its answer: {cause}"))


async def burst(port: int, requests: Sequence[bytes]) -> Load:
    """Open a connection for each of `requests`, then send them all together. Raises: InvalidRun, OSError."""
    callers = await _connected(port, len(requests))
    start_s = time.monotonic()
    for caller, request in zip(callers, requests, strict=True):
        caller.ask(request)
    instants = await asyncio.gather(*(caller.answered for caller in callers))
    load = _load(start_s, [instant - start_s for instant in instants])
    for caller in callers:
        caller.close()
    return load


async def hold(port: int, requests: Iterable[bytes]) -> tuple[Load, list[Caller]]:
    """Send each of `requests` over a connection of its own, and keep them all. Raises: InvalidRun, OSError."""
    start_s = time.monotonic()
    callers: list[Caller] = []
    durations_s: list[float] = []
    todo = list(requests)
    for begin in range(0, len(todo), _AT_ONCE):
        some = todo[begin : begin + _AT_ONCE]
        new = await _connected(port, len(some))
        asked_s = time.monotonic()
        for caller, request in zip(new, some, strict=True):
            caller.ask(request)
        instants = await asyncio.gather(*(caller.answered for caller in new))
        durations_s += [instant - asked_s for instant in instants]
        callers += new
    return _load(start_s, durations_s), callers


def check_held(callers: Iterable[Caller]) -> None:
    """See that every connection is still there. Raises: InvalidRun."""
    num_lost = sum(caller.transport is None for caller in callers)
    if num_lost:
        raise InvalidRun(f"{num_lost} idle connections were ended")


async def _connected(port: int, num: int) -> list[Caller]:
    loop = asyncio.get_running_loop()
    callers: list[Caller] = []
    for begin in range(0, num, _AT_ONCE):
        some = min(_AT_ONCE, num - begin)
        made = await asyncio.gather(*(loop.create_connection(Caller, "127.0.0.1", port) for _ in range(some)))
        callers += [caller for _, caller in made]
    return callers


def _load(start_s: float, durations_s: list[float]) -> Load:
    durations_s.sort()
    return Load(
        units=len(durations_s),
        duration_s=time.monotonic() - start_s,
        p50_ms=durations_s[len(durations_s) // 2] * 1e3,
        p99_ms=durations_s[len(durations_s) * 99 // 100] * 1e3,
    )


async def _main(way: str, port: int, num: int) -> None:
    if way == "burst":
        print(json.dumps(asdict(await burst(port, list(islice(BURST.requests(), num))))))
        return
    requests = (IDLE if way == "idle" else POST).requests()
    load, callers = await hold(port, islice(requests, num))
    print(json.dumps(asdict(load)), flush=True)
    if way == "idle":
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    check_held(callers)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(sys.argv[1], *map(int, sys.argv[2:])))
