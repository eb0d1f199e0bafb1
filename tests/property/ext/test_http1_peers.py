"""Other parsers beside the readers of HTTP/1.1: what these accept, those accept, and mean the same."""

from __future__ import annotations

from types import ModuleType

import h11
from aiohttp.http_parser import HttpRequestParserC, HttpResponseParserC
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headgate.ext.http1 import HeadError, HeadLimits, RequestHead, ResponseHead

from .message_peers import assert_peers_read_chunked, assert_peers_read_request, c_parser, lower_coding
from .message_reader import read_request
from .message_writer import MessageWriter
from .test_http1_laws import CHUNKED, scanned, writers


def decoded(data: bytes) -> bytes:
    """Decode a chunked body that is known to be good."""
    out = b""
    while True:
        line, _, data = data.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if not size:
            return out
        out, data = out + data[:size], data[size + 2 :]


@settings(max_examples=200)
@given(CHUNKED)
@example(b"5\r\nhello\r\n0\r\nX: 1\r\n\r\n")
def test_other_parsers_read_the_same_body_from_what_the_scanner_takes(http1: ModuleType, data: bytes) -> None:
    state, taken = scanned(http1, [data])
    if state != "complete":
        return
    assert_peers_read_chunked(data[:taken], decoded(data[:taken]))


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


@settings(max_examples=150)
@given(METHODS, TARGETS, st.sampled_from([b"1.0", b"1.1"]), HOSTS, FRAMING_FIELDS, OTHER_FIELDS)
def test_other_parsers_agree_on_an_accepted_request(
    http1: ModuleType,
    method: bytes,
    target: bytes,
    version: bytes,
    host: bytes,
    framing: tuple[bytes, ...],
    others: list[bytes],
) -> None:
    lines = [method + b" " + target + b" HTTP/" + version, b"Host: " + host, *framing, *others]
    raw = b"\r\n".join(lines) + b"\r\n\r\n"
    try:
        head = http1.parse_request_head(raw, HeadLimits())
    except HeadError:
        return
    assert_h11_agrees_on_request(raw, head)
    ((message, _),) = c_parser(HttpRequestParserC).feed_data(raw)[0]
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


@settings(max_examples=150)
@given(STATUS_LINES, st.sampled_from([b"GET", b"HEAD", b"POST"]), FRAMING_FIELDS, OTHER_FIELDS)
def test_other_parsers_agree_on_an_accepted_response(
    http1: ModuleType, line: bytes, method: bytes, framing: tuple[bytes, ...], others: list[bytes]
) -> None:
    raw = b"\r\n".join([line, *framing, *others]) + b"\r\n\r\n"
    try:
        head = http1.parse_response_head(raw, HeadLimits(), request_method=method)
    except HeadError:
        return
    assert_h11_agrees_on_response(raw, head, method)
    message = c_parser(HttpResponseParserC).feed_data(raw)[0][0][0]
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


@settings(max_examples=250)
@given(writers)
def test_other_parsers_read_the_same_request_from_what_is_read_here(http1: ModuleType, writer: MessageWriter) -> None:
    data = writer.request()
    found = read_request(http1, [data])
    if found.end == "whole":
        assert_peers_read_request(data, found)
