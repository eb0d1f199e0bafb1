"""Exchanges of the lane that end before all of them is there: nothing goes on behind their end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from headgate.plugins.testing import gateway_with
from headgate.proxy.downstream.acceptor import Acceptor
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.hookspecs import hookimpl
from headgate.proxy.lane.acceptor import LaneAcceptor
from headgate.proxy.lane.serving import InlineServing
from headgate.proxy.verdicts import Hit, Identity, Miss, Reject, Reservation, Target

CONFIG = {
    "listeners": [{"address": "127.0.0.1:0"}],
    "plugins": {"plugin": {}},
    "routes": [{"name": "m", "kind": "inference", "match": {"path": "/v1/{*rest}"}, "targets": ["origin"]}],
    "access_log": "off",
}
BODY = b'{"model": "m"}'


def serving(exchange: Exchange) -> InlineServing:
    """Return who serves an exchange."""
    found = (each for each in gc.get_objects() if isinstance(each, InlineServing))
    return next(each for each in found if each.exchange is exchange)


def leave(exchange: Exchange) -> None:
    """Be the client, and leave in this very turn of the loop."""
    serving(exchange).connection.transport.abort()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


class Refusing:
    """Refuses everybody, at once or after a while, where the client reads nothing for now."""

    is_waiting = False

    def __init__(self) -> None:
        self.refused: list[InlineServing] = []

    @hookimpl
    def headgate_auth(self, exchange: Exchange) -> Reject | Awaitable[Reject]:
        self.refused.append(serving(exchange))
        connection: Any = self.refused[0].connection  # as the event loop sees it
        connection.pause_writing()
        return self._later() if self.is_waiting else Reject("unauthenticated")

    async def _later(self) -> Reject:
        await asyncio.sleep(0.01)
        return Reject("unauthenticated")


class RefusingLater(Refusing):
    """The second of them."""

    is_waiting = True


@pytest.mark.parametrize("plugin", [Refusing, RefusingLater])
def test_a_body_that_comes_behind_a_refusal_is_not_served(plugin: type[Refusing]) -> None:
    """The refusal waited for its reader; the body that came meanwhile was passed on, without an identity."""

    async def main() -> tuple[bytes, int]:
        async with gateway_with({"plugin": plugin}, {**CONFIG, "stages": {"auth": ["plugin"]}}) as gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
            writer.write(b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(BODY))
            refused: list[InlineServing] = gate.plugins["plugin"].refused
            await until(lambda: bool(refused) and refused[0].is_begun)
            connection: Any = refused[0].connection
            connection.data_received(BODY)
            connection.resume_writing()
            async with asyncio.timeout(10):
                received = await reader.read(-1)
            writer.close()
            return received, len(gate.sent)

    received, num_sent = asyncio.run(main())
    assert received.startswith(b"HTTP/1.1 401 ")
    assert received.count(b"HTTP/1.1 ") == 1
    assert num_sent == 0


class Knowing:
    """Knows everybody after a while; some leave then, for some it was in vain."""

    def __init__(self) -> None:
        self.num_reserved = self.num_settled = 0
        self.heard = asyncio.Event()

    @hookimpl
    def headgate_auth(self, exchange: Exchange) -> Awaitable[Identity]:
        return self._later(exchange)

    async def _later(self, exchange: Exchange) -> Identity:
        await asyncio.sleep(0.01)
        if exchange.request.path == "/v1/vain":
            waited = asyncio.get_running_loop().create_future()
            waited.cancel()
            await waited
        if exchange.request.path == "/v1/left":
            leave(exchange)
        asyncio.get_running_loop().call_later(0.05, self.heard.set)
        return Identity("key", "tenant")

    @hookimpl
    def headgate_ratelimit(self, exchange: Exchange) -> Reservation:
        self.num_reserved += 1

        def settle(settlement: object) -> None:
            self.num_settled += 1

        return Reservation(settle)


def test_nothing_is_done_for_a_client_that_left_as_it_became_known() -> None:
    async def main() -> tuple[int, int, int]:
        stages = {"auth": ["plugin"], "ratelimit": ["plugin"]}
        async with gateway_with({"plugin": Knowing}, {**CONFIG, "stages": stages}) as gate:
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await gate.fetch("POST", "/v1/left")
            plugin = gate.plugins["plugin"]
            await plugin.heard.wait()
            assert (await gate.fetch("GET", "/v1/stays")).status == 200
            await until(lambda: plugin.num_settled >= 1)
            return plugin.num_reserved, plugin.num_settled, len(gate.sent)

    assert asyncio.run(main()) == (1, 1, 1)


def test_who_waited_for_what_was_cancelled_is_answered() -> None:
    async def main() -> int:
        async with gateway_with({"plugin": Knowing}, {**CONFIG, "stages": {"auth": ["plugin"]}}) as gate:
            async with asyncio.timeout(10):
                return (await gate.fetch("GET", "/v1/vain")).status

    assert asyncio.run(main()) == 500


class Storing:
    """A cache that has the last word, and whose client leaves."""

    def __init__(self) -> None:
        self.said: list[str] = []

    @hookimpl
    def headgate_cache(self, exchange: Exchange) -> Miss:
        leave(exchange)
        return Miss(self, revise=lambda found: None)

    def begin(self, response: Response) -> bool:
        self.said.append("begin")
        return True

    def write(self, piece: bytes) -> bool:
        return True

    def commit(self) -> None:
        self.said.append("commit")

    def discard(self) -> None:
        self.said.append("discard")


def test_a_store_is_discarded_though_its_task_never_began() -> None:
    async def main() -> list[str]:
        async with gateway_with({"plugin": Storing}, {**CONFIG, "stages": {"cache": ["plugin"]}}) as gate:
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await gate.fetch("POST", "/v1/x")
            said: list[str] = gate.plugins["plugin"].said
            await until(lambda: bool(said))
            return said

    assert asyncio.run(main()) == ["discard"]


class Asking:
    """An aggregate of one."""

    @hookimpl
    async def headgate_aggregate(self, exchange: Exchange) -> Response:
        return await exchange.call(Target("origin"))


def test_an_aggregate_asks_for_whole_answers() -> None:
    async def main() -> set[str]:
        async with gateway_with({"plugin": Asking}, {**CONFIG, "stages": {"aggregate": ["plugin"]}}) as gate:
            asked = {"If-None-Match": '"a"', "Range": "bytes=0-1", "If-Range": '"a"', "X-Kept": "1"}
            assert (await gate.fetch("GET", "/v1/x", fields=asked)).status == 200
            return {name.lower() for name in gate.sent[0].fields}

    names = asyncio.run(main())
    assert "x-kept" in names
    assert not names & {"if-none-match", "range", "if-range", "if-modified-since"}


class Giving:
    """Has a large answer at once."""

    def __init__(self) -> None:
        self.begun: list[InlineServing] = []

    @hookimpl
    def headgate_cache(self, exchange: Exchange) -> Hit:
        self.begun.append(serving(exchange))
        return Hit(Response(200, Fields(), LARGE, len(LARGE)))


LARGE = b"x" * (12 << 20)  # more than the kernel takes


def test_an_answer_that_is_written_when_a_drain_ends_can_still_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    is_cut = asyncio.Event()

    def cut(acceptor: Acceptor) -> None:
        Acceptor.cut(acceptor)
        is_cut.set()

    async def main() -> bytes:
        stack = contextlib.AsyncExitStack()
        gate = await stack.enter_async_context(
            gateway_with({"plugin": Giving}, {**CONFIG, "stages": {"cache": ["plugin"]}})
        )
        with socket.create_connection(("127.0.0.1", gate.port)) as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            reader, writer = await asyncio.open_connection(sock=raw.dup(), limit=65536)
            writer.write(b"GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n")
            begun: list[InlineServing] = gate.plugins["plugin"].begun
            await until(lambda: bool(begun) and begun[0].is_finishing)
            assert begun[0].connection.writing_paused
            draining = asyncio.create_task(stack.aclose())
            await asyncio.wait_for(is_cut.wait(), 10)
            received = await asyncio.wait_for(reader.read(-1), 10)
            writer.close()
            await draining
        return received

    monkeypatch.setattr("headgate.plugins.testing.gateway._DRAIN_S", 0.1)
    monkeypatch.setattr(LaneAcceptor, "cut", cut, raising=False)
    assert asyncio.run(main()).endswith(b"\r\n\r\n" + LARGE)
