"""Heads in pieces: refused at the first hopeless byte."""

from __future__ import annotations

from types import ModuleType

import pytest

from headgate.ext.http1 import HeadError, HeadLimits

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def refused_at(
    http1: ModuleType, data: bytes, limits: HeadLimits | None = None, *, is_response: bool = False
) -> tuple[str, int]:
    """Feed single bytes; return the kind of the refusal and the index of the byte that caused it."""
    buffer = http1.HeadBuffer(limits or HeadLimits(), is_response=is_response)
    for index in range(len(data)):
        try:
            assert buffer.feed(data[index : index + 1]) is None
        except HeadError as error:
            return error.kind, index
    raise AssertionError("expected a refusal")


def test_returns_the_head_and_keeps_the_rest(http1: ModuleType) -> None:
    buffer = http1.HeadBuffer(HeadLimits())
    assert buffer.is_empty
    assert buffer.feed(HEAD[:10]) is None
    assert not buffer.is_empty
    assert buffer.feed(HEAD[10:] + b"body\r\n\r\n\x00") == HEAD
    assert buffer.rest == b"body\r\n\r\n\x00"


@pytest.mark.parametrize("split", [0, 1, 2, 3])
def test_skips_one_empty_line_before_a_request(http1: ModuleType, split: int) -> None:
    buffer = http1.HeadBuffer(HeadLimits())
    data = b"\r\n" + HEAD
    assert buffer.feed(data[:split]) is None
    assert buffer.feed(data[split:]) == HEAD


def test_refuses_more_empty_lines(http1: ModuleType) -> None:
    assert refused_at(http1, b"\r\n\r\n" + HEAD) == ("bad_request", 3)
    assert refused_at(http1, b"\r\nHTTP/1.1 200 OK\r\n\r\n", is_response=True) == ("malformed_answer", 0)


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
def test_refuses_at_the_first_hopeless_byte(http1: ModuleType, data: bytes, index: int) -> None:
    assert refused_at(http1, data) == ("bad_request", index)


@pytest.mark.parametrize(("data", "index"), [(b"SSH-2.0", 0), (b"HTTP/2.0 200", 5), (b"HTTP 200", 4), (b"H\x00", 1)])
def test_refuses_another_protocol_at_once(http1: ModuleType, data: bytes, index: int) -> None:
    assert refused_at(http1, data, is_response=True) == ("malformed_answer", index)


def test_refuses_as_soon_as_a_limit_is_crossed(http1: ModuleType) -> None:
    limits = HeadLimits(max_line_bytes=16, max_head_bytes=40)
    assert refused_at(http1, b"GET /" + b"a" * 99, limits) == ("target_too_long", 16)
    assert refused_at(http1, b"GET / HTTP/1.1\r\n" + b"a" * 99, limits) == ("head_too_large", 40)
    assert refused_at(http1, b"HTTP/1.1 200 " + b"a" * 99, limits, is_response=True) == ("answer_too_large", 16)
    assert refused_at(http1, b"HTTP/1.1 200 OK\r\n" + b"a" * 99, limits, is_response=True) == ("answer_too_large", 40)


def test_takes_what_just_fits(http1: ModuleType) -> None:
    line = b"GET / HTTP/1.1\r\n"
    head = line + b"A: " + b"x" * 17 + b"\r\n\r\n"
    assert len(head) == 40
    assert http1.HeadBuffer(HeadLimits(max_line_bytes=14, max_head_bytes=40)).feed(head) == head
    with pytest.raises(HeadError, match="head_too_large"):
        http1.HeadBuffer(HeadLimits(max_line_bytes=14, max_head_bytes=39)).feed(head)
    with pytest.raises(HeadError, match="target_too_long"):
        http1.HeadBuffer(HeadLimits(max_line_bytes=13, max_head_bytes=40)).feed(head)


def test_a_huge_piece_is_refused_by_its_first_fault(http1: ModuleType) -> None:
    with pytest.raises(HeadError, match="target_too_long"):
        http1.HeadBuffer(HeadLimits()).feed(b"GET /" + b"a" * 100_000 + b"\n")


def test_a_head_that_comes_whole_is_not_copied(http1: ModuleType) -> None:
    data = bytes(bytearray(HEAD))
    buffer = http1.HeadBuffer(HeadLimits())
    assert bytes(buffer.feed(data)) == HEAD
    assert buffer.rest == b""
    assert not buffer.is_empty


@pytest.mark.parametrize(("data", "is_empty"), [(b"", True), (b"\r", False), (b"\r\n", True), (b"\r\nG", False)])
def test_an_empty_line_in_front_is_no_part_of_the_head(http1: ModuleType, data: bytes, is_empty: bool) -> None:
    for pieces in ([data], [data[index : index + 1] for index in range(len(data))]):
        buffer = http1.HeadBuffer(HeadLimits())
        for piece in pieces:
            assert buffer.feed(piece) is None
        assert buffer.is_empty is is_empty


def test_takes_any_bytes_like_piece(http1: ModuleType) -> None:
    buffer = http1.HeadBuffer(HeadLimits())
    assert buffer.feed(bytearray(HEAD[:9])) is None
    assert buffer.feed(memoryview(HEAD[9:] + b"x")) == HEAD
    assert buffer.rest == b"x"
