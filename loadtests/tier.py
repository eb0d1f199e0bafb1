"""A tier of models with so many slots and so long a queue, and not more: behind it a load has a limit to find.

    python -m loadtests.tier --slots 8 --queue 16 --service 50ms

`POST /v1/chat/completions` takes a slot for the service time; who finds none waits, and who finds the queue full gets
the status that was given. `GET /pages/NAME` is an answer that may be cached, `GET /files/big` a large one.
`GET /state` tells what is going on; it takes no slot and is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections import deque
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import cast

import orjson
import uvloop

from headgate.proxy.config.units import parse_duration

TOKENS = 10
BIG_BYTES = 24 << 20
PAGE_BYTES = 4096
_PIECE = b"." * (64 << 10)
_MAX_HEAD_BYTES = 16 << 10
_HEAD_END = b"\r\n\r\n"
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_FULL = b'{"error":{"message":"no slot","type":"overloaded_error","code":"busy"}}'
_USAGE = {"prompt_tokens": 9, "completion_tokens": TOKENS, "total_tokens": 9 + TOKENS}


@dataclass(slots=True)
class State:
    """What is going on. `busy_s` and `waiting_s` are slots and waiters summed over time, up to `at_s`."""

    slots: int
    received: int = 0
    served: int = 0
    refused: int = 0
    abandoned: int = 0
    in_use: int = 0
    waiting: int = 0
    busy_s: float = 0.0
    waiting_s: float = 0.0
    at_s: float = 0.0

    def pass_time(self, now_s: float) -> None:
        """Add up what was in use since the last change."""
        self.busy_s += self.in_use * (now_s - self.at_s)
        self.waiting_s += self.waiting * (now_s - self.at_s)
        self.at_s = now_s


@dataclass(slots=True)
class Slots:
    """The slots of the tier, and who waits for one, at most `queue`."""

    state: State
    queue: int
    service_s: float
    busy_status: int = 429
    waiters: deque[asyncio.Future[None]] = field(default_factory=deque)

    async def take(self) -> bool:
        """Take a slot; False where there is none and the queue is full."""
        loop = asyncio.get_running_loop()
        self.state.pass_time(loop.time())
        if self.state.in_use < self.state.slots:
            self.state.in_use += 1
            return True
        if self.state.waiting >= self.queue:
            return False
        waiter = loop.create_future()
        self.waiters.append(waiter)
        self.state.waiting += 1
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.give_back()
            elif waiter in self.waiters:
                self.waiters.remove(waiter)
                self.state.pass_time(loop.time())
                self.state.waiting -= 1
            raise
        return True

    def give_back(self) -> None:
        """Give a slot to who waits longest, or back."""
        self.state.pass_time(asyncio.get_running_loop().time())
        while self.waiters:
            waiter = self.waiters.popleft()
            self.state.waiting -= 1
            if not waiter.done():
                waiter.set_result(None)
                return
        self.state.in_use -= 1


class TierProtocol(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, name: str, slots: Slots) -> None:
        self._name = name
        self._slots = slots
        self._received = b""
        self._task: asyncio.Task[None] | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what nobody waits for any more."""
        if self._task is not None and self._task.cancel():
            self._slots.state.abandoned += 1

    def pause_writing(self) -> None:
        """Write no more for now."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """Go on."""
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        """Take what came, and begin the next request if it is whole."""
        self._received += data
        self._next()

    def _next(self) -> None:
        if self._task is not None:
            return
        head, found, rest = self._received.partition(_HEAD_END)
        length = _length(head)
        if not found or len(rest) < length:
            if len(head) > _MAX_HEAD_BYTES:
                self._transport.abort()
            return
        body, self._received = rest[:length], rest[length:]
        self._task = asyncio.get_running_loop().create_task(self._answer(head, body))
        self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled():
            task.result()
            self._next()

    async def _answer(self, head: bytes, body: bytes) -> None:
        state = self._slots.state
        if head.startswith(b"GET /state "):
            state.pass_time(asyncio.get_running_loop().time())
            return self._write(200, orjson.dumps(asdict(state)))
        state.received += 1
        if head.startswith(b"GET /files/big "):
            return await self._big()
        if head.startswith(b"GET /pages/"):
            return self._write(200, b"." * PAGE_BYTES, b"Cache-Control: public, max-age=5\r\n")
        if not await self._slots.take():
            state.refused += 1
            return self._write(self._slots.busy_status, _FULL)
        try:
            asked = orjson.loads(body)
            await (self._stream() if asked.get("stream") else self._whole())
            state.served += 1
        finally:
            self._slots.give_back()

    async def _whole(self) -> None:
        await asyncio.sleep(self._slots.service_s)
        message = {"role": "assistant", "content": " ".join(map(str, range(TOKENS)))}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self._write(200, orjson.dumps({"model": self._name, "choices": [choice], "usage": _USAGE}))

    async def _stream(self) -> None:
        """Send the tokens evenly over the service time."""
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        for number in range(TOKENS):
            due_s = begun_s + (number + 1) * self._slots.service_s / TOKENS
            await asyncio.sleep(due_s - loop.time())
            head = _STREAM_HEAD if not number else b""
            self._transport.write(head + _chunk(_event({"content": f"{number} "}, None)))
        self._transport.write(_chunk(_event({}, "stop") + b"data: [DONE]\n\n") + b"0\r\n\r\n")

    async def _big(self) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: %d\r\n\r\n" % BIG_BYTES)
        for _ in range(BIG_BYTES // len(_PIECE)):
            await self._may_write.wait()
            self._transport.write(_PIECE)

    def _write(self, status: int, body: bytes, fields: bytes = b"") -> None:
        head = b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"
        self._transport.write(head % (status, HTTPStatus(status).phrase.encode(), fields, len(body)) + body)


def _event(delta: dict[str, str], finish_reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: " + orjson.dumps({"object": "chat.completion.chunk", "choices": [choice]}) + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _length(head: bytes) -> int:
    at = head.lower().find(b"\r\ncontent-length:")
    return int(head[at + 17 :].partition(b"\r\n")[0]) if at >= 0 else 0


async def serve(name: str, slots: Slots, port: int) -> asyncio.Server:
    """Listen on loopback."""
    loop = asyncio.get_running_loop()
    slots.state.at_s = loop.time()
    return await loop.create_server(lambda: TierProtocol(name, slots), "127.0.0.1", port, backlog=1024)


async def _main(options: argparse.Namespace) -> None:
    slots = Slots(State(options.slots), options.queue, parse_duration(options.service), options.busy)
    server = await serve(options.name, slots, options.port)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await stop.wait()
    server.close()


def main() -> int:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.tier", description="a tier with a limit")
    parser.add_argument("--name", default="heavy", help="of the model (default %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--slots", type=int, default=8, help="requests served at once (default %(default)s)")
    parser.add_argument("--queue", type=int, default=16, help="requests that wait for a slot (default %(default)s)")
    parser.add_argument("--busy", type=int, default=429, help="status of a full queue (default %(default)s)")
    parser.add_argument("--service", default="50ms", help="time in a slot (default %(default)s)")
    uvloop.run(_main(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
