"""Writes messages of HTTP/1.1 at random: mostly as the grammar wants them, some with a thing or two wrong."""

from __future__ import annotations

from random import Random

OCTETS = tuple(bytes((octet,)) for octet in (*b'\r\n\0\t :,;="#\\/[]%.+-_0123456789abfxzAFX{}', 0x01, 0x7F, 0x80, 0xFF))
PIECES = (*OCTETS, b"\r\n", b"\r\n\r\n", b"\r\n ", b"\n\n", b"0\r\n\r\n", b"chunked", b"close", b"HTTP/1.1")
METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"PROPFIND")
ODD_METHODS = (b"get", b"M-SEARCH", b"x!#$%&'*+-.^_`|~9", b"CONNECT", b"G(T", b"")
TARGETS = (b"/", b"/a%2Fb//../c", b"/%2e%2e/%zz?x=%", b"/v1/chat/completions?a=b&c", b'/|{}"<>^`\\', b"//b.example/x")
ODD_TARGETS = (
    b"*",
    b"http://b.example/q?r",
    b"HTTPS://[::1]:80",
    b"http://u@b/",
    b"a",
    b"/a#b",
    b"/\xe9",
    b"http://",
    b"",
)
HOSTS = (b"a.example", b"127.0.0.1:8080", b"a_b.example:", b"A-b~c.example:65535", b"x" * 255)
ODD_HOSTS = (
    b"[::1]:80",
    b"a%41",
    b"a,b",
    b"a b",
    b"",
    b":80",
    b"a:65536",
    b"a:b",
    b"a:1:2",
    b"x" * 256,
    b"[::g]",
    b"a%4",
)
NAMES = (b"X", b"accept", b"X-Y!", b"Cookie", b"Via", b"Authorization", b"X-Request-Id", b"x_y", b"Hosts", b"Expires")
VALUES = (
    b"",
    b"a",
    b"a\tb",
    b"caf\xe9",
    b"\xff\x80\xa0\x85",
    b"a, b ,c",
    b"text/html;q=0.9",
    b"Bearer secret",
    b"x" * 60,
)
ODD_FIELDS = (
    b"X : 1",
    b" folded",
    b": 1",
    b"X",
    b"",
    b"X Y: 1",
    b"X\xe9: 1",
    b"X: a\x00",
    b"X: a\x7f",
    b"X: a\rb",
    b"X: a\nb",
)
LENGTHS = (b"%d", b"000%d", b"%d ", b"\t%d")
ODD_LENGTHS = (b"+%d", b"-%d", b"%d,%d", b"0x%d", b"", b"%d.0", b"9" * 18, b"9" * 19, b"\xb2")
CODINGS = (b"chunked", b"Chunked", b"\tCHUNKED ")
ODD_CODINGS = (b"gzip", b"gzip, chunked", b"chunked, chunked", b"", b"xchunked", b"chunked;q=1", b",chunked")
CONNECTIONS = (b"close", b"keep-alive", b"x ,CLOSE, y", b"Keep-Alive,x", b"", b",,", b"closed", b"te", b"x\t,\tclose")
EXPECTS = (b"100-continue", b"100-Continue", b"", b"200-ok", b"100-continue, x", b"100-continue,")
STATUSES = (b"200", b"200", b"200", b"204", b"304", b"404", b"205", b"599", b"500")
ODD_STATUSES = (b"099", b"600", b"20", b"2000", b"2x0", b"+20", b"999", b" 200")
REASONS = (b" OK", b"", b" ", b" Not  F\xf6und ", b" \t")
SIZES = (0, 1, 1, 2, 5, 10, 16, 17, 300)
SIZE_FORMATS = (b"%x", b"%X", b"0%x", b"000000%x")
EXTENSIONS = (b";a", b";a=b", b';a="b;\\" c"', b";n=v;m")
ODD_EXTENSIONS = (b" ", b";", b" ;a", b"; a", b";a=", b';a="b', b";a\x00", b";a\xff", b",")
TRAILERS = (b"X: 1", b"Y:", b"X-Sum:\tabc ", b"x: \xff")
ODD_TRAILERS = (
    b" X: 1",
    b"X 1",
    b": 1",
    b"Content-Length: 3",
    b"transfer-encoding: chunked",
    b"X: \x00",
    b"Trailer: x",
)


class MessageWriter:
    """Writes in bulk from one seed, which is faster than drawing each part; what fails is in the assertion."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.pick = self.random.choice
        self._odd = self.pick((0.0, 0.0, 0.02, 0.1))  # how often a part is odd

    def pieces(self, data: bytes) -> list[bytes]:
        """Cut into pieces, a few or many, empty ones too."""
        num = self.pick((0, 1, 2, 5, 20))
        at = sorted(self.random.randrange(len(data) + 1) for _ in range(num))
        return [data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True)]

    def request(self) -> bytes:
        """A request, and often the beginning of what comes behind it."""
        version = self._or((b"1.1", b"1.1", b"1.1", b"1.0"), (b"1.9", b"2.0", b"1.10", b"1", b"1.x"))
        line = b" ".join((self._or(METHODS, ODD_METHODS), self._or(TARGETS, ODD_TARGETS), b"HTTP/" + version))
        body, framing = self._body()
        fields = [b"Host: " + self._or(HOSTS, ODD_HOSTS), *framing]
        if self._is_odd():
            fields += self.pick(
                ([b"Expect: " + self.pick(EXPECTS)], [b"host: a"], [b"Expect:", b"Expect: 100-continue"])
            )
        empty = self.pick((b"", b"", b"", b"\r\n"))
        return self._spoilt(
            empty + self._head(line, fields) + body + self.pick((b"", b"", b"GET / HT", b"\r\n", b"\0"))
        )

    def response(self) -> bytes:
        """An answer, often with others before it, and something behind it."""
        before = [self._informational() for _ in range(self.pick((0, 0, 0, 1, 2)))]
        version = self._or((b"1.1", b"1.1", b"1.1", b"1.0"), (b"1.9", b"2.0", b"1", b"1.11"))
        line = b"HTTP/" + version + b" " + self._or(STATUSES, ODD_STATUSES) + self.pick(REASONS)
        body, framing = self._body()
        return self._spoilt(
            b"".join(before) + self._head(line, framing) + body + self.pick((b"", b"", b"", b"HTTP", b"\r\n"))
        )

    def chunked(self) -> bytes:
        """A chunked body, and something behind it."""
        return self._spoilt(self._chunked()[0] + self.pick((b"", b"", b"\r\n", b"GET")))

    def fields(self) -> list[tuple[bytes, bytes]]:
        """Fields for a request that is to be written."""
        fields = [(b"Host", self._or(HOSTS, (b"", b" a", b"a\r\n")))]
        for _ in range(self.pick((0, 1, 3, 8))):
            fields.append(
                (self._or(NAMES, (b"", b"X Y", b"X:", b"\xe9")), self._or(VALUES, (b" a", b"a\t", b"a\nb", b"\0")))
            )
        fields += self.pick(
            (
                [],
                [(b"Content-Length", b"%d" % self.pick(SIZES))],
                [(b"Transfer-Encoding", b"chunked")],
                [(b"content-length", self._or((b"007",), ODD_LENGTHS))],
            )
        )
        if self.random.random() < 0.2:
            fields.append((b"Connection", self.pick(CONNECTIONS).strip()))
            fields.append((b"Upgrade", self.pick((b"websocket", b"a, B", b""))))
        if self._is_odd():
            fields.append(self.pick(fields))
        self.random.shuffle(fields)
        return fields

    def _is_odd(self) -> bool:
        return self.random.random() < self._odd

    def _or(self, good: tuple[bytes, ...], odd: tuple[bytes, ...]) -> bytes:
        return self.pick(odd if self._is_odd() else good)

    def _head(self, line: bytes, fields: list[bytes]) -> bytes:
        for _ in range(self.pick((0, 1, 2, 4, 7))):
            space = self.pick((b" ", b" ", b"", b"\t", b"  "))
            fields.append(
                self._or(NAMES, (b"Upgrade",)) + b":" + space + self.pick(VALUES) + self.pick((b"", b"", b" "))
            )
        if self.random.random() < 0.3:
            fields.append(self.pick((b"Connection: ", b"CONNECTION:")) + self.pick(CONNECTIONS))
        if self._is_odd():
            fields.append(self.pick(ODD_FIELDS))
        self.random.shuffle(fields)
        return b"".join(part + b"\r\n" for part in (line, *fields)) + b"\r\n"

    def _informational(self) -> bytes:
        switch = [b"Connection: upgrade", b"Upgrade: websocket"]
        status, fields = self.pick(((b"100", []), (b"103", [b"Link: </a>"]), (b"102", []), (b"101", switch)))
        return self._head(b"HTTP/1.1 " + status + b" Wait", list(fields))

    def _body(self) -> tuple[bytes, list[bytes]]:
        """Return a body, and the fields that frame it."""
        kind = self.random.random()
        if kind < 0.25:
            return self.pick((b"", b"", b"x", b"\r\n")) if self._is_odd() else b"", []
        if kind < 0.6:
            return self._chunked()
        size = self.pick(SIZES)
        written = self._or(LENGTHS, ODD_LENGTHS).replace(b"%d", b"%d" % size)
        fields = [self.pick((b"Content-Length", b"content-LENGTH")) + b": " + written]
        if self._is_odd():
            fields += [self.pick((fields[0], b"Content-Length: 3", b"Transfer-Encoding: chunked"))]
        return self._data(size), fields

    def _chunked(self) -> tuple[bytes, list[bytes]]:
        body = b"".join(map(self._chunk, [self.pick(SIZES[1:]) for _ in range(self.pick((0, 1, 2, 3, 90)))]))
        body += self.pick((b"0", b"0", b"000")) + self._extension() + b"\r\n"
        body += b"".join(self._or(TRAILERS, ODD_TRAILERS) + b"\r\n" for _ in range(self.pick((0, 0, 0, 1, 3))))
        return body + b"\r\n", [b"Transfer-Encoding: " + self._or(CODINGS, ODD_CODINGS)]

    def _chunk(self, size: int) -> bytes:
        written = self.pick(SIZE_FORMATS) % size if not self._is_odd() else self.pick((b"0x%x", b"+%x", b"g%x")) % size
        return written + self._extension() + b"\r\n" + self._data(size) + self._or((b"\r\n",), (b"\n", b"", b"X\r\n"))

    def _extension(self) -> bytes:
        return b"" if self.random.random() < 0.8 else self._or(EXTENSIONS, ODD_EXTENSIONS)

    def _data(self, size: int) -> bytes:
        return self.random.randbytes(size) if self.pick((True, False)) else (b"\r\n0\r\n\r\n" * size)[:size]

    def _spoilt(self, data: bytes) -> bytes:
        """Change a few bytes, or none."""
        for _ in range(self.pick((0, 0, 0, 0, 1, 1, 2))):
            at = self.random.randrange(len(data) + 1)
            data = data[:at] + self.pick((*PIECES, b"")) + data[at + self.pick((0, 0, 1, 2)) :]
        return data[: self.random.randrange(len(data) + 1)] if self.random.random() < 0.05 else data
