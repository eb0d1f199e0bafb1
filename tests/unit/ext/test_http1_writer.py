"""Request heads, written: what they say, and what is refused."""

from __future__ import annotations

from types import ModuleType

import pytest

HOST = (b"Host", b"a")


def test_writes_host_first_and_the_rest_as_it_came(http1: ModuleType) -> None:
    fields = [(b"X-Odd", b"caf\xe9\tb"), (b"X", b""), (b"hOST", b"a:1"), (b"x-odd", b"2"), (b"Content-Length", b"007")]
    written = http1.write_request_head(b"M-SEARCH", b"/a%2Fb//../?x=|", fields)
    assert written.data == (
        b"M-SEARCH /a%2Fb//../?x=| HTTP/1.1\r\nhOST: a:1\r\n"
        b"X-Odd: caf\xe9\tb\r\nX: \r\nx-odd: 2\r\nContent-Length: 007\r\n\r\n"
    )
    assert (written.length, written.is_keep_alive, written.upgrades) == (7, True, [])


@pytest.mark.parametrize(
    ("fields", "length", "is_keep_alive", "upgrades"),
    [
        ([], 0, True, []),
        ([(b"Content-Length", b"0")], 0, True, []),
        ([(b"content-LENGTH", b"9" * 18)], 10**18 - 1, True, []),
        ([(b"transfer-ENCODING", b"Chunked")], None, True, []),
        ([(b"Connection", b"x, Close")], 0, False, []),
        ([(b"Connection", b"closed"), (b"connection", b"keep-alive")], 0, True, []),
        ([(b"Connection", b"Upgrade"), (b"Upgrade", b"A, b"), (b"upgrade", b"C")], 0, True, [b"a", b"b", b"c"]),
        ([(b"Expect", b"anything")], 0, True, []),
    ],
)
def test_says_what_follows(
    http1: ModuleType,
    fields: list[tuple[bytes, bytes]],
    length: int | None,
    is_keep_alive: bool,
    upgrades: list[bytes],
) -> None:
    written = http1.write_request_head(b"POST", b"*", [HOST, *fields])
    assert written[1:] == (length, is_keep_alive, upgrades)
    assert (written.length, written.is_keep_alive, written.upgrades) == (length, is_keep_alive, upgrades)


@pytest.mark.parametrize("form", [tuple, list, iter])
def test_takes_fields_in_any_form(http1: ModuleType, form: type) -> None:
    fields = [HOST, *((b"X-%d" % number, b"secret") for number in range(300))]
    data = http1.write_request_head(b"GET", b"/", form(fields)).data
    assert data.count(b"\r\n") == 303
    assert (
        http1.write_request_head(b"GET", b"/", form(fields[:2])).data
        == b"GET / HTTP/1.1\r\nHost: a\r\nX-0: secret\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("method", "target"), [(b"", b"/"), (b"G T", b"/"), (b"G\r", b"/"), (b"GET", b""), (b"GET", b"/ x")]
)
@pytest.mark.parametrize("tail", [b"\r\n", b"\n", b"\0", b"\xe9", b" "])
def test_refuses_a_bad_first_line(http1: ModuleType, method: bytes, target: bytes, tail: bytes) -> None:
    for bad in ((method, target), (b"GET", b"/" + tail), (b"GET" + tail, b"/")):
        with pytest.raises(ValueError, match=r"expected a (method|target)"):
            http1.write_request_head(*bad, [HOST])


@pytest.mark.parametrize("name", [b"", b" ", b"X ", b"X:", b"X\r\nY", b"X\xe9", b"X\0", b"("])
def test_refuses_a_bad_name(http1: ModuleType, name: bytes) -> None:
    with pytest.raises(ValueError, match="expected a field name"):
        http1.write_request_head(b"GET", b"/", [HOST, (name, b"x")])


@pytest.mark.parametrize(
    "value", [b" secret", b"secret\t", b"secret\r\nX: y", b"sec\nret", b"secret\0", b"\x7fsecret", b" "]
)
def test_refuses_a_bad_value_without_telling_it(http1: ModuleType, value: bytes) -> None:
    for fields in ([HOST, (b"X", value)], [(b"Host", value)], [HOST, (b"Connection", value)]):
        with pytest.raises(ValueError, match="expected a value of") as caught:
            http1.write_request_head(b"GET", b"/", fields)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ([], "exactly one Host, got 0"),
        ([HOST, (b"HOST", b"b")], "exactly one Host, got 2"),
        ([HOST, (b"Content-Length", b"3"), (b"Content-Length", b"3")], "one Content-Length, got 2"),
        ([HOST, (b"Content-Length", b"+3")], "Content-Length of 1 to 18 digits"),
        ([HOST, (b"Content-Length", b"9" * 19)], "Content-Length of 1 to 18 digits"),
        ([HOST, (b"Content-Length", b"3"), (b"Transfer-Encoding", b"chunked")], "got both"),
        ([HOST, (b"Transfer-Encoding", b"gzip")], "no transfer coding but one, chunked"),
        ([HOST, (b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")], "but one, chunked"),
    ],
)
def test_refuses_what_would_not_be_read_as_it_is_meant(
    http1: ModuleType, fields: list[tuple[bytes, bytes]], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        http1.write_request_head(b"POST", b"/", fields)
