"""The service behind every proxy: fixed answers, and a count of what reached it.

    python -m bench.origin

POST and GET get one JSON answer; that to a GET below `/tools/` may be kept by a cache. A POST to the chat path whose
body says `"stream": true` gets `max_tokens` events of `EVENT_BYTES` at a fixed pace, then an end. `GET /counts` tells
what came in, and `GET /ports` how many requests came from each port; neither counts itself.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from dataclasses import asdict, dataclass
from itertools import count
from typing import cast

import orjson
import uvloop

from .works import ANSWER, EVENT_BYTES, EVENT_INTERVAL_S, LAST_EVENT

_MAX_HEAD_BYTES = 16 << 10
_HEAD_END = b"\r\n\r\n"
_BACKLOG = 4096


def _answer(cache_control: bytes) -> bytes:
    fields = b"Content-Type: application/json\r\nCache-Control: %s\r\n" % cache_control
    return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (fields, len(ANSWER), ANSWER)


_ANSWER = _answer(b"no-store")
_KEPT_ANSWER = _answer(b"public, max-age=86400")
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_REFUSED = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_PHASES = 61  # streams that begin together do not tick together


@dataclass(slots=True)
class Counts:
    """What came in, whole."""

    requests: int = 0
    body_bytes: int = 0
    refused: int = 0


class OriginProtocol(asyncio.Protocol):
    """One connection. Requests have a length; anything else is refused and counted.

    `by_port` counts the requests from each port, also of those whose connection has ended.
    """

    _next_phase = count()

    def __init__(self, counts: Counts, by_port: dict[int, int]) -> None:
        self._counts = counts
        self._by_port = by_port
        self._port = 0
        self._head = b""
        self._body: list[bytes] = []
        self._due = 0
        self._received = b""
        self._ticker: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast(asyncio.Transport, transport)
        self._port = transport.get_extra_info("peername")[1]
        self._by_port.setdefault(self._port, 0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop a stream that nobody reads."""
        if self._ticker is not None:
            self._ticker.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        if self._due:
            data = self._take_body(data)
        self._received += data
        while not self._due and (end := self._received.find(_HEAD_END)) >= 0:
            self._head, rest = self._received[:end], self._received[end + 4 :]
            self._received = b""
            self._begin(rest)
        if not self._due and len(self._received) > _MAX_HEAD_BYTES:
            self._refuse()

    def _begin(self, rest: bytes) -> None:
        self._body = []
        if self._head.startswith(b"GET "):
            self._due = 0
        else:
            length = _length(self._head)
            if length is None:
                return self._refuse()
            self._due = length
        if self._due:
            self._received = self._take_body(rest)
        else:
            self._received = rest
            self._answer()

    def _take_body(self, data: bytes) -> bytes:
        """Take what belongs to the body and return the rest."""
        piece, rest = data[: self._due], data[self._due :]
        self._body.append(piece)
        self._due -= len(piece)
        if not self._due:
            self._answer()
        return rest

    def _answer(self) -> None:
        if self._head.startswith(b"GET /counts "):
            return self._tell(orjson.dumps(asdict(self._counts)))
        if self._head.startswith(b"GET /ports "):
            return self._tell(orjson.dumps(self._by_port, option=orjson.OPT_NON_STR_KEYS))
        body = b"".join(self._body)
        self._counts.requests += 1
        self._counts.body_bytes += len(body)
        self._by_port[self._port] += 1
        if b'"stream":true' not in body[:200]:
            self._transport.write(_KEPT_ANSWER if self._head.startswith(b"GET /tools/") else _ANSWER)
            return
        self._transport.write(_STREAM_HEAD)
        loop = asyncio.get_running_loop()
        first_s = loop.time() + EVENT_INTERVAL_S * (1 + next(self._next_phase) % _PHASES / _PHASES)
        self._tick(loop, 0, orjson.loads(body)["max_tokens"], first_s)

    def _tell(self, body: bytes) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def _tick(self, loop: asyncio.AbstractEventLoop, number: int, most: int, next_s: float) -> None:
        """Send event `number` (none at 0), and see to the next."""
        if number > most:
            self._transport.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(LAST_EVENT), LAST_EVENT))
            return
        if number:
            self._transport.write(b"%x\r\n%s\r\n" % (EVENT_BYTES, event(number, time.monotonic_ns())))
        self._ticker = loop.call_at(next_s, self._tick, loop, number + 1, most, next_s + EVENT_INTERVAL_S)

    def _refuse(self) -> None:
        self._counts.refused += 1
        self._transport.write(_REFUSED)
        self._transport.close()


def event(number: int, sent_ns: int) -> bytes:
    """Return one event of `EVENT_BYTES`, with its number and the instant it was sent at."""
    delta = b'{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"%d %d '
    text = b"data: " + delta % (number, sent_ns)
    end = b'"},"finish_reason":null}]}\n\n'
    return text + b"." * (EVENT_BYTES - len(text) - len(end)) + end


def _length(head: bytes) -> int | None:
    """Return the length of the body; None where the head does not say it."""
    at = head.lower().find(b"\r\ncontent-length:")
    if at < 0:
        return None
    return int(head[at + 17 :].partition(b"\r\n")[0])


async def serve(port: int = 0) -> tuple[asyncio.Server, int, Counts]:
    """Listen on loopback; return the server, its port and the counts."""
    counts, by_port = Counts(), dict[int, int]()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: OriginProtocol(counts, by_port), "127.0.0.1", port, backlog=_BACKLOG)
    return server, server.sockets[0].getsockname()[1], counts


async def _main() -> None:
    server, port, _ = await serve()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    print(f"listening on http://127.0.0.1:{port}", flush=True)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(_main()))
