"""curl through `headgate proxy`."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..running import gateway, plain
from ..upstream import Call, upstream
from .running_curl import Done, Stand, curl, proxy_stand, start_curl

MIB = 1 << 20
LARGE_BYTES = 64 * MIB
EXPECT = ("--header", "Expect: 100-continue")


async def echo(call: Call) -> None:
    await call.answer(call.body or b"hello", "200 OK", "Content-Type: text/plain", "X-Upstream: yes")


@pytest.fixture(scope="module")
def one_stand() -> Iterator[Stand]:
    with proxy_stand(echo) as stand:
        yield stand


@pytest.fixture
def stand(one_stand: Stand) -> Stand:
    """A proxy in front of an upstream that answers what it got."""
    one_stand.play(echo)
    return one_stand


def test_a_plain_request(stand: Stand) -> None:
    done = stand.curl("--verbose", path="/a%2Fb/c?x=%20&y=1;z")
    assert (done.code, done.output) == (0, b"hello")
    assert done.received[0] == "HTTP/1.1 200 OK"
    assert "X-Upstream: yes" in done.received
    assert stand.calls[0].line == "GET /a%2Fb/c?x=%20&y=1;z HTTP/1.1"
    assert stand.calls[0].fields("user-agent")[0].startswith("curl/")


def test_a_form_posted(stand: Stand) -> None:
    done = stand.curl("--data", "name=headgate", "--header", "X-Own: 1")
    assert (done.code, done.output) == (0, b"name=headgate")
    assert (stand.calls[0].line, stand.calls[0].fields("x-own")) == ("POST / HTTP/1.1", ["1"])


def test_two_requests_share_one_connection(stand: Stand) -> None:
    assert stand.curl("--write-out", " %{num_connects} ", stand.url).output == b"hello 1 hello 0 "


def test_head_tells_the_length_and_has_no_body(stand: Stand) -> None:
    async def only_head(call: Call) -> None:
        await call.send(b'HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nETag: "1"\r\n\r\n')

    stand.play(only_head)
    done = stand.curl("--head", "--write-out", "%{num_connects}", stand.url)
    assert (done.code, stand.calls[0].line) == (0, "HEAD / HTTP/1.1")
    assert done.output.count(b"Content-Length: 12345\r\n") == 2
    assert done.output.endswith(b"\r\n\r\n0")  # the second found the connection as it should be


@pytest.mark.parametrize("is_chunked", [False, True])
def test_http_1_0_gets_an_answer_without_chunks(stand: Stand, is_chunked: bool) -> None:
    async def answer(call: Call) -> None:
        framing = b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        await call.send(b"HTTP/1.1 200 OK\r\n" + (framing if is_chunked else b"Content-Length: 6\r\n\r\nonetwo"))

    stand.play(answer)
    done = stand.curl("--verbose", "--http1.0")
    assert (done.code, done.output) == (0, b"onetwo")
    assert done.sent[0] == "GET / HTTP/1.0"
    assert not any(line.lower().startswith("transfer-encoding") for line in done.received)
    assert stand.calls[0].line == "GET / HTTP/1.1"


def test_a_stream_arrives_event_by_event(stand: Stand) -> None:
    seen = [asyncio.Event() for _ in range(3)]

    async def stream(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number, event in enumerate(seen):
            await call.send(b"9\r\ndata: %d\n\n\r\n" % number)
            await event.wait()  # no event is sent before curl has shown the one before
        await call.send(b"0\r\n\r\n")

    async def main() -> tuple[int | None, bytes]:
        started = await start_curl("--no-buffer", stand.url)
        assert started.stdout is not None
        shown = b""
        async with asyncio.timeout(20):
            for event in seen:
                shown += await started.stdout.readuntil(b"\n\n")
                event.set()
            rest, errors = await started.communicate()
        assert (rest, errors) == (b"", b"")
        return started.returncode, shown

    stand.play(stream)
    assert stand.run(main()) == (0, b"data: 0\n\ndata: 1\n\ndata: 2\n\n")


@pytest.mark.parametrize("is_chunked", [False, True])
def test_an_answer_that_breaks_off_is_an_error_for_curl(stand: Stand, is_chunked: bool) -> None:
    async def break_off(call: Call) -> None:
        framing = b"Transfer-Encoding: chunked\r\n\r\n5\r\n" if is_chunked else b"Content-Length: 10\r\n\r\n"
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n%bhello" % framing)
        raise ConnectionError

    stand.play(break_off)
    done = stand.curl()
    assert done.output in (b"", b"hello")
    assert done.code in (18, 52, 56), done.errors  # partial file, empty reply, receive failure


def test_expect_100_continue_with_two_mebibytes(stand: Stand, tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(bytes(range(256)) * (2 * MIB // 256))
    done = stand.curl("--verbose", *EXPECT, "--data-binary", f"@{file}")
    assert done.code == 0
    assert done.received[0] == "HTTP/1.1 100 Continue"
    assert "HTTP/1.1 200 OK" in done.received
    assert done.output == stand.calls[0].body == file.read_bytes()
    assert "Expect: 100-continue" in done.sent


def test_a_body_that_is_not_wanted_is_never_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(bytes(2 * MIB))

    async def main() -> tuple[Done, int]:
        async with upstream(echo) as served, gateway(plain(served.url, body_limit="1MiB")) as gate:
            arguments = ("--verbose", *EXPECT, "--data-binary", f"@{file}", "--write-out", "%{size_upload}")
            return await curl(*arguments, f"http://127.0.0.1:{gate.port}/"), len(served.calls)

    done, num_calls = asyncio.run(main())
    assert done.received[0].startswith("HTTP/1.1 413 ")
    assert (done.output[-2:], num_calls) == (b"}0", 0)


async def read_chunked(call: Call) -> None:
    """Answer the size and digest of a chunked body."""
    digest, length = hashlib.sha256(), 0
    while size := int((await call.reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        digest.update((await call.reader.readexactly(size + 2))[:-2])
        length += size
    await call.reader.readuntil(b"\r\n")
    await call.answer(b"%d %b" % (length, digest.hexdigest().encode()))


@pytest.mark.parametrize("size", [0, 1, 3 * MIB + 1])
def test_a_chunked_upload_from_standard_input(stand: Stand, size: int) -> None:
    content = (bytes(range(251)) * (size // 251 + 1))[:size]
    stand.play(read_chunked)
    done = stand.curl("--upload-file", "-", path="/name", body=content)
    assert done.output.decode() == f"{size} {hashlib.sha256(content).hexdigest()}"
    assert stand.calls[0].line == "PUT /name HTTP/1.1"
    assert stand.calls[0].fields("transfer-encoding") == ["chunked"]


@pytest.mark.parametrize("is_asked", [True, False])
def test_a_compressed_answer_is_passed_on_as_it_came(stand: Stand, is_asked: bool) -> None:
    text = b"headgate " * 1000
    packed = gzip.compress(text, mtime=0)

    async def compress(call: Call) -> None:
        await call.answer(packed, "200 OK", "Content-Encoding: gzip", "Vary: Accept-Encoding")

    stand.play(compress)
    done = stand.curl("--verbose", *(["--compressed"] if is_asked else []))
    assert done.output == (text if is_asked else packed)
    assert "Content-Encoding: gzip" in done.received
    assert f"Content-Length: {len(packed)}" in done.received
    assert ("gzip" in "".join(stand.calls[0].fields("accept-encoding"))) == is_asked


def pattern(number: int) -> bytes:
    """Return one mebibyte that is unlike the others."""
    return number.to_bytes(8, "big") * (MIB // 8)


def large_digest() -> str:
    digest = hashlib.sha256()
    for number in range(LARGE_BYTES // MIB):
        digest.update(pattern(number))
    return digest.hexdigest()


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_large_download(stand: Stand, tmp_path: Path, is_chunked: bool) -> None:
    async def send(call: Call) -> None:
        framing = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % LARGE_BYTES
        await call.send(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing)
        for number in range(LARGE_BYTES // MIB):
            await call.send(b"100000\r\n%b\r\n" % pattern(number) if is_chunked else pattern(number))
        await call.send(b"0\r\n\r\n" if is_chunked else b"")

    stand.play(send)
    done = stand.curl("--output", str(tmp_path / "got"), "--write-out", "%{size_download}")
    assert (done.code, done.output) == (0, str(LARGE_BYTES).encode())
    assert hashlib.sha256((tmp_path / "got").read_bytes()).hexdigest() == large_digest()


def test_a_large_upload(stand: Stand, tmp_path: Path) -> None:
    file = tmp_path / "sent"
    with file.open("wb") as out:
        for number in range(LARGE_BYTES // MIB):
            out.write(pattern(number))

    async def tell_digest(call: Call) -> None:
        await call.answer(hashlib.sha256(call.body).hexdigest().encode(), "201 Created")

    stand.play(tell_digest)
    done = stand.curl("--upload-file", str(file), "--write-out", " %{http_code}", path="/sent")
    assert (done.code, done.output.decode()) == (0, f"{large_digest()} 201")
    assert stand.calls[0].fields("content-length") == [str(LARGE_BYTES)]
