"""Requests as they arrive."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.proxy.faults.incoming import MAX_BODY_BYTES, Incoming, RequestError, RequestReader

HEAD = b"POST /v1/completions?a=b HTTP/1.1\r\nHost: a\r\nX-Fault: 500\r\n"
BY_LENGTH = HEAD + b"Content-Length: 11\r\n\r\nhello world"
BY_CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n"
NO_BODY = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"


def read(pieces: list[bytes]) -> tuple[Incoming, bytes]:
    reader = RequestReader()
    for number, piece in enumerate(pieces):
        request = reader.feed(piece)
        if request is not None:
            return request, reader.rest + b"".join(pieces[number + 1 :])
    raise AssertionError("the request is not whole")


@given(st.sampled_from([BY_LENGTH, BY_CHUNKS, NO_BODY]), st.lists(st.integers(0, 200)), st.binary(max_size=5))
def test_a_request_is_the_same_however_it_was_split(raw: bytes, cuts: list[int], behind: bytes) -> None:
    data = raw + behind
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[start:stop] for start, stop in pairwise(places)]
    request, rest = read(pieces)
    assert rest == behind
    if raw is NO_BODY:
        assert (request.method, request.path, request.query, request.body) == ("GET", "/health", "", b"")
    else:
        assert (request.method, request.path, request.query) == ("POST", "/v1/completions", "a=b")
        assert (request.field(b"x-fault"), request.field(b"x-other"), request.body) == ("500", None, b"hello world")


def test_a_client_that_waits_for_it_is_told_to_continue() -> None:
    reader = RequestReader()
    assert reader.feed(HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n") is None
    assert reader.wants_continue
    assert reader.feed(b"h") is None
    assert not reader.wants_continue


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"nonsense\r\n\r\n", "bad_request"),
        (b"GET / HTTP/1.1\n\n", "bad_request"),
        (b"GET /" + b"x" * 9000, "target_too_long"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000, "head_too_large"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nno size\r\n", "bad_request"),
        (HEAD + b"Content-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), "body_too_large"),
    ],
)
def test_what_is_no_request_is_refused(raw: bytes, kind: str) -> None:
    with pytest.raises(RequestError) as raised:
        RequestReader().feed(raw)
    assert raised.value.kind == kind


def test_a_chunked_body_is_bounded_with_its_framing() -> None:
    reader = RequestReader()
    reader.feed(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    piece = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
    for _ in range(7):
        assert reader.feed(piece) is None
    with pytest.raises(RequestError) as raised:
        reader.feed(piece)
    assert raised.value.kind == "body_too_large"


def test_a_body_of_the_largest_size_is_taken() -> None:
    reader = RequestReader()
    request = reader.feed(HEAD + b"Content-Length: %d\r\n\r\n" % MAX_BODY_BYTES + b"x" * MAX_BODY_BYTES)
    assert request is not None and len(request.body) == MAX_BODY_BYTES
