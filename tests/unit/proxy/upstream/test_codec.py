"""One exchange as bytes: any split, every state that forbids reuse."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.ext.http1 import HeadLimits
from headgate.proxy.errors import GatewayError
from headgate.proxy.upstream.codec import MAX_INFORMATIONAL, ExchangeCodec

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

# What may come on a connection, good and bad, up to its end.
ANSWERS = st.sampled_from(
    [
        OK,
        OK + OK,
        OK[:-1],
        CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n",
        CHUNKED + b"3\r\nabc\r\n0\r\n\r\n" + OK,
        CHUNKED + b"3\r\nabc\r\n0\r\n\r",
        CHUNKED + b"3\r\nabcX\r\n0\r\n\r\n",
        CHUNKED + b"3\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\n\r\nto the end",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 204 No\r\n\r\nx",
        b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INFORMATIONAL + 1) + OK,
        b"",
        b"HTTP/1.1 2",
    ]
)


def started(method: bytes = b"GET", fields: tuple[tuple[bytes, bytes], ...] = ()) -> ExchangeCodec:
    codec = ExchangeCodec(HeadLimits())
    codec.start(method, b"/", [(b"Host", b"a"), *fields])
    return codec


def read(codec: ExchangeCodec, pieces: list[bytes]) -> tuple[object, ...]:
    """Feed the pieces and then the end of the stream; return all that can be told of the answer."""
    heads: list[tuple[int, object]] = []
    body = b""
    try:
        for piece in pieces:
            if codec.head is not None:
                codec.feed_body(piece)
            else:
                head = codec.next_head(piece)
                while head is not None:
                    heads.append((head.status, head.fields))
                    head = codec.next_head(b"") if head.status < 200 else None
            if codec.head is not None:
                body += codec.take_body()
        if codec.head is None:
            return ("ended", codec.has_received)
        if not codec.is_answer_complete:
            codec.feed_eof()
            body += codec.take_body()
    except GatewayError as error:
        return "failed", error.kind.name
    return heads, body, codec.is_answer_complete


@settings(max_examples=150)
@given(ANSWERS, st.lists(st.integers(1, 120), max_size=6), st.sampled_from([b"GET", b"HEAD"]))
def test_an_answer_reads_the_same_for_any_split(answer: bytes, cuts: list[int], method: bytes) -> None:
    def fresh() -> ExchangeCodec:
        codec = started(method)
        codec.end()
        return codec

    edges = sorted({0, len(answer), *(cut for cut in cuts if cut < len(answer))})
    whole = read(fresh(), [answer])
    assert read(fresh(), [answer[start:stop] for start, stop in pairwise(edges)]) == whole
    assert read(fresh(), [answer[index : index + 1] for index in range(len(answer))]) == whole


def test_writes_a_request() -> None:
    codec = ExchangeCodec(HeadLimits())
    head = codec.start(b"PUT", b"/a|b", [(b"hOst", b"a"), (b"X", b"\xff"), (b"Transfer-Encoding", b"chunked")])
    assert head == b"PUT /a|b HTTP/1.1\r\nhOst: a\r\nX: \xff\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert codec.data(b"hello") == b"5\r\nhello\r\n"
    assert codec.data(b"") == b""
    assert not codec.is_request_complete
    assert codec.end() == b"0\r\n\r\n"
    assert codec.is_request_complete


@pytest.mark.parametrize(
    ("fields", "answer", "is_reusable"),
    [
        ((), OK, True),
        ((), CHUNKED + b"0\r\n\r\n", True),
        ((), b"HTTP/1.1 204 No\r\n\r\n", True),
        (((b"Connection", b"close"),), OK, False),
        ((), b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", False),
        ((), b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", False),
        ((), OK + b"\r\n", False),
        ((), CHUNKED + b"0\r\n\r\n\r\n", False),
        ((), b"HTTP/1.1 204 No\r\n\r\nx", False),
        ((), OK[:-1], False),
        ((), b"HTTP/1.1 200 OK\r\n\r\n", False),
        (((b"Connection", b"upgrade"), (b"Upgrade", b"x")), OK, True),
    ],
)
def test_knows_whether_the_connection_can_be_used_again(
    fields: tuple[tuple[bytes, bytes], ...], answer: bytes, is_reusable: bool
) -> None:
    codec = started(b"GET", fields)
    codec.end()
    assert codec.next_head(answer) is not None
    codec.take_body()
    assert codec.is_reusable is is_reusable


def test_an_unfinished_request_forbids_reuse() -> None:
    codec = started(b"POST", ((b"Content-Length", b"3"),))
    codec.data(b"12")
    codec.next_head(OK)
    assert codec.take_body() == b"hello"
    assert codec.is_answer_complete
    assert not codec.is_reusable
    codec.data(b"3")
    codec.end()
    assert codec.is_reusable


def test_a_switch_needs_the_whole_request() -> None:
    asks = ((b"Connection", b"upgrade"), (b"Upgrade", b"a, b"), (b"Content-Length", b"1"))
    switch = b"HTTP/1.1 101 Switch\r\nConnection: x, Upgrade\r\nUpgrade: B\r\n\r\ntunnel"
    codec = started(b"POST", asks)
    with pytest.raises(GatewayError, match="malformed_answer"):
        codec.next_head(switch)
    codec = started(b"POST", asks)
    codec.data(b"x")
    codec.end()
    head = codec.next_head(switch)
    assert head is not None
    assert head.status == 101
    assert codec.take_rest() == b"tunnel"
    assert codec.take_rest() == b""
    assert not codec.is_reusable


def test_the_end_of_the_stream_ends_only_an_answer_without_length() -> None:
    for answer in (OK[:-1], CHUNKED, b"HTTP/1.1 200"):
        codec = started()
        codec.end()
        codec.next_head(answer)
        with pytest.raises(GatewayError, match="truncated"):
            codec.feed_eof()


def test_large_pieces_of_a_body_pass_uncopied() -> None:
    piece = bytes(100_000)
    for framing in (b"Content-Length: 200000\r\n", b"Transfer-Encoding: chunked\r\n", b""):
        codec = started()
        codec.end()
        start = b"30d40\r\n" if framing.startswith(b"T") else b""
        assert codec.next_head(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n" + start) is not None
        for _ in range(2):
            codec.feed_body(piece)
            assert codec.take_body() is piece


def test_a_body_is_written_to_the_byte_of_its_length() -> None:
    codec = started(b"POST", ((b"Content-Length", b"3"),))
    data = b"123"
    assert codec.data(data) is data
    with pytest.raises(GatewayError, match="1 bytes more than declared"):
        codec.data(b"4")
    codec = started(b"POST", ((b"Content-Length", b"3"),))
    codec.data(b"12")
    with pytest.raises(GatewayError, match="1 bytes fewer than declared"):
        codec.end()
    for refused in (codec.end, lambda: codec.data(b"3"), lambda: codec.start(b"GET", b"/", [(b"Host", b"a")])):
        with pytest.raises(GatewayError, match="internal"):
            refused()
    assert not codec.is_request_complete


def test_a_head_that_cannot_be_written_says_why_and_not_what() -> None:
    codec = ExchangeCodec(HeadLimits())
    with pytest.raises(GatewayError, match="cannot write the request head: expected a value of b'X'") as caught:
        codec.start(b"GET", b"/", [(b"Host", b"a"), (b"X", b"secret\n")])
    assert caught.value.kind.name == "internal"
    assert "secret" not in str(caught.value)
