"""Reads many streams at once, and every event of them.

    python -m bench.streams PORT EVENTS

Each stream is asked for `EVENTS` events; each must come whole, once and in order, then the end. Prints a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from pathlib import Path

import uvloop

from .figures import InvalidRun, Load
from .processes import pinned
from .works import EVENT_BYTES, EVENT_INTERVAL_S, LAST_EVENT, NUM_STREAMS, post, stream_body

_GRACE_S = 30
_ROOT = Path(__file__).resolve().parents[1]
_EVENT = re.compile(rb'data: .*"content":"(\d+) (\d+) \.*"')


async def run_streams(port: int, seconds: int, cpu: int) -> Load:
    """Read streams through `port` for `seconds`, in a process of its own. Raises: InvalidRun for a wrong event."""
    num_events = round(seconds / EVENT_INTERVAL_S)
    with pinned(cpu):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.streams", str(port), str(num_events)),
            cwd=_ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    try:
        async with asyncio.timeout(seconds + _GRACE_S):
            output, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise InvalidRun(f"a stream was not as it should be: {last}")
    return Load(**json.loads(output))


async def read_streams(port: int, num_streams: int, num_events: int) -> Load:
    """Read all the streams; return how many events came, and how long each took. Raises: InvalidRun."""
    start_s = time.monotonic()
    read = (_read_stream(port, number, num_events) for number in range(num_streams))
    delays_ns = sorted(delay for stream in await asyncio.gather(*read) for delay in stream)
    return Load(
        units=len(delays_ns),
        duration_s=time.monotonic() - start_s,
        p50_ms=delays_ns[len(delays_ns) // 2] / 1e6,
        p99_ms=delays_ns[len(delays_ns) * 99 // 100] / 1e6,
    )


async def _read_stream(port: int, number: int, num_events: int) -> list[int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(post(number, stream_body(number, num_events)))
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 ") or b"\r\ntransfer-encoding: chunked\r\n" not in head.lower():
            raise InvalidRun(f"expected 200 and chunks, got {head[:200]!r}")
        return await _read_events(reader, num_events)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise InvalidRun(f"stream {number} was cut: {error}") from None
    finally:
        writer.close()


async def _read_events(reader: asyncio.StreamReader, num_events: int) -> list[int]:
    """Return the delay of each event in nanoseconds."""
    delays_ns: list[int] = []
    pending, end = b"", b""
    while (size := int(await reader.readuntil(b"\r\n"), 16)) > 0:
        pending += (await reader.readexactly(size + 2))[:-2]
        *events, pending = pending.split(b"\n\n")
        now_ns = time.monotonic_ns()
        for event in events:
            if event.startswith(b":"):  # a comment of the proxy's
                continue
            if len(delays_ns) < num_events:
                delays_ns.append(now_ns - _sent_ns(event, len(delays_ns) + 1))
            else:
                end += event + b"\n\n"
    if end + pending != LAST_EVENT or len(delays_ns) != num_events:
        raise InvalidRun(f"expected {num_events} events and an end, got {len(delays_ns)} and {end + pending!r:.200}")
    return delays_ns


def _sent_ns(event: bytes, number: int) -> int:
    found = _EVENT.match(event)
    if found is None or int(found[1]) != number or len(event) + 2 != EVENT_BYTES:
        raise InvalidRun(f"expected event {number} of {EVENT_BYTES} bytes, got {event[:200]!r}")
    return int(found[2])


def _main() -> int:
    port, num_events = (int(argument) for argument in sys.argv[1:])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        load = runner.run(read_streams(port, NUM_STREAMS, num_events))
    parts = {name: getattr(load, name) for name in Load.__slots__}
    print(json.dumps(parts))
    return 0


if __name__ == "__main__":
    sys.exit(_main())
