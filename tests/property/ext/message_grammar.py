"""HTTP/1.1 as its grammar wants it: messages in parts, each with the meaning that it has to be read with.

`message_traps` spoils them. Source: RFC 9110, RFC 9112.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from string import ascii_letters, digits

from hypothesis import strategies as st

from headgate.ext.http1 import Framing, Pair, RequestHead, ResponseHead

from .message_reader import Reading

TOKEN = "!#$%&'*+-.^_`|~" + digits + ascii_letters
FRAMING = frozenset((b"connection", b"content-length", b"expect", b"host", b"transfer-encoding", b"upgrade"))


@dataclass(frozen=True)
class Message:
    """A good message. `spaces` stand before and after the values of its fields, `body` is as sent, `data` as meant."""

    line: bytes
    fields: tuple[Pair, ...]
    spaces: tuple[bytes, bytes] = (b" ", b"")
    body: bytes = b""
    data: bytes = b""
    is_chunked: bool = False

    @property
    def head(self) -> bytes:
        """Its head."""
        return self.written(self.line, self.lines(self.fields))

    @property
    def raw(self) -> bytes:
        """All of it."""
        return self.head + self.body

    def lines(self, fields: tuple[Pair, ...]) -> list[bytes]:
        """Write fields as lines."""
        before, after = self.spaces
        return [name + b":" + before + value + after for name, value in fields]

    @staticmethod
    def written(line: bytes, lines: list[bytes]) -> bytes:
        """Write a head of lines."""
        return b"".join(each + b"\r\n" for each in (line, *lines)) + b"\r\n"

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of a field."""
        return [value for each, value in self.fields if each.lower() == name]

    def members(self, name: bytes) -> list[bytes]:
        """Return the members of a list, in lower case."""
        return [member.strip().lower() for value in self.values(name) for member in value.split(b",")]

    def length(self) -> int | None:
        """Return what Content-Length says."""
        (length,) = (*map(int, self.values(b"content-length")), None)[:1]
        return length

    def is_kept(self, minor: int) -> bool:
        """Whether another message may follow."""
        options = self.members(b"connection")
        return b"close" not in options and (minor > 0 or b"keep-alive" in options)

    def as_request(self) -> Reading:
        """How it has to be read."""
        method, target, version = self.line.split(b" ")
        minor = min(int(version[-1:]), 1)
        authority = target.partition(b"://")[2].partition(b"/")[0].partition(b"?")[0]
        host = authority if not target.startswith((b"/", b"*")) else b"".join(self.values(b"host"))
        head = RequestHead(
            method=method,
            target=target,
            version=(1, minor),
            fields=self.fields,
            content_length=self.length(),
            is_chunked=self.is_chunked,
            is_keep_alive=self.is_kept(minor),
            expects_continue=minor == 1 and b"100-continue" in self.members(b"expect"),
            host=host.decode(),
        )
        return Reading("whole", "", head, self.data)

    def as_response(self, method: bytes) -> Reading:
        """How it has to be read as the answer to `method`."""
        version, status, *reason = self.line.split(b" ", 2)
        minor = min(int(version[-1:]), 1)
        length = self.length()
        has_body = method != b"HEAD" and int(status) >= 200 and status not in (b"204", b"304")
        framing: Framing = "chunked" if self.is_chunked else "close" if length is None else "length"
        head = ResponseHead(
            status=int(status),
            reason=b"".join(reason).strip(b" \t"),
            version=(1, minor),
            fields=self.fields,
            framing=framing if has_body else "none",
            content_length=length,
            is_keep_alive=minor == 1 and self.is_kept(minor),
        )
        if not has_body:
            return Reading("whole", "", head, b"", self.body)
        return Reading("open" if framing == "close" else "whole", "", head, self.data)


# Parts, as strategies.

tokens = st.text(TOKEN, min_size=1, max_size=8).map(str.encode)
methods = st.sampled_from(
    (b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"PROPFIND")
) | tokens.filter(lambda method: method != b"CONNECT")
_VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "#")
_escapes = st.sampled_from((b"%2e%2E", b"%2F", b"%zz", b"%", b"%00", b"%c3%a9", b"//", b"..", b"?", b";a=b", b"?x=/:@"))
_rests = st.lists(_escapes | st.text(_VISIBLE, max_size=6).map(str.encode), max_size=4).map(b"".join)
names = st.text(ascii_letters + digits + "-._~", min_size=1, max_size=12).map(str.encode)
ports = st.sampled_from((b"", b":", b":80", b":65535"))
_addresses = st.sampled_from((b"127.0.0.1", b"[::1]", b"[2001:db8::1:2]", b"a%2Db", b"a_b"))
hosts = st.tuples(names | _addresses, ports).map(b"".join)
targets = st.one_of(
    _rests.map(lambda rest: b"/" + rest),
    st.tuples(
        st.sampled_from((b"http://", b"HTTPS://")), hosts, _rests.map(lambda rest: b"/" + rest) | st.just(b"")
    ).map(b"".join),
)
_OCTETS = bytes((*range(0x21, 0x7F), *range(0x80, 0x100)))
values = st.lists(st.sampled_from([bytes((octet,)) for octet in (*_OCTETS, *b" \t")]), max_size=12).map(
    lambda octets: b"".join(octets).strip(b" \t")
)
others = st.lists(st.tuples(tokens.filter(lambda name: name.lower() not in FRAMING), values), max_size=4)
spaces = st.tuples(st.sampled_from((b" ", b"", b"\t", b" \t ")), st.sampled_from((b"", b"", b" ", b"\t ")))
connections = st.lists(
    st.sampled_from((b"close", b"Keep-Alive", b"x", b"TE", b"CLOSE", b"keep-alive")), max_size=3
).map(b", ".join)
_extensions = st.lists(
    st.tuples(tokens, st.sampled_from((b"", b"=b", b'="c;\\" d"', b'=""'))).map(lambda pair: b";" + b"".join(pair)),
    max_size=2,
).map(b"".join)
_size_formats = st.sampled_from((b"%x", b"%X", b"0%x", b"%016x"))
chunks = st.tuples(st.binary(min_size=1, max_size=20), _size_formats, _extensions)
_trailers = st.lists(
    st.tuples(tokens.filter(lambda name: name.lower() not in FRAMING | {b"trailer"}), values), max_size=2
)


@st.composite
def chunked(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draw a chunked body, and what it means."""
    parts = draw(st.lists(chunks, max_size=4))
    written = [form % len(data) + extension + b"\r\n" + data + b"\r\n" for data, form, extension in parts]
    end = draw(st.sampled_from((b"0", b"000"))) + draw(_extensions) + b"\r\n"
    trailers = b"".join(b"%b: %b\r\n" % pair for pair in draw(_trailers))
    return b"".join(written) + end + trailers + b"\r\n", b"".join(data for data, _, _ in parts)


@st.composite
def _framed(draw: st.DrawFn, minor: int) -> tuple[list[Pair], bytes, bytes, bool]:
    """Draw the fields that frame a body, the body as sent, what it means, and whether it is chunked."""
    kinds = ("none", "length", "chunked") if minor else ("none", "length")
    kind = draw(st.sampled_from(kinds))
    if kind == "chunked":
        coding = draw(st.sampled_from((b"chunked", b"Chunked", b"CHUNKED")))
        return [(draw(st.sampled_from((b"Transfer-Encoding", b"transfer-encoding"))), coding)], *draw(chunked()), True
    if kind == "length":
        data = draw(st.binary(max_size=30))
        form = draw(st.sampled_from((b"%d", b"00%d", b"%018d")))
        return [(draw(st.sampled_from((b"Content-Length", b"content-length"))), form % len(data))], data, data, False
    return [], b"", b"", False


@st.composite
def requests(draw: st.DrawFn) -> Message:
    """Draw a good request."""
    minor = draw(st.sampled_from((1, 1, 1, 0)))
    is_general = draw(st.integers(0, 19)) == 0
    line = b"OPTIONS *" if is_general else draw(methods) + b" " + draw(targets)
    framing, body, data, is_chunked = draw(_framed(minor))
    fields = [*draw(others), *framing, (b"Host", draw(hosts))]
    if draw(st.booleans()):
        fields.append((b"Connection", draw(connections)))
    if draw(st.integers(0, 4)) == 0:
        fields.append((b"Expect", draw(st.sampled_from((b"100-continue", b"100-Continue")))))
    fields = draw(st.permutations(fields))
    return Message(b"%b HTTP/1.%d" % (line, minor), tuple(fields), draw(spaces), body, data, is_chunked)


@st.composite
def responses(draw: st.DrawFn) -> Message:
    """Draw a good answer; what goes on until the connection is closed has a body, too."""
    minor = draw(st.sampled_from((1, 1, 1, 0)))
    status = draw(st.sampled_from((200, 200, 201, 204, 304, 404, 500, 599, 103, 100)))
    framing, body, data, is_chunked = draw(_framed(minor))
    if not framing and status >= 200:
        body = data = draw(st.binary(max_size=20))
    fields = [*draw(others), *framing]
    if draw(st.booleans()):
        fields.append((b"Connection", draw(connections)))
    reason = draw(st.sampled_from((b"", b" ", b" OK", b" Not  F\xf6und ")))
    line = b"HTTP/1.%d %d%b" % (minor, status, reason)
    return Message(line, tuple(draw(st.permutations(fields))), draw(spaces), body, data, is_chunked)


# A few of them, without chance: to spoil each in every way, and for a fuzzer to begin with.

_HOST = (b"Host", b"a.example")
_CODED = (b"Transfer-Encoding", b"chunked")
_SENT = b'5\r\nhello\r\n1;a="b"\r\n!\r\n0\r\nX: 1\r\n\r\n'
REQUESTS = (
    Message(b"GET /a%2Fb?c HTTP/1.1", (_HOST, (b"X", b"caf\xe9"))),
    Message(
        b"POST / HTTP/1.1",
        (_HOST, (b"Content-Length", b"5"), (b"Connection", b"x, close")),
        body=b"hello",
        data=b"hello",
    ),
    Message(b"PUT http://b.example:80/q HTTP/1.1", (_HOST, _CODED), body=_SENT, data=b"hello!", is_chunked=True),
    Message(b"OPTIONS * HTTP/1.0", (_HOST, (b"Connection", b"keep-alive"))),
)
RESPONSES = (
    Message(b"HTTP/1.1 200 OK", ((b"Content-Length", b"5"),), body=b"hello", data=b"hello"),
    Message(b"HTTP/1.1 200", (_CODED, (b"X", b"caf\xe9")), body=_SENT, data=b"hello!", is_chunked=True),
    Message(b"HTTP/1.0 404 Not Found", ((b"Connection", b"close"),), body=b"gone", data=b"gone"),
    Message(b"HTTP/1.1 304 ", ((b"Content-Length", b"7"),)),
)


def splits(data: bytes) -> Iterator[list[bytes]]:
    """Yield `data` in all its bytes, and in two pieces for every place to cut it."""
    yield [data[at : at + 1] for at in range(len(data))]
    yield from ([data[:at], data[at:]] for at in range(1, len(data)))
