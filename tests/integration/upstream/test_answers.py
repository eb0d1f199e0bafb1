"""Answers of a scripted upstream: whole, cut, malformed, slow, too many."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from headgate.ext.http1 import ResponseHead
from headgate.proxy.upstream.connection import UpstreamConnection

from .exchanges import CHUNKED, OK, Run, exchange, kind_of, pool_for, read_all, send, soon
from .script_server import Peer, ScriptServer

Serve = Callable[..., ScriptServer]


def answer_once(data: bytes) -> Callable[[Peer], None]:
    """Read one request, send `data`, close."""

    def script(peer: Peer) -> None:
        if peer.read_request():
            peer.send_while_taken(data)

    return script


@pytest.mark.parametrize(
    ("method", "answer", "status", "body"),
    [
        (b"GET", OK, 200, b"ok"),
        (b"GET", CHUNKED + b"3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nX-Sum: 1\r\n\r\n", 200, b"abcd"),
        (b"GET", b"HTTP/1.1 200 OK\r\n\r\nto the end", 200, b"to the end"),
        (b"GET", b"HTTP/1.0 200 OK\r\n\r\nold", 200, b"old"),
        (b"GET", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, b""),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", 200, b""),
        (b"HEAD", CHUNKED, 200, b""),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 304, b""),
        (b"DELETE", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK, 200, b"ok"),
    ],
)
def test_reads_whole_answers(run: Run, serve: Serve, method: bytes, answer: bytes, status: int, body: bytes) -> None:
    async def main() -> None:
        with pool_for(serve(answer_once(answer)).port) as pool:
            head, found = await exchange(pool, method)
            assert (head.status, found) == (status, body)

    run(main())


def test_the_request_arrives_as_given(run: Run, serve: Serve) -> None:
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        request = peer.read_head()
        while not request.endswith(b"0\r\n\r\n") and (data := peer.receive()):
            request += data
        seen.append(request)
        peer.send(OK)

    async def main() -> None:
        with pool_for(serve(script).port) as pool:
            connection = await pool.acquire(soon())
            fields = [(b"hOST", b"a"), (b"X-Odd", b"caf\xe9"), (b"X", b""), (b"Transfer-Encoding", b"chunked")]
            connection.send_head(b"M-SEARCH", b"/a%2Fb//../?x=|", fields)
            assert not connection.has_sent
            await connection.send_body(b"hello")
            assert connection.has_sent
            connection.end_body()
            assert (await connection.read_head()).status == 200
            connection.abort()

    run(main())
    head = (
        b"M-SEARCH /a%2Fb//../?x=| HTTP/1.1\r\nhOST: a\r\nX-Odd: caf\xe9\r\nX: \r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert seen == [head + b"5\r\nhello\r\n0\r\n\r\n"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello, world",
        CHUNKED + b"5\r\nhello\r\n7;n=v\r\n, world\r\n0\r\nX: y\r\n\r\n",
    ],
    ids=["fixed", "chunked"],
)
@pytest.mark.parametrize("ending", ["close", "reset"])
def test_an_answer_cut_anywhere_is_never_complete(run: Run, serve: Serve, answer: bytes, ending: str) -> None:
    def script(peer: Peer) -> None:
        cut = int(peer.read_request().split(b"\r\nX-Cut: ")[1].split(b"\r\n")[0])
        peer.send(answer[:cut])
        if ending == "reset":
            peer.reset()

    async def main() -> None:
        head_size = answer.index(b"\r\n\r\n") + 4
        with pool_for(serve(script).port) as pool:
            for cut in range(len(answer)):
                connection = await pool.acquire(soon(), fresh=True)
                send(connection, fields=[(b"X-Cut", b"%d" % cut)])
                if cut < head_size and ending == "close":
                    assert await kind_of(connection.read_head()) == "reset"
                else:
                    # A reset may overtake the bytes in front of it, even those of the head.
                    assert await kind_of(_whole(connection)) in ("truncated", "reset")
                connection.release()
            assert (pool.num_idle, pool.num_busy) == (0, 0)

    run(main())


async def _whole(connection: UpstreamConnection) -> bytes:
    await connection.read_head()
    return await read_all(connection)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\nX: y\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
        b"HTTP/1.1 099 No\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"\r\n" + OK,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 17 + OK,
    ],
)
def test_a_malformed_head_is_refused(run: Run, serve: Serve, answer: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send_while_taken(answer)
        peer.wait_closed()

    async def main() -> None:
        with pool_for(serve(script).port) as pool:
            assert await kind_of(exchange(pool)) == "malformed_answer"

    run(main())


@pytest.mark.parametrize(
    "body",
    [
        b"2\nok\r\n0\r\n\r\n",
        b"2\r\nok\n0\r\n\r\n",
        b"2\r\nokXX\r\n0\r\n\r\n",
        b"2 \r\nok\r\n0\r\n\r\n",
        b"0x2\r\nok\r\n0\r\n\r\n",
        b"+2\r\nok\r\n0\r\n\r\n",
        b"2;\x00\r\nok\r\n0\r\n\r\n",
        b"2;a\nb\r\nok\r\n0\r\n\r\n",
        b"2\r\nok\r\n0\r\nX : y\r\n\r\n",
        b"2\r\nok\r\n0\r\n\n",
    ],
)
def test_malformed_chunks_are_refused(run: Run, serve: Serve, body: bytes) -> None:
    async def main() -> None:
        with pool_for(serve(answer_once(CHUNKED + body)).port) as pool:
            assert await kind_of(exchange(pool)) == "malformed_answer"

    run(main())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000,
        b"HTTP/1.1 200 " + b"a" * 9000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 201 + b"\r\n",
    ],
)
def test_a_huge_head_is_refused(run: Run, serve: Serve, answer: bytes) -> None:
    async def main() -> None:
        with pool_for(serve(answer_once(answer)).port) as pool:
            assert await kind_of(exchange(pool)) == "answer_too_large"

    run(main())


def test_informational_heads_are_told(run: Run, serve: Serve) -> None:
    async def main() -> None:
        told: list[ResponseHead] = []
        answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 16 + OK
        with pool_for(serve(answer_once(answer)).port) as pool:
            connection = await pool.acquire(soon())
            connection.on_informational = told.append
            send(connection)
            assert (await connection.read_head()).status == 200
            assert await read_all(connection) == b"ok"
            connection.release()
        assert [head.status for head in told] == [103] * 16
        assert told[0].fields == ((b"Link", b"</a>"),)

    run(main())


def test_a_slow_drip_arrives_byte_by_byte(run: Run, serve: Serve) -> None:
    answer = CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"

    def script(peer: Peer) -> None:
        peer.read_request()
        for index in range(len(answer)):
            peer.send(answer[index : index + 1])

    async def main() -> None:
        with pool_for(serve(script).port) as pool:
            assert (await exchange(pool))[1] == b"hello"

    run(main())


def test_pieces_are_passed_on_as_they_come(run: Run, serve: Serve) -> None:
    taken = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(CHUNKED + b"3\r\none\r\n")
        assert taken.wait(5)
        peer.send(b"3\r\ntwo\r\n0\r\n\r\n")

    async def main() -> None:
        with pool_for(serve(script).port) as pool:
            connection = await pool.acquire(soon())
            send(connection)
            await connection.read_head()
            assert await connection.read_body() == b"one"
            taken.set()
            assert await read_all(connection) == b"two"
            assert await connection.read_body() == b""
            connection.release()

    run(main())


def test_waits_may_be_cancelled_and_taken_up_again(run: Run, serve: Serve) -> None:
    go = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        peer.read_request()
        for part in (b"HTTP/1.1 200 OK\r\nContent-", b"Length: 4\r\n\r\n", b"ab", b"cd"):
            assert go.acquire(timeout=5)
            peer.send(part)

    async def main() -> None:
        with pool_for(serve(script).port) as pool:
            connection = await pool.acquire(soon())
            send(connection)
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await connection.read_head()
                go.release()
            assert (await connection.read_head()).status == 200
            body = b""
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await connection.read_body()
                go.release()
                body += await connection.read_body()
            assert body == b"abcd"
            assert await connection.read_body() == b""
            connection.release()
            assert pool.num_busy == 0

    run(main())


def test_abort_wakes_whoever_waits(run: Run, serve: Serve) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.wait_closed()

    async def main() -> None:
        with pool_for(serve(script).port) as pool:
            connection = await pool.acquire(soon())
            send(connection)
            waiting = asyncio.ensure_future(connection.read_head())
            await asyncio.sleep(0)
            connection.abort()
            assert pool.num_busy == 0
            assert await kind_of(waiting) == "reset"
            connection.abort()
            connection.release()
            assert pool.num_busy == 0

    run(main())
