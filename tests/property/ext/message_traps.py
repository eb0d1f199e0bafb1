"""Ways to spoil a message of HTTP/1.1, known from request smuggling: none may be taken, however it is split.

Source: RFC 9112 §11.2; RFC 9110 §5.5; the tables of published differential tests of proxies and servers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from headgate.ext.http1 import MAX_EXTENSION_BYTES, MAX_TRAILER_BYTES, HeadLimits, Pair

from .message_grammar import REQUESTS, RESPONSES, Message

Trap = Callable[[Message], bytes]
LIMITS = HeadLimits()
_FRAMING = (b"content-length", b"transfer-encoding")
_CODED = b"Transfer-Encoding: chunked"


def _unframed(message: Message) -> list[bytes]:
    fields: tuple[Pair, ...] = tuple(pair for pair in message.fields if pair[0].lower() not in _FRAMING)
    return message.lines(fields)


def framed(*lines: bytes, body: bytes = b"hello") -> Trap:
    """Frame the body by these lines alone."""
    return lambda message: message.written(message.line, [*_unframed(message), *lines]) + body


def added(line: bytes) -> Trap:
    """Add a line between others."""
    return lambda message: message.written(message.line, [*message.lines(message.fields), line, b"Y: 2"]) + message.body


def replaced(old: bytes, new: bytes) -> Trap:
    """Put `new` in the place of the first `old` in the head."""
    return lambda message: message.head.replace(old, new, 1) + message.body


def begun(line: bytes) -> Trap:
    """Begin with another line."""
    return lambda message: message.written(line, message.lines(message.fields)) + message.body


def chunks(body: bytes) -> Trap:
    """Send this as the body, chunked."""
    return framed(_CODED, body=body)


# Of requests and of answers.
LENGTHS: dict[str, Trap] = {
    "length and coding": framed(b"Content-Length: 5", _CODED, body=b"0\r\n\r\nX"),
    "coding and length": framed(_CODED, b"content-length: 5", body=b"0\r\n\r\nX"),
    "the same length twice": framed(b"Content-Length: 5", b"Content-Length: 5"),
    "two lengths": framed(b"Content-Length: 5", b"content-length: 6"),
    "list of lengths": framed(b"Content-Length: 5, 5"),
    "length with a sign": framed(b"Content-Length: +5"),
    "negative length": framed(b"Content-Length: -5"),
    "hexadecimal length": framed(b"Content-Length: 0x5"),
    "length with an underscore": framed(b"Content-Length: 0_5"),
    "length with a space": framed(b"Content-Length: 0 5"),
    "length with a point": framed(b"Content-Length: 5.0"),
    "length in other digits": framed(b"Content-Length: \xd9\xa5"),
    "no length": framed(b"Content-Length:"),
    "huge length": framed(b"Content-Length: " + b"9" * 19),
    "length that wraps around": framed(b"Content-Length: 18446744073709551621"),
    "space before the colon of a length": framed(b"Content-Length : 5"),
    "tab before the colon of a length": framed(b"Content-Length\t: 5"),
    "folded length": framed(b"Content-Length:\r\n 5"),
    "length after a vertical tab": framed(b"Content-Length: \x0b5"),
}
CODINGS: dict[str, Trap] = {
    "coding twice": framed(_CODED, _CODED, body=b"0\r\n\r\n"),
    **{
        f"coding {value!r}": framed(b"Transfer-Encoding:" + value, body=b"0\r\n\r\n")
        for value in (
            *(
                b" gzip",
                b" gzip, chunked",
                b" chunked, chunked",
                b" identity",
                b" chunked, identity",
                b"",
                b" xchunked",
            ),
            *(
                b" chunked;q=1",
                b" ,chunked",
                b" chunked,",
                b' "chunked"',
                b" \x0bchunked",
                b" chunked\x00",
                b"\r\n chunked",
            ),
            *(b" chunked\r\n\tx", b" chunk\xe9d", b" chunked\r", b" chunked\n"),
        )
    },
    "space before the colon of a coding": framed(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
    "coding after a space": framed(b" Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "coding without a colon": framed(b"Transfer-Encoding chunked", body=b"0\r\n\r\n"),
    "coding hidden behind a bare CR": framed(b"X: 1\rTransfer-Encoding: chunked", body=b"0\r\n\r\n"),
}
LINES: dict[str, Trap] = {
    "fold with a space": added(b"X: 1\r\n 2"),
    "fold with a tab": added(b"X: 1\r\n\t2"),
    "fold of nothing": added(b"X:\r\n "),
    "space before the colon": added(b"X : 1"),
    "tab before the colon": added(b"X\t: 1"),
    "space in a name": added(b"X Y: 1"),
    "no name": added(b": 1"),
    "no colon": added(b"X"),
    "byte above 127 in a name": added(b"X\xe9: 1"),
    "bare LF in a value": added(b"X: 1\nY: 2"),
    "bare CR in a value": added(b"X: 1\r2"),
    "NUL in a value": added(b"X: 1\x00"),
    "DEL in a value": added(b"X: 1\x7f"),
    "NUL in a name": added(b"X\x00: 1"),
    "bare LF behind the first line": replaced(b"\r\n", b"\n"),
    "bare CR behind the first line": replaced(b"\r\n", b"\r"),
    "two CR behind the first line": replaced(b"\r\n", b"\r\r\n"),
    "bare LF as the empty line": replaced(b"\r\n\r\n", b"\r\n\n"),
    "two bare LF at the end": replaced(b"\r\n\r\n", b"\n\n"),
    "first field after a space": replaced(b"\r\n", b"\r\n "),
    "too many fields": added(b"\r\n".join([b"X: 1"] * LIMITS.max_fields)),
    "too large a head": added(b"X: " + b"a" * LIMITS.max_head_bytes),
}
CHUNKS: dict[str, Trap] = {
    **{
        f"chunk size {size!r}": chunks(size + b"\r\nhello\r\n0\r\n\r\n")
        for size in (
            *(
                b"0x5",
                b"+5",
                b"-5",
                b" 5",
                b"5 ",
                b"5\t",
                b"",
                b"g",
                b"\xb2",
                b"5_0",
                b"00000000000000005",
                b"10000000000000005",
            ),
            *(
                b"5 ;a",
                b"5; a",
                b"5;",
                b"5;a=",
                b'5;a="b',
                b"5;a=b c",
                b"5;a\x00",
                b"5;a\r",
                b"5,a",
                b"5;;a",
                b'5;a="\x7f"',
            ),
        )
    },
    "bare LF behind a chunk size": chunks(b"5\nhello\r\n0\r\n\r\n"),
    "bare CR behind a chunk size": chunks(b"5\rhello\r\n0\r\n\r\n"),
    "bare LF in an extension": chunks(b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
    "bare LF behind a chunk": chunks(b"5\r\nhello\n0\r\n\r\n"),
    "nothing behind a chunk": chunks(b"5\r\nhello0\r\n\r\n"),
    "a chunk that is longer": chunks(b"5\r\nhello!\r\n0\r\n\r\n"),
    "a chunk that is shorter": chunks(b"6\r\nhello\r\n0\r\n\r\n"),
    "bare LF as the last empty line": chunks(b"0\r\n\n"),
    "bare LF behind a trailer": chunks(b"0\r\nX: 1\n\r\n"),
    "too long an extension": chunks(b"5;" + b"a" * MAX_EXTENSION_BYTES + b"\r\nhello\r\n0\r\n\r\n"),
    "too many extensions": chunks(b"1;abcdefg\r\nx\r\n" * (MAX_EXTENSION_BYTES // 8 + 1) + b"0\r\n\r\n"),
    "too long a trailer": chunks(b"0\r\nX: " + b"a" * MAX_TRAILER_BYTES + b"\r\n\r\n"),
    "too many trailers": chunks(b"0\r\n" + b"X: 1\r\n" * (MAX_TRAILER_BYTES // 6 + 1) + b"\r\n"),
    **{
        f"trailer {line!r}": chunks(b"0\r\n" + line + b"\r\n\r\n")
        for line in (
            *(b"Content-Length: 3", b"transfer-encoding: chunked", b"Host: b", b"Trailer: x", b"X : 1", b"X", b": 1"),
            *(b"X: 1\r\n 2", b" X: 1", b"X: \x00", b"X: 1\r2", b"X\xe9: 1"),
        )
    },
}
REQUEST_TRAPS: dict[str, Trap] = {
    **{
        f"request line {line!r}": begun(line)
        for line in (
            *(
                b"GET  / HTTP/1.1",
                b"GET / HTTP/1.1 ",
                b" GET / HTTP/1.1",
                b"GET\t/ HTTP/1.1",
                b"GET /\tHTTP/1.1",
                b"GET /",
            ),
            *(
                b"GET / HTTP/0.9",
                b"GET / HTTP/2.0",
                b"GET / HTTP/1.10",
                b"GET / http/1.1",
                b"GET / HTTP/1",
                b"GET / HTTP/1.x",
            ),
            *(
                b"GET / HTTP/11",
                b"GET / HTTP /1.1",
                b"GET / XHTTP/1.1",
                b"GET /a b HTTP/1.1",
                b"/ HTTP/1.1",
                b"G(T / HTTP/1.1",
            ),
            *(
                b"GET: / HTTP/1.1",
                b"G\xe9T / HTTP/1.1",
                b"CONNECT a:80 HTTP/1.1",
                b"CONNECT / HTTP/1.1",
                b"GET * HTTP/1.1",
            ),
            *(
                b"GET a HTTP/1.1",
                b"GET ftp://a/ HTTP/1.1",
                b"GET http:// HTTP/1.1",
                b"GET http:///x HTTP/1.1",
                b"PRI * HTTP/2.0",
            ),
            *(
                b"GET http://u@a/ HTTP/1.1",
                b"GET http://u:p@a/ HTTP/1.1",
                b"GET http://a:b/ HTTP/1.1",
                b"GET ?a HTTP/1.1",
            ),
            *(
                b"GET http://a:65536/ HTTP/1.1",
                b"GET http://a,b/ HTTP/1.1",
                b"GET http://a\\b/ HTTP/1.1",
                b"GET /a#b HTTP/1.1",
            ),
            *(
                b"GET /\xc3\xa9 HTTP/1.1",
                b"GET /\x00 HTTP/1.1",
                b"GET /\x7f HTTP/1.1",
                b"GET /\x0b HTTP/1.1",
                b"",
                b"HTTP/1.1 200 OK",
            ),
            *(
                b"GET http://[::g]/ HTTP/1.1",
                b"GET http://[::1/ HTTP/1.1",
                b"GET /" + b"a" * LIMITS.max_line_bytes + b" HTTP/1.1",
            ),
        )
    },
    "coding in HTTP/1.0": lambda message: begun(b"POST / HTTP/1.0")(
        Message(b"", ((b"Host", b"a"), (b"Transfer-Encoding", b"chunked")), body=b"0\r\n\r\n")
    ),
    "two empty lines in front": lambda message: b"\r\n\r\n" + message.raw,
    "bare LF in front": lambda message: b"\n" + message.raw,
    "bare CR in front": lambda message: b"\r" + message.raw,
    "two hosts": added(b"Host: b"),
    "no host": lambda message: begun(b"GET / HTTP/1.1")(Message(b"", ((b"X", b"1"),))),
    **{
        f"host {value!r}": replaced(b"a.example", value)
        for value in (
            b"",
            b"a b",
            b"a,b",
            b"u@a",
            b"a/b",
            b"a:b",
            b"a:65536",
            b"a:1:2",
            b":80",
            b"[::g]",
            b"a%4",
            b"\xe9",
            b"a\\b",
        )
    },
    "another expectation": added(b"Expect: 200-ok"),
}
RESPONSE_TRAPS: dict[str, Trap] = {
    **{
        f"status line {line!r}": begun(line)
        for line in (
            *(
                b"HTTP/1.1  200 OK",
                b"HTTP/1.1 200OK",
                b"HTTP/1.1 20 OK",
                b"HTTP/1.1 2000 OK",
                b"HTTP/1.1 099 OK",
                b"HTTP/1.1 600 OK",
            ),
            *(
                b"HTTP/1.1 2x0 OK",
                b"HTTP/1.1 +20 OK",
                b"HTTP/1.1",
                b"HTTP/1.1 ",
                b"HTTP/2.0 200 OK",
                b"HTTP/1.10 200 OK",
                b"HTTP/1 200",
            ),
            *(
                b"http/1.1 200 OK",
                b" HTTP/1.1 200 OK",
                b"HTTP/1.1\t200 OK",
                b"HTTP/1.1 200\tOK",
                b"ICY 200 OK",
                b"HTTP/1.1 200 \x00",
            ),
            *(b"HTTP/1.1 \xb2\xb0\xb0 OK", b"HTTP/1.1 200 " + b"a" * LIMITS.max_line_bytes),
        )
    },
    "coding in HTTP/1.0": lambda message: begun(b"HTTP/1.0 200 OK")(
        Message(b"", ((b"Transfer-Encoding", b"chunked"),), body=b"0\r\n\r\n")
    ),
    "empty line in front": lambda message: b"\r\n" + message.raw,
}
OF_REQUESTS = LENGTHS | CODINGS | LINES | CHUNKS | REQUEST_TRAPS
OF_RESPONSES = LENGTHS | CODINGS | LINES | CHUNKS | RESPONSE_TRAPS


def requests_of_all_kinds() -> Iterator[bytes]:
    """Yield a few good requests, and one of them spoilt in each way."""
    yield from (message.raw for message in REQUESTS)
    yield from (trap(REQUESTS[1]) for trap in OF_REQUESTS.values())


def responses_of_all_kinds() -> Iterator[bytes]:
    """Yield a few good answers, and one of them spoilt in each way."""
    yield from (message.raw for message in RESPONSES)
    yield from (trap(RESPONSES[0]) for trap in OF_RESPONSES.values())


def chunked_bodies_of_all_kinds() -> Iterator[bytes]:
    """Yield a good chunked body, and bad ones of each kind."""
    yield REQUESTS[2].body
    yield from (trap(RESPONSES[0]).partition(b"\r\n\r\n")[2] for trap in CHUNKS.values())
