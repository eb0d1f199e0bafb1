"""Laws of the HTTP/1.1 head and chunk readers: any split, and agreement with other parsers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import h11
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParserC, HttpResponseParserC
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from headgate.proxy.http1.chunked import ChunkError, ChunkScanner
from headgate.proxy.http1.head import (
    HeadBuffer,
    HeadError,
    HeadLimits,
    RequestHead,
    ResponseHead,
    parse_request_head,
    parse_response_head,
)

LIMITS = HeadLimits(max_line_bytes=60, max_head_bytes=200, max_fields=8)

# Pieces that heads and chunked bodies are made of, good and bad, so that random joins come near the grammar's edges.
HEAD_PIECES = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n",
        b"POST /a?b=%20 HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"GET http://b.example/x HTTP/1.1\r\n",
        b"GET / HTTP/1.0\r\n",
        b"GET / HTTP/1.2\r\n",
        b"FOO / HTTP/1.1\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 304 \r\n",
        b"HTTP/1.0 404 No\r\n",
        b"HTTP/1.1 204\r\n",
        b"Host: a.example\r\n",
        b"host:[::1]:80 \r\n",
        b"Content-Length: 5\r\n",
        b"content-length:\t0\r\n",
        b"Content-Length: +5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"connection: keep-alive, x\r\n",
        b"X: \xe9\xff\r\n",
        b"X-Y:a\tb\r\n",
        b" folded\r\n",
        b"Expect: 100-continue\r\n",
        b"Bad : x\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\r",
        b"\n",
        b"\x00",
        b":",
        b" ",
        b"x",
        b"a" * 50,
    ]
)
HEADS = (
    st.lists(HEAD_PIECES, max_size=8).map(b"".join).flatmap(lambda h: st.sampled_from([h, h + b"\r\n", h + b"\r\nz"]))
)

GOOD = [
    b"5\r\nhello\r\n",
    b"00a\r\n0123456789\r\n",
    b"1;a=b\r\nx\r\n",
    b'2;a="\\"b"\r\n\r\n\r\n',
    b"1;x\r\n\r\r\n",
    b"F\r\n012345678901234\r\n",
    b"3;n=v;m\r\n\r\n0\r\n",
    b'1;q="a;b"\r\nz\r\n',
]
BAD = [
    b"\r\n",
    b"5",
    b"\r",
    b"\n",
    b"0",
    b"x",
    b";",
    b" ",
    b"+",
    b"\xff",
    b"=",
    b'"',
    b"ffffffffffffffff\r\n",
    b"0\r\n",
]
CHUNK_PIECES = st.sampled_from([*GOOD, *BAD, b"X: 1\r\n", b"Content-Length: 3\r\n", b"0\r\n\r\n"])
GOOD_CHUNKS = st.lists(st.sampled_from(GOOD), max_size=6).map(b"".join)
LAST_CHUNKS = st.sampled_from([b"0\r\n\r\n", b"00;a\r\n\r\nPOST", b"0\r\nX: 1\r\nY:\r\n\r\n0\r\n", b"0\r\nX 1\r\n\r\n"])
CHUNKED = st.one_of(
    st.tuples(GOOD_CHUNKS, LAST_CHUNKS).map(b"".join),
    st.tuples(GOOD_CHUNKS, CHUNK_PIECES, LAST_CHUNKS).map(b"".join),
    st.lists(CHUNK_PIECES, max_size=8).map(b"".join),
)
CUTS = st.lists(st.integers(0, 300), max_size=8)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    return [data[start:stop] for start, stop in pairwise(edges)]


def buffered(pieces: list[bytes], is_response: bool) -> tuple[object, ...]:
    """Feed the pieces; return what came out of it, with everything that was not taken."""
    buffer = HeadBuffer(LIMITS, is_response=is_response)
    try:
        for index, piece in enumerate(pieces):
            if (head := buffer.feed(piece)) is not None:
                return "head", head, buffer.rest + b"".join(pieces[index + 1 :])
    except HeadError as error:
        return "refused", error.kind, error.detail
    return ("open",)


@settings(max_examples=600)
@given(HEADS, CUTS, st.booleans())
def test_a_head_reads_the_same_for_any_split(data: bytes, cuts: list[int], is_response: bool) -> None:
    whole = buffered([data], is_response)
    assert buffered(split(data, cuts), is_response) == whole
    assert buffered([data[index : index + 1] for index in range(len(data))], is_response) == whole


@given(HEADS)
def test_what_the_buffer_refuses_the_parser_refuses(data: bytes) -> None:
    end = data.find(b"\r\n\r\n")
    assume(end > 0)
    raw = data[: end + 4]
    outcome = buffered([raw], False)
    if outcome[0] == "refused":
        try:
            parse_request_head(raw, LIMITS)
        except HeadError:
            return
        raise AssertionError(f"the parser took what the buffer refused: {outcome}")


def scanned(pieces: list[bytes]) -> tuple[str, int]:
    scanner, taken = ChunkScanner(), 0
    try:
        for piece in pieces:
            taken += scanner.feed(piece)
    except ChunkError:
        return "refused", 0
    return ("complete" if scanner.is_complete else "open"), taken


@settings(max_examples=600)
@given(CHUNKED, CUTS)
def test_a_chunked_body_ends_at_the_same_byte_for_any_split(data: bytes, cuts: list[int]) -> None:
    whole = scanned([data])
    assert scanned(split(data, cuts)) == whole
    assert scanned([data[index : index + 1] for index in range(len(data))]) == whole


def decoded(data: bytes) -> bytes:
    """Decode a chunked body that is known to be good."""
    out = b""
    while True:
        line, _, data = data.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if not size:
            return out
        out, data = out + data[:size], data[size + 2 :]


REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@settings(max_examples=600)
@given(CHUNKED)
@example(b"5\r\nhello\r\n0\r\nX: 1\r\n\r\n")
def test_other_parsers_read_the_same_body_from_what_the_scanner_takes(data: bytes) -> None:
    state, taken = scanned([data])
    if state != "complete":
        return
    body = decoded(data[:taken])
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(REQUEST + data[:taken])
    assert isinstance(connection.next_event(), h11.Request)
    parts = []
    while isinstance(event := connection.next_event(), h11.Data):
        parts.append(bytes(event.data))
    assert isinstance(event, h11.EndOfMessage)
    assert b"".join(parts) == body
    assert connection.trailing_data == (b"", False)
    with c_parser(HttpRequestParserC) as parser:
        messages, _, tail = parser.feed_data(REQUEST + data[:taken])
        assert (len(messages), bytes(tail)) == (1, b"")
        assert c_body(messages[0][1]) == body


# Heads that are mostly good, for the comparison of what is accepted.
NAMES = st.sampled_from([b"X", b"accept", b"X-Y!", b"Cookie", b"Via", b"Authorization"])
VALUES = st.binary(max_size=12).map(lambda v: v.translate(None, bytes(range(9)) + bytes(range(10, 32)) + b"\x7f"))
OTHER_FIELDS = st.lists(st.tuples(NAMES, VALUES).map(lambda p: p[0] + b": " + p[1]), max_size=4)
FRAMING_FIELDS = st.sampled_from(
    [
        (),
        (b"Content-Length: 0",),
        (b"content-length: 00017",),
        (b"Transfer-Encoding: chunked",),
        (b"TRANSFER-ENCODING:CHUNKED",),
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 1"),
        (b"Connection: close",),
        (b"Connection: keep-alive", b"Content-Length: 1"),
        (b"connection: x ,CLOSE, y",),
    ]
)
TARGETS = st.one_of(
    st.sampled_from([b"/", b"*", b"/a//b/../c", b"/%2e%2e/%zz?x=%", b"http://b.example/q?r", b'/|{}"<>^`\\']),
    st.text("abc/%2.?&=~!*'()[]@:;,+$", max_size=12).map(lambda t: b"/" + t.encode()),
)
# The methods that llhttp knows; others are refused there and taken here.
METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"PROPFIND"])
HOSTS = st.sampled_from([b"a.example", b"[::1]:80", b"a_b:", b"127.0.0.1:8", b"a,b", b"a b", b""])


@settings(max_examples=500)
@given(METHODS, TARGETS, st.sampled_from([b"1.0", b"1.1"]), HOSTS, FRAMING_FIELDS, OTHER_FIELDS)
def test_other_parsers_agree_on_an_accepted_request(
    method: bytes, target: bytes, version: bytes, host: bytes, framing: tuple[bytes, ...], others: list[bytes]
) -> None:
    lines = [method + b" " + target + b" HTTP/" + version, b"Host: " + host, *framing, *others]
    raw = b"\r\n".join(lines) + b"\r\n\r\n"
    try:
        head = parse_request_head(raw, HeadLimits())
    except HeadError:
        return
    assert_h11_agrees_on_request(raw, head)
    with c_parser(HttpRequestParserC) as parser:
        (message, _), *more = parser.feed_data(raw)[0]
    assert not more
    assert (message.method.encode(), message.path.encode(), tuple(message.version)) == (method, target, head.version)
    assert message.raw_headers == head.fields
    assert message.should_close is not head.is_keep_alive
    assert message.chunked is head.is_chunked


def assert_h11_agrees_on_request(raw: bytes, head: RequestHead) -> None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(raw)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    assert (event.method, event.target) == (head.method, head.target)
    # h11 lower-cases the value of Transfer-Encoding.
    assert lower_coding(event.headers.raw_items()) == lower_coding(head.fields)
    following = connection.next_event()
    assert isinstance(following, h11.EndOfMessage) is not head.has_body


def lower_coding(pairs: Any) -> list[tuple[bytes, bytes]]:
    return [(name, value.lower() if name.lower() == b"transfer-encoding" else value) for name, value in pairs]


STATUS_LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200",
        b"HTTP/1.1 404 ",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 204 No",
        b"HTTP/1.1 304 Not",
        b"HTTP/1.1 599 \xe9",
        b"HTTP/1.1 600 No",
        b"HTTP/1.1 099 No",
        b"HTTP/1.1  200 OK",
        b"HTTP/2.0 200 OK",
    ]
)


@settings(max_examples=500)
@given(STATUS_LINES, st.sampled_from([b"GET", b"HEAD", b"POST"]), FRAMING_FIELDS, OTHER_FIELDS)
def test_other_parsers_agree_on_an_accepted_response(
    line: bytes, method: bytes, framing: tuple[bytes, ...], others: list[bytes]
) -> None:
    raw = b"\r\n".join([line, *framing, *others]) + b"\r\n\r\n"
    try:
        head = parse_response_head(raw, HeadLimits(), request_method=method)
    except HeadError:
        return
    assert_h11_agrees_on_response(raw, head, method)
    with c_parser(HttpResponseParserC) as parser:
        message = parser.feed_data(raw)[0][0][0]
    assert (message.code, tuple(message.version)) == (head.status, head.version)
    assert message.raw_headers == head.fields


def assert_h11_agrees_on_response(raw: bytes, head: ResponseHead, method: bytes) -> None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(raw)
    event = connection.next_event()
    assert isinstance(event, h11.Response)
    assert event.status_code == head.status
    assert lower_coding(event.headers.raw_items()) == lower_coding(head.fields)
    is_complete = isinstance(connection.next_event(), h11.EndOfMessage)
    assert is_complete is (head.framing == "none" or (head.framing == "length" and not head.content_length))
    if is_complete:
        assert (connection.our_state is h11.DONE) is head.is_keep_alive


@contextmanager
def c_parser(kind: Any) -> Iterator[Any]:
    loop = asyncio.new_event_loop()
    try:
        yield kind(BaseProtocol(loop), loop, 2**16)
    finally:
        loop.close()


def c_body(payload: Any) -> bytes:
    return b"".join(payload._buffer) if payload.is_eof() else b"incomplete"
