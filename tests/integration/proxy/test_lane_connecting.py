"""Exchanges that wait for a connection: what is there before anybody listens, and connections that cannot be had."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from ...http_client import Answer, client
from ...running import gateway, plain
from ...upstream import Call, upstream
from .completions import DONE, PATH, events
from .test_lane import ways

NUM = 30  # connections, each of which may be opened before or after its first bytes came


async def answer(call: Call) -> None:
    await call.answer(b"from a target")


def refusing_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.asynccontextmanager
async def hasty(said: bytes) -> AsyncIterator[str]:
    """A server that says all it has to say before it is asked, then closes."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def asked(url: str) -> tuple[list[Answer], dict[str, int]]:
    async with gateway(plain(url) | {"admin": {"address": "127.0.0.1:0"}}) as gate:
        answers = []
        for _ in range(NUM):
            async with client(gate.port) as connected:
                await connected.send("POST", "/x", b"{}")
                answers.append(await connected.answer("POST"))
        return answers, await ways(gate)


def test_an_exchange_goes_on_elsewhere_where_a_connection_cannot_be_had() -> None:
    async def main() -> tuple[Answer, dict[str, int]]:
        async with upstream(answer) as one:
            config = plain(refusing_url(), one.url) | {"admin": {"address": "127.0.0.1:0"}}
            async with gateway(config) as gate, client(gate.port) as connected:
                await connected.send("POST", "/x", b"{}")
                found = await connected.answer("POST")
                await gate.until(lambda: bool(gate.log()))
                return found, await ways(gate)

    found, served = asyncio.run(main())
    assert (found.status, found.body, found.field("x-headgate-target")) == (200, b"from a target", "t1")
    assert found.field("x-headgate-attempts") == "3"  # the first target twice
    assert served == {"taken_over": 1}


def test_a_connection_that_is_closed_as_it_opens_is_an_error_at_once() -> None:
    async def main() -> list[Answer]:
        async with hasty(b"") as url:
            return (await asked(url))[0]

    assert [found.status for found in asyncio.run(main())] == [502] * NUM


def test_what_is_said_before_a_request_is_read_all_the_same() -> None:
    """Whatever comes first, the bytes or the word that the connection is open; nobody waits in vain."""
    refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 6\r\nConnection: close\r\n\r\ntoo so"

    async def main() -> list[Answer]:
        async with hasty(refusal + b"x") as url:
            return (await asked(url))[0]

    assert {found.status for found in asyncio.run(main())} <= {400, 502}


def test_a_connection_whose_answer_came_in_one_read_is_idle_after_it() -> None:
    """Though it was one that could have been resumed, had it broken: nobody waits for its target any more."""

    async def script(call: Call) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Headgate-Numerics: n1\r\n"
        body = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in [*events(is_marked=True), DONE])
        await call.send(head + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n")

    async def main() -> tuple[Answer, bytes]:
        async with upstream(script) as one:
            config = plain(one.url, kind="inference")
            config["listeners"][0]["timeouts"] = {"idle": "200ms"}
            async with gateway(config) as gate, client(gate.port) as connected:
                await connected.send("POST", PATH, b'{"model": "m", "stream": true}', "Content-Type: application/json")
                found = await connected.answer("POST")
                async with asyncio.timeout(5):
                    return found, await connected.reader.read()

    found, rest = asyncio.run(main())
    assert (found.status, found.is_whole, rest) == (200, True, b"")
