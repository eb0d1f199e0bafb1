"""Request heads: what is read, and what is refused with which kind."""

from __future__ import annotations

from types import ModuleType

import pytest

from headgate.ext.http1 import HeadError, HeadLimits, origin_form
from headgate.proxy.errors import KINDS

LIMITS = HeadLimits()


def head(line: bytes = b"GET / HTTP/1.1", *fields: bytes, host: bytes | None = b"a.example") -> bytes:
    lines = [line, *([b"Host: " + host] if host is not None else []), *fields]
    return b"".join(part + b"\r\n" for part in lines) + b"\r\n"


def refused(http1: ModuleType, raw: bytes, limits: HeadLimits = LIMITS) -> str:
    with pytest.raises(HeadError) as caught:
        http1.parse_request_head(raw, limits)
    assert caught.value.kind in KINDS
    assert caught.value.detail
    return caught.value.kind


def test_reads_a_plain_head(http1: ModuleType) -> None:
    raw = head(b"POST /a%2Fb?q=1 HTTP/1.1", b"X-Odd:\t caf\xe9 \t", b"content-LENGTH: 0012", host=b"a.example:8080")
    found = http1.parse_request_head(raw, LIMITS)
    assert (found.method, found.target, found.version) == (b"POST", b"/a%2Fb?q=1", (1, 1))
    assert found.fields == ((b"Host", b"a.example:8080"), (b"X-Odd", b"caf\xe9"), (b"content-LENGTH", b"0012"))
    assert found.content_length == 12
    assert not found.is_chunked
    assert found.has_body
    assert found.host == "a.example:8080"


@pytest.mark.parametrize("method", [b"GET", b"get", b"PROPFIND", b"M-SEARCH", b"x!#$%&'*+-.^_`|~9"])
def test_any_token_is_a_method(http1: ModuleType, method: bytes) -> None:
    assert http1.parse_request_head(head(method + b" / HTTP/1.1"), LIMITS).method == method


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET",
        b"GET /",
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b" GET / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET\t/\tHTTP/1.1",
        b"GET / http/1.1",
        b"GET / HTTP/1.10",
        b"GET / HTTP/01.1",
        b"GET / HTTP/1",
        b"GET / HTTP/1,1",
        b"GET / HTTQ/1.1",
        b"G:T / HTTP/1.1",
        b"G\xc9T / HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET /a#b HTTP/1.1",
        b"GET /\xc3\xa9 HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET a HTTP/1.1",
        b"GET * HTTP/1.1",
        b"GET ?a HTTP/1.1",
        b"GET a.example:80 HTTP/1.1",
        b"GET ftp://a.example/ HTTP/1.1",
        b"GET http:///x HTTP/1.1",
        b"GET http://u@a.example/ HTTP/1.1",
        b"GET http://u:p@a.example/ HTTP/1.1",
        b"GET http://a.example:99999/ HTTP/1.1",
        b"OPTIONS ** HTTP/1.1",
    ],
)
def test_refuses_a_bad_request_line(http1: ModuleType, line: bytes) -> None:
    assert refused(http1, head(line)) == "bad_request"


@pytest.mark.parametrize("version", [b"HTTP/0.9", b"HTTP/2.0", b"HTTP/3.1", b"HTTP/9.9"])
def test_refuses_another_major_version(http1: ModuleType, version: bytes) -> None:
    assert refused(http1, head(b"GET / " + version)) == "version_unsupported"
    assert refused(http1, b"PRI * HTTP/2.0\r\n\r\n") == "version_unsupported"


def test_a_later_minor_version_is_treated_as_1_1(http1: ModuleType) -> None:
    assert http1.parse_request_head(head(b"GET / HTTP/1.9"), LIMITS).version == (1, 1)


@pytest.mark.parametrize("target", [b"a.example:443", b"/", b"*", b"http://a.example/"])
def test_connect_is_not_implemented(http1: ModuleType, target: bytes) -> None:
    assert refused(http1, head(b"CONNECT " + target + b" HTTP/1.1")) == "not_implemented"


def test_asterisk_form_is_for_options(http1: ModuleType) -> None:
    found = http1.parse_request_head(head(b"OPTIONS * HTTP/1.1"), LIMITS)
    assert origin_form(found.method, found.target) == b"*"


@pytest.mark.parametrize(
    ("method", "target", "host", "origin"),
    [
        (b"GET", b"http://b.example/x?y", "b.example", b"/x?y"),
        (b"GET", b"HTTPS://b.example:8443", "b.example:8443", b"/"),
        (b"GET", b"http://b.example?y=/z", "b.example", b"/?y=/z"),
        (b"GET", b"http://[2001:db8::1]:80/", "[2001:db8::1]:80", b"/"),
        (b"OPTIONS", b"http://b.example", "b.example", b"*"),
        (b"OPTIONS", b"http://b.example/", "b.example", b"/"),
        (b"GET", b"//b.example/x", "a.example", b"//b.example/x"),
    ],
)
def test_the_authority_of_an_absolute_target_beats_host(
    http1: ModuleType, method: bytes, target: bytes, host: str, origin: bytes
) -> None:
    found = http1.parse_request_head(head(method + b" " + target + b" HTTP/1.1"), LIMITS)
    assert found.host == host
    assert found.target == target
    assert origin_form(found.method, found.target) == origin


@pytest.mark.parametrize(
    "host",
    [b"a", b"A.Example", b"127.0.0.1:8080", b"[::1]", b"[::ffff:1.2.3.4]:1", b"a_b.example", b"a%41.example", b"a:"],
)
def test_takes_a_good_host(http1: ModuleType, host: bytes) -> None:
    assert http1.parse_request_head(head(host=host), LIMITS).host == host.decode()


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"a b",
        b"a/b",
        b"a@b",
        b"a#b",
        b"a?b",
        b"a\\b",
        b"a,b",
        b"a\tb",
        b"a:b",
        b"a:-1",
        b"a:65536",
        b"a:1:2",
        b":80",
        b"::1",
        b"[::1",
        b"[::g]",
        b"[1.2.3.4]",
        b"[fe80::1%25eth0]",
        b"[::1]x",
        b"a%4",
        b"\xe9.example",
        b"http://a",
        b"a" * 256,
    ],
)
def test_refuses_a_bad_host(http1: ModuleType, host: bytes) -> None:
    assert refused(http1, head(host=host)) == "bad_request"
    assert refused(http1, head(b"GET / HTTP/1.0", host=host)) == "bad_request"


def test_host_comes_exactly_once(http1: ModuleType) -> None:
    assert refused(http1, head(host=None)) == "bad_request"
    assert refused(http1, head(b"GET http://a.example/ HTTP/1.1", host=None)) == "bad_request"
    assert refused(http1, head(b"GET / HTTP/1.1", b"hOST: a.example")) == "bad_request"
    assert refused(http1, head(b"GET / HTTP/1.0", b"Host: a.example")) == "bad_request"
    assert http1.parse_request_head(head(b"GET / HTTP/1.0", host=None), LIMITS).host == ""


@pytest.mark.parametrize(
    "field",
    [
        b"X : 1",
        b"X\t: 1",
        b" X: 1",
        b": 1",
        b"X",
        b"",
        b"X Y: 1",
        b"X(: 1",
        b"X\xe9: 1",
        b"X: a\x00b",
        b"X: a\x01b",
        b"X: a\x7fb",
        b"X: a\x0bb",
        b"X: a long value with a \x7f in it",
        b"X: a long value with a \x1f in it",
        b"X: a\rb",
        b"X: a\nb",
        b"X: a\n",
        b"X: a\r",
        b"X: a\r\n b",
        b"X: a\r\n\tb",
    ],
)
def test_refuses_a_bad_field(http1: ModuleType, field: bytes) -> None:
    assert refused(http1, head(b"GET / HTTP/1.1", field, b"Y: 1")) == "bad_request"


def test_keeps_bytes_that_are_legal(http1: ModuleType) -> None:
    found = http1.parse_request_head(head(b"GET / HTTP/1.1", b"X:", b"Y: a\tb", b"Z: \x80\xff\xa0\x85"), LIMITS)
    assert found.fields[1:] == ((b"X", b""), (b"Y", b"a\tb"), (b"Z", b"\x80\xff\xa0\x85"))


@pytest.mark.parametrize(
    "value", [b"", b"+1", b"-1", b"1_0", b"0x1", b"1 0", b"1,1", b"1, 1", b"1.0", b"1e3", b"\xb2", b"9" * 19]
)
def test_refuses_a_bad_content_length(http1: ModuleType, value: bytes) -> None:
    assert refused(http1, head(b"POST / HTTP/1.1", b"Content-Length: " + value)) == "bad_request"


@pytest.mark.parametrize("second", [b"Content-Length: 3", b"Content-Length: 4", b"CONTENT-length:"])
def test_refuses_a_repeated_content_length(http1: ModuleType, second: bytes) -> None:
    assert refused(http1, head(b"POST / HTTP/1.1", b"Content-Length: 3", second)) == "bad_request"


def test_reads_chunked_in_any_case(http1: ModuleType) -> None:
    found = http1.parse_request_head(head(b"POST / HTTP/1.1", b"transfer-ENCODING: \tChunKED "), LIMITS)
    assert found.is_chunked
    assert found.has_body
    assert found.content_length is None


@pytest.mark.parametrize(
    "value",
    [b"", b"gzip", b"identity", b"gzip, chunked", b"chunked, chunked", b",chunked", b"chunked;q=1", b"xchunked"],
)
def test_refuses_another_transfer_coding(http1: ModuleType, value: bytes) -> None:
    assert refused(http1, head(b"POST / HTTP/1.1", b"Transfer-Encoding: " + value)) == "not_implemented"


def test_refuses_two_transfer_codings_and_two_framings(http1: ModuleType) -> None:
    chunked = b"Transfer-Encoding: chunked"
    assert refused(http1, head(b"POST / HTTP/1.1", chunked, chunked)) == "not_implemented"
    assert refused(http1, head(b"POST / HTTP/1.1", chunked, b"Content-Length: 3")) == "bad_request"
    assert refused(http1, head(b"POST / HTTP/1.1", b"Content-Length: 3", chunked)) == "bad_request"
    assert refused(http1, head(b"POST / HTTP/1.1", b"Transfer-Encoding: gzip", b"Content-Length: 3")) == "bad_request"
    assert refused(http1, head(b"POST / HTTP/1.0", chunked)) == "bad_request"


@pytest.mark.parametrize(
    ("line", "connection", "kept"),
    [
        (b"GET / HTTP/1.1", None, True),
        (b"GET / HTTP/1.1", b"close", False),
        (b"GET / HTTP/1.1", b"keep-alive, Close", False),
        (b"GET / HTTP/1.1", b"closed", True),
        (b"GET / HTTP/1.0", None, False),
        (b"GET / HTTP/1.0", b"Keep-Alive", True),
        (b"GET / HTTP/1.0", b"keep-alive,close", False),
    ],
)
def test_knows_whether_the_connection_is_kept(
    http1: ModuleType, line: bytes, connection: bytes | None, kept: bool
) -> None:
    fields = [] if connection is None else [b"Connection: " + connection]
    assert http1.parse_request_head(head(line, *fields), LIMITS).is_keep_alive is kept


def test_expectations(http1: ModuleType) -> None:
    asks = b"Expect: 100-Continue"
    assert http1.parse_request_head(head(b"POST / HTTP/1.1", asks), LIMITS).expects_continue
    assert not http1.parse_request_head(head(b"POST / HTTP/1.0", asks), LIMITS).expects_continue
    assert not http1.parse_request_head(head(), LIMITS).expects_continue
    assert refused(http1, head(b"POST / HTTP/1.1", b"Expect: 200-ok")) == "expectation_failed"
    assert refused(http1, head(b"POST / HTTP/1.1", b"Expect: 100-continue, x=y")) == "expectation_failed"


def test_limits_are_exact(http1: ModuleType) -> None:
    limits = HeadLimits(max_line_bytes=20, max_head_bytes=100, max_fields=3)
    http1.parse_request_head(head(b"GET /" + b"a" * 6 + b" HTTP/1.1"), limits)
    assert refused(http1, head(b"GET /" + b"a" * 7 + b" HTTP/1.1"), limits) == "target_too_long"
    http1.parse_request_head(head(b"GET / HTTP/1.1", b"A: 1", b"B: 2"), limits)
    assert refused(http1, head(b"GET / HTTP/1.1", b"A: 1", b"B: 2", b"C: 3"), limits) == "head_too_large"
    room = 100 - len(head(b"GET / HTTP/1.1", b"A: "))
    http1.parse_request_head(head(b"GET / HTTP/1.1", b"A: " + b"x" * room), limits)
    assert refused(http1, head(b"GET / HTTP/1.1", b"A: " + b"x" * (room + 1)), limits) == "head_too_large"


def test_a_detail_never_holds_a_value(http1: ModuleType) -> None:
    with pytest.raises(HeadError) as caught:
        http1.parse_request_head(head(b"GET / HTTP/1.1", b"Authorization : Bearer secret"), LIMITS)
    assert "secret" not in str(caught.value)
    with pytest.raises(HeadError) as caught:
        http1.parse_request_head(head(b"GET / HTTP/1.1", b"Bearer secret"), LIMITS)
    assert "secret" not in str(caught.value)


def test_wants_the_empty_line(http1: ModuleType) -> None:
    assert refused(http1, b"GET / HTTP/1.1\r\nHost: a\r\n") == "bad_request"
    assert refused(http1, b"\r\n\r\n") == "bad_request"


def test_each_head_is_held_to_the_limits_it_is_given(http1: ModuleType) -> None:
    raw = head(b"GET / HTTP/1.1", b"A: 1", b"B: 2")
    for _ in range(2):
        assert refused(http1, raw, HeadLimits(max_fields=2)) == "head_too_large"
        assert len(http1.parse_request_head(raw, HeadLimits(max_fields=3)).fields) == 3


def test_takes_as_many_fields_as_the_limits_allow(http1: ModuleType) -> None:
    fields = [b"X-%d: %d" % (number, number) for number in range(999)]
    found = http1.parse_request_head(head(b"GET / HTTP/1.1", *fields), HeadLimits(max_fields=1000))
    assert found.fields[1:] == tuple((b"X-%d" % number, b"%d" % number) for number in range(999))
