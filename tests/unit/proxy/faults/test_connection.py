"""One connection on the virtual clock: what waits, ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from headgate.proxy.faults.connection import MAX_AHEAD_BYTES, Connection
from headgate.proxy.faults.incoming import Incoming
from headgate.proxy.faults.injector import Injector, Reply
from headgate.proxy.faults.journal import Peer
from headgate.proxy.faults.settings import Settings
from headgate.proxy.faults.spec import parse

from ....virtual_clock import run

HOLD_S = 600.0
STREAM = {"messages": [{"role": "user", "content": "hi"}], "stream": True}


class Wire(asyncio.Transport):
    """A transport that keeps what is written. While it is `full` nothing leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended: list[str] = []
        self.over = asyncio.Event()
        self.takes_more = True
        self.full_for: Connection | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended, "nothing is written after the end"
        self.written += bytes(data)
        if self.full_for is not None:
            self.full_for.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high == 0

    def pause_reading(self) -> None:
        self.takes_more = False

    def resume_reading(self) -> None:
        self.takes_more = True

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended.append("closed")
        self.over.set()

    def abort(self) -> None:
        self.ended.append("aborted")
        self.over.set()


class Stand:
    """A connection, and its host."""

    def __init__(self, *faults: str, room: bool = True) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time
        self.hold_s = HOLD_S
        self.injector = Injector(Settings(text="one two three"), [parse(fault) for fault in faults], loop.time)
        self.peer = Peer(1, 0.0)
        self.wire = Wire()
        self.connection = Connection(self, self.peer)
        self.room = room
        self.num_open = 0
        self.connection.connection_made(self.wire)

    def opened(self, connection: Connection) -> bool:
        self.num_open += 1
        return self.room

    def closed(self, connection: Connection) -> None:
        self.num_open -= 1

    def reply(self, request: Incoming, peer: Peer) -> Reply:
        return self.injector.reply(request, peer)

    def send(self, *fields: str, **members: Any) -> None:
        body = json.dumps({**STREAM, **members}).encode()
        lines = ["POST /v1/chat/completions HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *fields, "", ""]
        self.connection.data_received("\r\n".join(lines).encode() + body)

    async def ended_at(self, bound_s: float = 2 * HOLD_S) -> float:
        """Wait until the connection ends; return when."""
        async with asyncio.timeout(bound_s):
            await self.wire.over.wait()
        return self.now()

    @property
    def seen(self) -> dict[str, Any]:
        shown: Any = self.injector.journal.shown()["requests"]
        return dict(shown[-1])


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scene()

    run(main())


@pytest.mark.parametrize("fault", ["silence", "stall:1"])
def test_a_peer_that_stays_is_let_go_after_the_hold(fault: str) -> None:
    async def scene() -> None:
        stand = Stand(fault)
        stand.send()
        assert await stand.ended_at() == pytest.approx(HOLD_S)
        assert (stand.seen["done"], stand.peer.end) == ("held too long", "closed by us")

    play(scene)


def test_an_idle_connection_and_half_a_request_are_let_go_after_the_hold() -> None:
    async def scene() -> None:
        for part in (b"", b"GET /heal", b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"):
            begun_s = asyncio.get_running_loop().time()
            stand = Stand()
            if part:
                stand.connection.data_received(part)
            assert await stand.ended_at() - begun_s == pytest.approx(HOLD_S)
            assert stand.wire.written == b""

    play(scene)


def test_a_peer_that_reads_nothing_is_let_go_after_the_hold() -> None:
    async def scene() -> None:
        stand = Stand()
        stand.wire.full_for = stand.connection
        stand.send()
        assert await stand.ended_at() == pytest.approx(HOLD_S)
        assert stand.seen["done"] == "held too long"
        assert stand.wire.written.endswith(b"\r\n\r\n"), "nothing follows what could not leave"

    play(scene)


def test_what_was_held_back_goes_on_when_the_peer_reads() -> None:
    async def scene() -> None:
        stand = Stand()
        stand.wire.full_for = stand.connection
        stand.send("Connection: close")
        for _ in range(20):
            await asyncio.sleep(1)
            stand.connection.resume_writing()
        assert stand.wire.written.endswith(b"0\r\n\r\n")
        assert (stand.seen["done"], stand.wire.ended) == ("answered", ["closed"])

    play(scene)


def test_a_peer_that_sends_too_far_ahead_is_cut() -> None:
    async def scene() -> None:
        stand = Stand("stall:1")
        stand.send()
        await asyncio.sleep(1)
        stand.connection.data_received(b"x" * MAX_AHEAD_BYTES)
        await asyncio.sleep(1)
        assert not stand.wire.ended
        stand.connection.data_received(b"x")
        await asyncio.sleep(1)
        assert (stand.wire.ended, stand.peer.end) == (["aborted"], "reset by us")

    play(scene)


def test_a_body_that_comes_faster_than_it_is_read_waits() -> None:
    async def scene() -> None:
        stand = Stand()
        content = json.dumps({**STREAM, "messages": [{"role": "user", "content": "x" * 3 * MAX_AHEAD_BYTES}]}).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(content)
        stand.connection.data_received(head + content[:MAX_AHEAD_BYTES])
        assert not stand.wire.takes_more
        await asyncio.sleep(1)
        assert stand.wire.takes_more and not stand.wire.ended
        for at in range(MAX_AHEAD_BYTES, len(content), MAX_AHEAD_BYTES // 2):
            stand.connection.data_received(content[at : at + MAX_AHEAD_BYTES // 2])
            await asyncio.sleep(1)
        assert stand.seen["done"] == "answered"

    play(scene)


def test_a_connection_without_room_is_cut_at_once() -> None:
    async def scene() -> None:
        stand = Stand(room=False)
        assert (stand.wire.ended, stand.wire.written) == (["aborted"], b"")
        stand.connection.connection_lost(None)
        assert stand.num_open == 0

    play(scene)


@pytest.mark.parametrize("fault", ["silence", "stall:1", "late_head:1h", "late_token:1h", "drip:1", "stale"])
def test_a_peer_that_leaves_is_noticed_at_once(fault: str) -> None:
    async def scene() -> None:
        stand = Stand(fault)
        await asyncio.sleep(1)
        stand.send()
        await asyncio.sleep(2.25)
        stand.connection.eof_received()
        stand.connection.connection_lost(None)
        await asyncio.sleep(0.001)
        assert stand.seen["end"] == "peer closed after 2.25 s"
        assert stand.seen["done"] == ("answered" if fault == "stale" else "peer left")
        assert stand.seen["done_s"] == (1.0 if fault == "stale" else 3.25)
        assert len(asyncio.all_tasks()) == 1, "nothing is left running"

    play(scene)


def test_a_reset_by_the_peer_is_told_from_a_close() -> None:
    async def scene() -> None:
        stand = Stand("silence")
        stand.send()
        await asyncio.sleep(0.5)
        stand.connection.connection_lost(ConnectionResetError())
        await asyncio.sleep(0.001)
        assert stand.seen["end"] == "peer reset after 0.50 s"

    play(scene)


def test_a_request_is_seen_though_its_peer_left_with_it() -> None:
    async def scene() -> None:
        stand = Stand()
        stand.send()
        stand.connection.eof_received()
        await asyncio.sleep(1)
        assert (stand.seen["number"], stand.seen["done"], stand.seen["status"]) == (1, "peer left", None)
        assert stand.wire.written == b""

    play(scene)


def test_requests_may_come_ahead_of_their_turn() -> None:
    async def scene() -> None:
        stand = Stand("500,once")
        stand.send()
        stand.send()
        await asyncio.sleep(1)
        assert [stand.wire.written.count(line) for line in (b"HTTP/1.1 500 ", b"HTTP/1.1 200 ")] == [1, 1]
        assert (stand.seen["number"], stand.seen["on_connection"]) == (2, 2)
        stand.connection.finish()
        assert stand.wire.ended == ["closed"]

    play(scene)


def test_finishing_waits_for_the_answer() -> None:
    async def scene() -> None:
        stand = Stand("late_head:5s")
        stand.send()
        await asyncio.sleep(1)
        stand.connection.finish()
        assert not stand.wire.ended
        assert await stand.ended_at() == pytest.approx(5)
        assert stand.wire.written.endswith(b"0\r\n\r\n")

    play(scene)
