"""Connections that one worker passes on to another: who gets one, and that none is lost."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
import uvloop

from headgate.ext.slots import SlotTable
from headgate.proxy.counting import Places, listener_key
from headgate.proxy.downstream.acceptor import Acceptor
from headgate.proxy.downstream.incoming import Answered, Incoming
from headgate.proxy.downstream.plain_listener import Spread, take
from headgate.proxy.downstream.settings import ListenerSettings
from headgate.proxy.workers.handover import Handover, Share

from ..ext.test_slot_processes import Compiled

NUM = 3


class Workers:
    """What several workers have, in one process. Those of `numbers` serve."""

    def __init__(self, stack: ExitStack, numbers: tuple[int, ...] = (0, 1, 2)) -> None:
        self.first = Compiled.create(100, NUM)
        self.pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(NUM)]
        for pair in self.pairs:
            for end in pair:
                stack.enter_context(closing(end))
        self.tables = [Compiled.attach(self.first.fileno(), number) for number in range(NUM)]
        self.handovers = [self.begun(number) for number in range(NUM)]
        for number in numbers:
            self.handovers[number].start(asyncio.get_running_loop())

    def begun(self, number: int) -> Handover:
        return Handover(self.tables[number], number, self.pairs[number][0], [writer for _, writer in self.pairs])

    def have(self, *numbers: int) -> None:
        """Let each worker have so many connections more."""
        for table, number in zip(self.tables, numbers, strict=True):
            for _ in range(number):
                assert table.take(listener_key(0), 1000) is not None

    def stop(self) -> None:
        for handover in self.handovers:
            handover.stop(asyncio.get_running_loop())


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def nobody(client: socket.socket) -> None:
    raise AssertionError("nobody was to take a connection")


@pytest.mark.parametrize(
    ("loads", "chosen"),
    [
        ((0, 0, 0), None),
        ((1, 0, 0), 1),
        ((1, 1, 0), 2),
        ((1, 2, 1), None),
        ((5, 9, 6), None),
        ((8, 9, 7), 2),
        ((9, 9, 8), None),
        ((10, 9, 8), 2),
        ((90, 80, 99), None),
        ((91, 80, 99), 1),
    ],
)
def test_whoever_has_fewest_gets_the_next_one(stack: ExitStack, loads: tuple[int, ...], chosen: int | None) -> None:
    async def main() -> None:
        workers = Workers(stack)
        workers.have(*loads)
        assert workers.handovers[0].share(0, nobody).fewest() == chosen
        workers.stop()

    asyncio.run(main())


def test_only_those_that_serve_get_any(stack: ExitStack) -> None:
    async def main() -> None:
        workers = Workers(stack, (0, 2))
        workers.have(5, 0, 3)
        share = workers.handovers[0].share(0, nobody)
        assert share.fewest() == 2
        workers.handovers[2].stop(asyncio.get_running_loop())
        assert share.fewest() is None
        workers.handovers[1].start(asyncio.get_running_loop())
        assert share.fewest() == 1
        workers.first.clear(1)  # as its parent does when it is dead
        assert share.fewest() is None
        workers.stop()

    asyncio.run(main())


def test_those_on_their_way_count_and_wait_for_whoever_comes_in_the_place_of_the_dead(stack: ExitStack) -> None:
    async def main() -> None:
        workers = Workers(stack)
        workers.have(3, 0, 1)
        asyncio.get_running_loop().remove_reader(workers.pairs[1][0])  # it is killed
        share, peers = workers.handovers[0].share(0, nobody), []
        for _ in range(2):
            assert share.fewest() == 1
            here, there = socket.socketpair()
            assert share.send(1, here.fileno())
            here.close()
            peers.append(stack.enter_context(closing(there)))
        assert workers.handovers[0].loads(0) == [3, 2, 1]
        assert share.fewest() == 2
        workers.first.clear(1)
        taken: asyncio.Queue[socket.socket] = asyncio.Queue()
        successor = workers.begun(1)
        successor.share(0, taken.put_nowait)
        successor.start(asyncio.get_running_loop())
        async with asyncio.timeout(10):
            for peer in peers:
                client = stack.enter_context(closing(await taken.get()))
                peer.send(b"hello")
                assert client.recv(10) == b"hello"
                assert not os.get_inheritable(client.fileno())
        assert workers.handovers[0].loads(0) == [3, 0, 1]
        successor.stop(asyncio.get_running_loop())
        workers.stop()

    asyncio.run(main())


def test_who_has_no_room_gets_no_more_and_takes_the_rest_as_it_stops(stack: ExitStack) -> None:
    async def main() -> None:
        workers = Workers(stack)
        taken: list[socket.socket] = []
        share = workers.handovers[0].share(0, nobody)
        workers.handovers[1].share(0, taken.append)
        here, _ = (stack.enter_context(closing(each)) for each in socket.socketpair())
        number = 0
        while share.send(1, here.fileno()):
            number += 1
            assert number < 10_000
        assert workers.handovers[0].loads(0) == [0, number, 0]
        workers.handovers[1].stop(asyncio.get_running_loop())
        assert len(taken) == number > 10
        assert workers.handovers[0].loads(0) == [0, 0, 0]
        for each in taken:
            each.close()
        workers.stop()

    asyncio.run(main())


class Echo:
    """Answers each request with who answers."""

    is_draining = False

    def __init__(self, name: bytes) -> None:
        self._name = name

    async def serve(self, incoming: Incoming, limit: object) -> Answered:
        transport = incoming.connection.transport
        assert transport is not None
        transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + self._name)
        return Answered(True)

    def refuse(self, peer: str, error: Exception) -> bytes:
        return b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class Full(Share):
    """The way to others that have no room."""

    def send(self, number: int, descriptor: int) -> bool:
        return False


def acceptor(name: bytes, slots: SlotTable) -> Acceptor:
    return Acceptor(Echo(name), ListenerSettings(), None, Places(slots, listener_key(0), 1000))


@pytest.mark.parametrize("has_room", [True, False])
def test_a_connection_is_served_by_the_other_or_stays_where_that_has_no_room(stack: ExitStack, has_room: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        workers = Workers(stack, (0, 1))
        workers.have(4, 0, 0)
        own, other = acceptor(b"0", workers.tables[0]), acceptor(b"1", workers.tables[1])
        workers.handovers[1].share(0, lambda client: take(other, client))
        share = workers.handovers[0].share(0, nobody) if has_room else Full(workers.handovers[0], 0)
        spread = Spread(own, share)
        server = await loop.create_server(spread, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            async with asyncio.timeout(10):
                answer = await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(1)
            assert answer.endswith(b"1" if has_room else b"0")
        assert (own.num_open, other.num_open) == ((0, 1) if has_room else (1, 0))
        assert workers.tables[0].shares(listener_key(0)) == ([4, 1, 0] if has_room else [5, 0, 0])
        writer.close()
        async with asyncio.timeout(10):
            while workers.first.count(listener_key(0)) > 4:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        server.close()
        workers.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
