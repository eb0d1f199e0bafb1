"""WebSockets through the gateway, with a client and a server that nobody here wrote."""

from __future__ import annotations

import asyncio
import signal

import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from ...http_client import client
from ...running import gateway, plain
from ...upstream import Call, upstream


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


def test_messages_of_every_kind_and_size_pass_both_ways() -> None:
    async def main() -> list[dict[str, object]]:
        async with serve(echo, "127.0.0.1", 0, max_size=None, subprotocols=["chat"]) as server:  # type: ignore[list-item]
            port = server.sockets[0].getsockname()[1]
            async with gateway(plain(f"http://127.0.0.1:{port}")) as gate:
                url = f"ws://127.0.0.1:{gate.port}/ws"
                async with connect(url, max_size=None, subprotocols=["chat"]) as socket:  # type: ignore[list-item]
                    assert socket.subprotocol == "chat"
                    for message in ("text", b"bytes", "x" * 3_000_000, b"", "é" * 70_000):
                        await socket.send(message)
                        assert await asyncio.wait_for(socket.recv(), 10) == message
                await gate.until(lambda: gate.log())
                return gate.log()

    log = asyncio.run(main())
    assert (log[0]["status"], log[0]["error"]) == (101, None)


def test_the_close_code_of_the_server_reaches_the_client() -> None:
    async def leave(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.close(4001, "done")

    async def main() -> int:
        async with serve(leave, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with (
                gateway(plain(f"http://127.0.0.1:{port}")) as gate,
                connect(f"ws://127.0.0.1:{gate.port}/") as socket,
            ):
                await socket.send("go")
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    await asyncio.wait_for(socket.recv(), 10)
                assert closed.value.rcvd is not None
                return closed.value.rcvd.code

    assert asyncio.run(main()) == 4001


def test_the_server_learns_within_100_ms_that_the_client_is_gone() -> None:
    left_after: list[float] = []

    async def main() -> None:
        gone = asyncio.Event()

        async def wait(connection: ServerConnection) -> None:
            await connection.send("here")
            await connection.wait_closed()
            gone.set()

        async with serve(wait, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with gateway(plain(f"http://127.0.0.1:{port}")) as gate:
                socket = await connect(f"ws://127.0.0.1:{gate.port}/")
                await asyncio.wait_for(socket.recv(), 10)
                loop = asyncio.get_running_loop()
                began = loop.time()
                socket.transport.abort()
                await asyncio.wait_for(gone.wait(), 10)
                left_after.append(loop.time() - began)
                await socket.wait_closed()

    asyncio.run(main())
    assert left_after[0] <= 0.1


@pytest.mark.parametrize("is_talking", [False, True])
def test_a_tunnel_that_a_drain_cuts_is_logged_as_that(is_talking: bool) -> None:
    async def main() -> tuple[list[dict[str, object]], list[str]]:
        async with serve(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            config = {**plain(f"http://127.0.0.1:{port}"), "drain": "300ms"}
            async with gateway(config) as gate, connect(f"ws://127.0.0.1:{gate.port}/") as socket:
                await socket.send("here")
                assert await asyncio.wait_for(socket.recv(), 10) == "here"
                gate.signal(signal.SIGTERM)
                with pytest.raises(websockets.ConnectionClosed):
                    async with asyncio.timeout(10):
                        while is_talking:
                            await socket.send("there")
                            await socket.recv()
                        await socket.recv()
                assert await asyncio.wait_for(gate.process.wait(), 10) == 0
                await gate.until(gate.log)
                return gate.log(), gate.complaints

    log, complaints = asyncio.run(main())
    shown = [(line["status"], line["error"], line["client_gone"], line["level"]) for line in log]
    assert (shown, complaints) == ([(101, "draining", False, "info")], [])


def test_a_client_that_leaves_its_tunnel_during_a_drain_is_gone_by_itself() -> None:
    async def main() -> list[dict[str, object]]:
        async with serve(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with gateway(plain(f"http://127.0.0.1:{port}")) as gate, client(gate.port) as idle:
                socket = await connect(f"ws://127.0.0.1:{gate.port}/")
                gate.signal(signal.SIGTERM)
                assert await asyncio.wait_for(idle.reader.read(-1), 10) == b""  # it drains
                socket.transport.abort()
                await socket.wait_closed()
                assert await asyncio.wait_for(gate.process.wait(), 10) == 0
                await gate.until(gate.log)
                return gate.log()

    assert [(line["status"], line["error"]) for line in asyncio.run(main())] == [(101, "client_gone")]


def test_an_upgrade_is_not_passed_on_where_the_route_forbids_it() -> None:
    async def plain_answer(call: Call) -> None:
        assert not call.fields("upgrade") and not call.fields("connection")
        await call.answer(b"no tunnel")

    async def main() -> tuple[int, bytes]:
        async with (
            upstream(plain_answer) as served,
            gateway(plain(served.url, websocket=False)) as gate,
            client(gate.port) as connected,
        ):
            answer = await connected.request("GET", "/", None, "Connection: Upgrade", "Upgrade: websocket")
            return answer.status, answer.body

    assert asyncio.run(main()) == (200, b"no tunnel")


def test_a_refused_upgrade_is_an_ordinary_answer_on_a_connection_that_goes_on() -> None:
    async def refuse(call: Call) -> None:
        await call.answer(b"not here", "403 Forbidden")

    async def main() -> list[int]:
        async with upstream(refuse) as served, gateway(plain(served.url)) as gate, client(gate.port) as connected:
            fields = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
            return [(await connected.request("GET", "/", None, *fields)).status for _ in range(2)]

    assert asyncio.run(main()) == [403, 403]
