"""Response heads: framing, and what is refused."""

from __future__ import annotations

from types import ModuleType
from typing import cast

import pytest

from headgate.ext.http1 import HeadError, HeadLimits, ResponseHead

LIMITS = HeadLimits()


def parse(
    http1: ModuleType, line: bytes, *fields: bytes, method: bytes = b"GET", limits: HeadLimits = LIMITS
) -> ResponseHead:
    raw = b"".join(part + b"\r\n" for part in (line, *fields)) + b"\r\n"
    return cast(ResponseHead, http1.parse_response_head(raw, limits, request_method=method))


def refused(http1: ModuleType, line: bytes, *fields: bytes, limits: HeadLimits = LIMITS) -> str:
    with pytest.raises(HeadError) as caught:
        parse(http1, line, *fields, limits=limits)
    return caught.value.kind


@pytest.mark.parametrize(
    ("line", "fields", "method", "framing"),
    [
        (b"HTTP/1.1 200 OK", [b"Content-Length: 5"], b"GET", "length"),
        (b"HTTP/1.1 200 OK", [b"Content-Length: 0"], b"GET", "length"),
        (b"HTTP/1.1 200 OK", [b"Transfer-Encoding: chunked"], b"GET", "chunked"),
        (b"HTTP/1.1 200 OK", [], b"GET", "close"),
        (b"HTTP/1.0 200 OK", [], b"GET", "close"),
        (b"HTTP/1.1 200 OK", [b"Content-Length: 5"], b"HEAD", "none"),
        (b"HTTP/1.1 200 OK", [b"Transfer-Encoding: chunked"], b"HEAD", "none"),
        (b"HTTP/1.1 304 Not Modified", [b"Content-Length: 5"], b"GET", "none"),
        (b"HTTP/1.1 204 No Content", [], b"GET", "none"),
        (b"HTTP/1.1 204 No Content", [b"Content-Length: 0"], b"DELETE", "none"),
        (b"HTTP/1.1 100 Continue", [], b"POST", "none"),
        (b"HTTP/1.1 101 Switching Protocols", [b"Upgrade: x"], b"GET", "none"),
        (b"HTTP/1.1 205 Reset Content", [b"Content-Length: 0"], b"GET", "length"),
    ],
)
def test_says_where_the_body_ends(
    http1: ModuleType, line: bytes, fields: list[bytes], method: bytes, framing: str
) -> None:
    assert parse(http1, line, *fields, method=method).framing == framing


def test_reads_the_parts(http1: ModuleType) -> None:
    found = parse(http1, b"HTTP/1.1 404 Not  F\xf6und", b"X: \xff", b"Content-Length: 7")
    assert (found.status, found.reason, found.version) == (404, b"Not  F\xf6und", (1, 1))
    assert found.fields == ((b"X", b"\xff"), (b"Content-Length", b"7"))
    assert found.content_length == 7
    assert parse(http1, b"HTTP/1.1 200").reason == b""
    assert parse(http1, b"HTTP/1.1 200 ").reason == b""


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HTTP/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1.1 20",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 000 No",
        b"HTTP/1.1 099 No",
        b"HTTP/1.1 600 No",
        b"HTTP/1.1 999 No",
        b"HTTP/1.1 2x0 No",
        b"HTTP/1.1 +20 No",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1\t200 OK",
        b" HTTP/1.1 200 OK",
        b"http/1.1 200 OK",
        b"HTTP/2.0 200 OK",
        b"HTTP/0.9 200 OK",
        b"HTTP/2 200",
        b"HTTP/1.10 200 OK",
        b"ICY 200 OK",
        b"HTTP/1.1 200 O\x00K",
        b"HTTP/1.1 200 O\rK",
        b"HTTP/1.1 200 OK\n",
    ],
)
def test_refuses_a_bad_status_line(http1: ModuleType, line: bytes) -> None:
    assert refused(http1, line) == "malformed_answer"


@pytest.mark.parametrize(
    "fields",
    [
        [b"X : 1"],
        [b" X: 1"],
        [b"X"],
        [b": 1"],
        [b"X: 1\r\n folded"],
        [b"X: 1\nY: 2"],
        [b"X: \x00"],
        [b"Content-Length: +5"],
        [b"Content-Length: 5, 5"],
        [b"Content-Length: "],
        [b"Content-Length: 5", b"Content-Length: 5"],
        [b"Content-Length: 5", b"Content-Length: 6"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 5"],
        [b"Transfer-Encoding: gzip"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: "],
    ],
)
def test_refuses_bad_fields_whatever_the_status(http1: ModuleType, fields: list[bytes]) -> None:
    for line in (b"HTTP/1.1 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified"):
        assert refused(http1, line, *fields) == "malformed_answer"


def test_http_1_0_knows_no_transfer_coding_and_is_not_kept(http1: ModuleType) -> None:
    assert refused(http1, b"HTTP/1.0 200 OK", b"Transfer-Encoding: chunked") == "malformed_answer"
    assert not parse(http1, b"HTTP/1.0 200 OK", b"Connection: keep-alive", b"Content-Length: 0").is_keep_alive
    assert parse(http1, b"HTTP/1.1 200 OK", b"Content-Length: 0").is_keep_alive
    assert not parse(http1, b"HTTP/1.1 200 OK", b"Connection: x, CLOSE", b"Content-Length: 0").is_keep_alive


def test_limits(http1: ModuleType) -> None:
    limits = HeadLimits(max_line_bytes=20, max_head_bytes=60, max_fields=2)
    parse(http1, b"HTTP/1.1 200 " + b"a" * 7, b"A: 1", b"B: 2", limits=limits)
    assert refused(http1, b"HTTP/1.1 200 " + b"a" * 8, limits=limits) == "answer_too_large"
    assert refused(http1, b"HTTP/1.1 200 OK", b"A: 1", b"B: 2", b"C: 3", limits=limits) == "answer_too_large"
    assert refused(http1, b"HTTP/1.1 200 OK", b"A: " + b"x" * 60, limits=limits) == "answer_too_large"
