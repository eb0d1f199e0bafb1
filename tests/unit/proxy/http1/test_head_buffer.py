"""Heads in pieces: refused at the first hopeless byte."""

from __future__ import annotations

import pytest

from headgate.proxy.http1.head import HeadBuffer, HeadError, HeadLimits

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def refused_at(data: bytes, limits: HeadLimits | None = None, *, is_response: bool = False) -> tuple[str, int]:
    """Feed single bytes; return the kind of the refusal and the index of the byte that caused it."""
    buffer = HeadBuffer(limits or HeadLimits(), is_response=is_response)
    for index in range(len(data)):
        try:
            assert buffer.feed(data[index : index + 1]) is None
        except HeadError as error:
            return error.kind, index
    raise AssertionError("expected a refusal")


def test_returns_the_head_and_keeps_the_rest() -> None:
    buffer = HeadBuffer(HeadLimits())
    assert buffer.is_empty
    assert buffer.feed(HEAD[:10]) is None
    assert not buffer.is_empty
    assert buffer.feed(HEAD[10:] + b"body\r\n\r\n\x00") == HEAD
    assert buffer.rest == b"body\r\n\r\n\x00"


@pytest.mark.parametrize("split", [0, 1, 2, 3])
def test_skips_one_empty_line_before_a_request(split: int) -> None:
    buffer = HeadBuffer(HeadLimits())
    data = b"\r\n" + HEAD
    assert buffer.feed(data[:split]) is None
    assert buffer.feed(data[split:]) == HEAD


def test_refuses_more_empty_lines() -> None:
    assert refused_at(b"\r\n\r\n" + HEAD) == ("bad_request", 3)
    assert refused_at(b"\r\nHTTP/1.1 200 OK\r\n\r\n", is_response=True) == ("malformed_answer", 0)


@pytest.mark.parametrize(
    ("data", "index"),
    [
        (b"\nGET", 0),
        (b"GET / HTTP/1.1\nHost", 14),
        (b"GET / HTTP/1.1\r\nHost: a\n", 23),
        (b"GET / HTTP/1.1\r\nHost: a\rb", 24),
        (b"GET / HTTP/1.1\r\nHost: a\r\r", 24),
        (b"GET / HTTP/1.1\r\nX: \x00", 19),
        (b"\x16\x03\x01\x02\x00", 0),
        (b"\r\r", 1),
    ],
)
def test_refuses_at_the_first_hopeless_byte(data: bytes, index: int) -> None:
    assert refused_at(data) == ("bad_request", index)


@pytest.mark.parametrize(("data", "index"), [(b"SSH-2.0", 0), (b"HTTP/2.0 200", 5), (b"HTTP 200", 4), (b"H\x00", 1)])
def test_refuses_another_protocol_at_once(data: bytes, index: int) -> None:
    assert refused_at(data, is_response=True) == ("malformed_answer", index)


def test_refuses_as_soon_as_a_limit_is_crossed() -> None:
    limits = HeadLimits(max_line_bytes=16, max_head_bytes=40)
    assert refused_at(b"GET /" + b"a" * 99, limits) == ("target_too_long", 16)
    assert refused_at(b"GET / HTTP/1.1\r\n" + b"a" * 99, limits) == ("head_too_large", 40)
    assert refused_at(b"HTTP/1.1 200 " + b"a" * 99, limits, is_response=True) == ("answer_too_large", 16)
    assert refused_at(b"HTTP/1.1 200 OK\r\n" + b"a" * 99, limits, is_response=True) == ("answer_too_large", 40)


def test_takes_what_just_fits() -> None:
    line = b"GET / HTTP/1.1\r\n"
    head = line + b"A: " + b"x" * 17 + b"\r\n\r\n"
    assert len(head) == 40
    assert HeadBuffer(HeadLimits(max_line_bytes=14, max_head_bytes=40)).feed(head) == head
    with pytest.raises(HeadError, match="head_too_large"):
        HeadBuffer(HeadLimits(max_line_bytes=14, max_head_bytes=39)).feed(head)
    with pytest.raises(HeadError, match="target_too_long"):
        HeadBuffer(HeadLimits(max_line_bytes=13, max_head_bytes=40)).feed(head)


def test_a_huge_piece_is_refused_by_its_first_fault() -> None:
    with pytest.raises(HeadError, match="target_too_long"):
        HeadBuffer(HeadLimits()).feed(b"GET /" + b"a" * 100_000 + b"\n")
