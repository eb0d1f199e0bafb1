"""curl through `headgate proxy`."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from pathlib import Path

import pytest

from ..running import Call, gateway, plain, upstream
from .running_curl import Done, curl, proxied, proxied_raw, start_curl

MIB = 1 << 20
LARGE_BYTES = 64 * MIB


async def echo(call: Call) -> None:
    await call.answer(call.body or b"hello", "200 OK", "Content-Type: text/plain", "X-Upstream: yes")


def run(*arguments: str, path: str = "/", body: bytes | None = None) -> tuple[Done, Call]:
    """Ask an upstream that answers what it got; how curl ended, and what the upstream saw."""

    async def main() -> tuple[Done, Call]:
        async with proxied(echo) as (url, served):
            done = await curl(*arguments, f"{url}{path}", body=body)
            return done, served.calls[-1]

    return asyncio.run(main())


def test_a_plain_request() -> None:
    done, call = run("--verbose", path="/a%2Fb/c?x=%20&y=1;z")
    assert (done.code, done.output) == (0, b"hello")
    assert done.received[0] == "HTTP/1.1 200 OK"
    assert "X-Upstream: yes" in done.received
    assert call.line == "GET /a%2Fb/c?x=%20&y=1;z HTTP/1.1"
    assert call.fields("user-agent")[0].startswith("curl/")


def test_a_form_posted() -> None:
    done, call = run("--data", "name=headgate", "--header", "X-Own: 1")
    assert (done.code, done.output) == (0, b"name=headgate")
    assert (call.line, call.fields("x-own")) == ("POST / HTTP/1.1", ["1"])


def test_two_requests_share_one_connection() -> None:
    async def main() -> Done:
        async with proxied(echo) as (url, _):
            return await curl("--write-out", " %{num_connects} ", url, url)

    assert asyncio.run(main()).output == b"hello 1 hello 0 "


def test_head_tells_the_length_and_has_no_body() -> None:
    async def only_head(call: Call) -> None:
        await call.send(b'HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nETag: "1"\r\n\r\n')

    async def main() -> tuple[Done, str]:
        async with proxied(only_head) as (url, served):
            done = await curl("--head", "--write-out", "%{num_connects}", url, url)
            return done, served.calls[0].line

    done, line = asyncio.run(main())
    assert (done.code, line) == (0, "HEAD / HTTP/1.1")
    assert done.output.count(b"Content-Length: 12345\r\n") == 2
    assert done.output.endswith(b"\r\n\r\n0")  # the second found the connection as it should be


@pytest.mark.parametrize("is_chunked", [False, True])
def test_http_1_0_gets_an_answer_without_chunks(is_chunked: bool) -> None:
    async def answer(call: Call) -> None:
        framing = b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        await call.send(b"HTTP/1.1 200 OK\r\n" + (framing if is_chunked else b"Content-Length: 6\r\n\r\nonetwo"))

    async def main() -> tuple[Done, Call]:
        async with proxied(answer) as (url, served):
            return await curl("--verbose", "--http1.0", url), served.calls[0]

    done, call = asyncio.run(main())
    assert (done.code, done.output) == (0, b"onetwo")
    assert done.sent[0] == "GET / HTTP/1.0"
    assert not any(line.lower().startswith("transfer-encoding") for line in done.received)
    assert call.line == "GET / HTTP/1.1"


def test_a_stream_arrives_event_by_event() -> None:
    seen = [asyncio.Event() for _ in range(3)]

    async def stream(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number, event in enumerate(seen):
            await call.send(b"9\r\ndata: %d\n\n\r\n" % number)
            await event.wait()  # no event is sent before curl has shown the one before
        await call.send(b"0\r\n\r\n")

    async def main() -> tuple[int, bytes]:
        async with proxied(stream) as (url, _):
            started = await start_curl("--no-buffer", url)
            assert started.stdout is not None
            shown = b""
            async with asyncio.timeout(20):
                for event in seen:
                    shown += await started.stdout.readuntil(b"\n\n")
                    event.set()
                _, errors = await started.communicate()
            assert errors == b""
            return started.returncode or 0, shown

    assert asyncio.run(main()) == (0, b"data: 0\n\ndata: 1\n\ndata: 2\n\n")


def test_a_stream_that_breaks_is_an_error_for_curl() -> None:
    async def break_off(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nhello")
        raise ConnectionError

    async def main() -> Done:
        async with proxied(break_off) as (url, _):
            return await curl(url)

    done = asyncio.run(main())
    assert done.output in (b"", b"hello")
    assert done.code in (18, 52, 56), done.errors  # partial file, empty reply, receive failure


def test_expect_100_continue_with_two_mebibytes(tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(bytes(range(256)) * (2 * MIB // 256))
    done, call = run("--verbose", "--header", "Expect: 100-continue", "--data-binary", f"@{file}")
    assert done.code == 0
    assert done.received[0] == "HTTP/1.1 100 Continue"
    assert "HTTP/1.1 200 OK" in done.received
    assert done.output == call.body == file.read_bytes()
    assert "Expect: 100-continue" in done.sent


def test_a_body_that_is_not_wanted_is_never_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(bytes(2 * MIB))

    async def main() -> tuple[Done, int]:
        async with upstream(echo) as served, gateway(plain(served.url, body_limit="1MiB")) as gate:
            arguments = ("--verbose", "--header", "Expect: 100-continue", "--data-binary", f"@{file}")
            done = await curl(*arguments, "--write-out", "%{size_upload}", f"http://127.0.0.1:{gate.port}/")
            return done, len(served.calls)

    done, num_calls = asyncio.run(main())
    assert done.received[0].startswith("HTTP/1.1 413 ")
    assert (done.output[-2:], num_calls) == (b"}0", 0)


async def read_chunked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the head of a chunked request and the digest of its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    digest, length = hashlib.sha256(), 0
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        digest.update((await reader.readexactly(size + 2))[:-2])
        length += size
    await reader.readuntil(b"\r\n")
    body = head + b"%d %b" % (length, digest.hexdigest().encode())
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    await writer.drain()


@pytest.mark.parametrize("size", [0, 1, 3 * MIB + 1])
def test_a_chunked_upload_from_standard_input(size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)

    async def main() -> Done:
        async with proxied_raw(read_chunked) as (url, _):
            return await curl("--upload-file", "-", f"{url}/name", body=content[:size])

    done = asyncio.run(main())
    assert done.output.startswith(b"PUT /name HTTP/1.1\r\n")
    assert b"\r\ntransfer-encoding: chunked\r\n" in done.output.lower()
    assert done.output.endswith(b"%d %b" % (size, hashlib.sha256(content[:size]).hexdigest().encode()))


@pytest.mark.parametrize("is_asked", [True, False])
def test_a_compressed_answer_is_passed_on_as_it_came(is_asked: bool) -> None:
    packed = gzip.compress(b"headgate " * 1000, mtime=0)

    async def compress(call: Call) -> None:
        is_wanted = "gzip" in "".join(call.fields("accept-encoding"))
        assert is_wanted == is_asked
        await call.answer(packed, "200 OK", "Content-Encoding: gzip", "Vary: Accept-Encoding")

    async def main() -> Done:
        async with proxied(compress) as (url, _):
            return await curl("--verbose", *(["--compressed"] if is_asked else []), url)

    done = asyncio.run(main())
    assert done.output == (b"headgate " * 1000 if is_asked else packed)
    assert "Content-Encoding: gzip" in done.received
    assert f"Content-Length: {len(packed)}" in done.received


def pattern(number: int) -> bytes:
    """Return one mebibyte that is unlike the others."""
    return number.to_bytes(8, "big") * (MIB // 8)


def large_digest() -> str:
    digest = hashlib.sha256()
    for number in range(LARGE_BYTES // MIB):
        digest.update(pattern(number))
    return digest.hexdigest()


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_large_download(tmp_path: Path, is_chunked: bool) -> None:
    async def send(call: Call) -> None:
        framing = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % LARGE_BYTES
        await call.send(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing)
        for number in range(LARGE_BYTES // MIB):
            await call.send(b"100000\r\n%b\r\n" % pattern(number) if is_chunked else pattern(number))
        await call.send(b"0\r\n\r\n" if is_chunked else b"")

    async def main() -> Done:
        async with proxied(send) as (url, _):
            return await curl("--output", str(tmp_path / "got"), "--write-out", "%{size_download}", url)

    done = asyncio.run(main())
    assert (done.code, done.output) == (0, str(LARGE_BYTES).encode())
    assert hashlib.sha256((tmp_path / "got").read_bytes()).hexdigest() == large_digest()


def test_a_large_upload(tmp_path: Path) -> None:
    file = tmp_path / "sent"
    with file.open("wb") as out:
        for number in range(LARGE_BYTES // MIB):
            out.write(pattern(number))

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert b"\r\ncontent-length: %d\r\n" % LARGE_BYTES in head
        digest, left = hashlib.sha256(), LARGE_BYTES
        while left:
            piece = await reader.read(min(left, MIB))
            left -= len(piece)
            digest.update(piece)
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 64\r\n\r\n" + digest.hexdigest().encode())
        await writer.drain()

    async def main() -> Done:
        async with proxied_raw(count) as (url, _):
            return await curl("--upload-file", str(file), "--write-out", " %{http_code}", f"{url}/sent")

    done = asyncio.run(main())
    assert (done.code, done.output.decode()) == (0, f"{large_digest()} 201")
