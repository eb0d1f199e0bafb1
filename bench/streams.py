"""Reads many streams at once, and every event of them.

    python -m bench.streams PORT STREAMS EVENTS

Each stream is asked for `EVENTS` events; each must come whole, once and in order, then the end. Prints a line of JSON.
A gap is the time between two reads of one stream that brought events: `largest_gap_ms` is the largest of all streams,
`num_gapped` the number of streams with one above `LONG_GAP_MS`.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import cast

import uvloop

from .clients import run_client
from .figures import InvalidRun, Load
from .works import EVENT_BYTES, EVENT_INTERVAL_S, LAST_EVENT, LONG_GAP_MS, post, stream_body

_GRACE_S = 60
_EVENT = re.compile(rb'data: .*"content":"(\d+) (\d+) \.*"')
_HEAD_END = b"\r\n\r\n"


async def run_streams(port: int, num_streams: int, seconds: int, cpu: int) -> Load:
    """Read streams through `port` for `seconds`, in a process of its own. Raises: InvalidRun for a wrong event."""
    num_events = round(seconds / EVENT_INTERVAL_S)
    arguments = ("bench.streams", str(port), str(num_streams), str(num_events))
    return await run_client(arguments, cpu, seconds + _GRACE_S)


async def read_streams(port: int, num_streams: int, num_events: int) -> Load:
    """Read all the streams; return how many events came, and how long each took. Raises: InvalidRun."""
    start_s = time.monotonic()
    readers = await asyncio.gather(*(_read_stream(port, number, num_events) for number in range(num_streams)))
    delays_ns = sorted(delay for reader in readers for delay in reader.delays_ns)
    gaps_ms = [reader.largest_gap_ns / 1e6 for reader in readers]
    return Load(
        units=len(delays_ns),
        duration_s=time.monotonic() - start_s,
        p50_ms=delays_ns[len(delays_ns) // 2] / 1e6,
        p99_ms=delays_ns[len(delays_ns) * 99 // 100] / 1e6,
        more={
            "largest_gap_ms": max(gaps_ms),
            "num_gapped": sum(gap > LONG_GAP_MS for gap in gaps_ms),
            "client_cpu_s": time.process_time(),
        },
    )


async def _read_stream(port: int, number: int, num_events: int) -> Stream:
    loop = asyncio.get_running_loop()
    request = post(number, stream_body(number, num_events))
    transport, reader = await loop.create_connection(lambda: Stream(number, request, num_events), "127.0.0.1", port)
    try:
        await reader.is_done
    finally:
        transport.close()
    return reader


class Stream(asyncio.Protocol):
    """One stream. The reads are plain, so that many streams fit on one core."""

    def __init__(self, number: int, request: bytes, num_events: int) -> None:
        self.delays_ns: list[int] = []
        self.largest_gap_ns = 0
        self.is_done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._number, self._request, self._num_events = number, request, num_events
        self._received, self._pending, self._end = b"", b"", b""
        self._is_begun = self._is_ended = False
        self._last_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        cast(asyncio.Transport, transport).write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        """Complain where it was too early."""
        self._finish(InvalidRun(f"stream {self._number} was cut: {exc or 'the connection ended'}"))

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        try:
            self.take(data, time.monotonic_ns())
        except InvalidRun as error:
            self._finish(error)

    def take(self, data: bytes, now_ns: int) -> None:
        """Take what came at `now_ns`. Raises: InvalidRun where it is not what was due."""
        self._received += data
        if not self._is_begun:
            head, found, rest = self._received.partition(_HEAD_END)
            if not found:
                return
            if (
                not head.startswith(b"HTTP/1.1 200 ")
                or b"\r\ntransfer-encoding: chunked\r\n" not in head.lower() + b"\r\n"
            ):
                raise InvalidRun(f"expected 200 and chunks, got {head[:200]!r}")
            self._is_begun, self._received = True, rest
        num_before = len(self.delays_ns)
        for chunk in self._chunks():
            self._take_events(chunk, now_ns)
        if len(self.delays_ns) > num_before:
            if self._last_ns:
                self.largest_gap_ns = max(self.largest_gap_ns, now_ns - self._last_ns)
            self._last_ns = now_ns
        if self._is_ended:
            self._check_end()

    def _chunks(self) -> Iterator[bytes]:
        """Yield what the chunks hold that are whole."""
        received, at = self._received, 0
        while (line_end := received.find(b"\r\n", at)) >= 0:
            size, begin = int(received[at:line_end], 16), line_end + 2
            if len(received) < begin + size + 2:
                break
            at = begin + size + 2
            self._is_ended = size == 0
            yield received[begin : begin + size]
        self._received = received[at:]

    def _take_events(self, chunk: bytes, now_ns: int) -> None:
        *events, self._pending = (self._pending + chunk).split(b"\n\n")
        for event in events:
            if event.startswith(b":"):  # a comment of the proxy's
                continue
            if len(self.delays_ns) < self._num_events:
                self.delays_ns.append(now_ns - _sent_ns(event, len(self.delays_ns) + 1))
            else:
                self._end += event + b"\n\n"

    def _check_end(self) -> None:
        num, end = len(self.delays_ns), self._end + self._pending
        if end != LAST_EVENT or num != self._num_events:
            raise InvalidRun(f"expected {self._num_events} events and an end, got {num} and {end!r:.200}")
        self._finish(None)

    def _finish(self, error: InvalidRun | None) -> None:
        if self.is_done.done():
            return
        if error is None:
            self.is_done.set_result(None)
        else:
            self.is_done.set_exception(error)


def _sent_ns(event: bytes, number: int) -> int:
    found = _EVENT.match(event)
    if found is None or int(found[1]) != number or len(event) + 2 != EVENT_BYTES:
        raise InvalidRun(f"expected event {number} of {EVENT_BYTES} bytes, got {event[:200]!r}")
    return int(found[2])


def _main() -> int:
    port, num_streams, num_events = (int(argument) for argument in sys.argv[1:])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        load = runner.run(read_streams(port, num_streams, num_events))
    print(json.dumps(asdict(load)))
    return 0


if __name__ == "__main__":
    sys.exit(_main())
