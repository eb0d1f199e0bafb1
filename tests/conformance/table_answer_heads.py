"""Upstream answers: status line, fields, interim answers, and what may not pass the gateway."""

from __future__ import annotations

import re

from .case import BAD_GATEWAY, After, Answer, Case, Do, OriginStep, Outcome, Seen, Wanted, relayed, row

GET = b"GET /case HTTP/1.1\r\nHost: hg.test\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
TWO = b"Content-Length: 2\r\n\r\nok"
WEBSOCKET = (
    b"GET /case HTTP/1.1\r\nHost: hg.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\n"
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

DATE = re.compile(rb"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT")
STATUS = "RFC 9112 §4"
FIELD = "RFC 9112 §5; RFC 9110 §5.1"
OK_RELAYED = relayed(b"ok")


def _answer(name: str, source: str, data: bytes, *outcomes: Outcome, ends: tuple[OriginStep, ...] = ()) -> Case:
    return row(f"answer/{name}", source, GET, *outcomes or (OK_RELAYED,), scripts=((Do.READ_BODY, data, *ends),))


def _bad(name: str, source: str, data: bytes, *outcomes: Outcome) -> Case:
    """A malformed answer on a connection that the gateway must give up."""
    return _answer(name, source, data, *outcomes or (BAD_GATEWAY,), ends=(Do.GONE,))


def _line(name: str, line: bytes, *outcomes: Outcome) -> Case:
    make = _bad if BAD_GATEWAY in outcomes or not outcomes else _answer
    return make(f"line-{name}", STATUS, line + b"\r\n" + TWO, *outcomes)


def _kept(name: str, source: str, lines: bytes, **fields: Wanted) -> Case:
    return _answer(f"field-{name}", source, OK + lines + TWO, relayed(b"ok", **fields))


LINES = (
    _line("plain", b"HTTP/1.1 200 OK", OK_RELAYED),
    _line("empty-reason", b"HTTP/1.1 200 ", OK_RELAYED),
    _line("latin1-reason", b"HTTP/1.1 200 caf\xe9", OK_RELAYED),
    _line("long-reason", b"HTTP/1.1 200 " + b"very " * 40 + b"fine", OK_RELAYED),
    _answer("line-without-reason-space", "RFC 9112 §4 (a recipient may be lenient)", b"HTTP/1.1 200\r\n" + TWO,
            OK_RELAYED, BAD_GATEWAY),
    _line("unknown-2xx", b"HTTP/1.1 299 Odd", relayed(b"ok", 299)),
    _line("unknown-4xx", b"HTTP/1.1 499 Odd", relayed(b"ok", 499)),
    _line("unknown-5xx", b"HTTP/1.1 599 Odd", relayed(b"ok", 599)),
    _line("redirect-is-not-followed", b"HTTP/1.1 302 Found\r\nLocation: /elsewhere", relayed(b"ok", 302,
          location=b"/elsewhere")),
    _answer("line-1.0", "RFC 9112 §2.3 (the gateway answers in its own version)", b"HTTP/1.0 200 OK\r\n" + TWO,
            ends=(Do.FIN,)),
    _answer("line-1.2", "RFC 9110 §2.5", b"HTTP/1.2 200 OK\r\n" + TWO, OK_RELAYED, BAD_GATEWAY, ends=(Do.FIN,)),
    _line("status-000", b"HTTP/1.1 000 Odd"),
    _line("status-099", b"HTTP/1.1 099 Odd"),
    _line("status-20", b"HTTP/1.1 20 Odd"),
    _line("status-2000", b"HTTP/1.1 2000 Odd"),
    _line("status-letters", b"HTTP/1.1 2xx Odd"),
    _line("status-plus", b"HTTP/1.1 +20 Odd"),
    _line("status-minus", b"HTTP/1.1 -20 Odd"),
    _line("status-missing", b"HTTP/1.1"),
    _line("status-full-width", b"HTTP/1.1 \xef\xbc\x92\xef\xbc\x90\xef\xbc\x90 Odd"),
    _answer("line-status-600", "RFC 9110 §15 (outside 100 to 599 is invalid)", b"HTTP/1.1 600 Odd\r\n" + TWO,
            BAD_GATEWAY, relayed(b"ok", 600), ends=(Do.FIN,)),
    _answer("line-two-spaces", "RFC 9112 §4 (a recipient may be lenient)", b"HTTP/1.1  200 OK\r\n" + TWO,
            BAD_GATEWAY, OK_RELAYED),
    _answer("line-tab", "RFC 9112 §4 (a recipient may be lenient)", b"HTTP/1.1\t200\tOK\r\n" + TWO, BAD_GATEWAY,
            OK_RELAYED),
    _line("leading-space", b" HTTP/1.1 200 OK"),
    _line("lower-case", b"http/1.1 200 OK"),
    _line("version-2.0", b"HTTP/2.0 200 OK"),
    _line("version-0.9", b"HTTP/0.9 200 OK"),
    _line("version-comma", b"HTTP/1,1 200 OK"),
    _line("version-two-digits", b"HTTP/1.10 200 OK"),
    _line("version-missing", b"200 OK"),
    _line("other-protocol", b"ICY 200 OK"),
    _line("nul-in-reason", b"HTTP/1.1 200 O\x00K"),
    _line("bare-cr-in-reason", b"HTTP/1.1 200 O\rX-A: b"),
    _line("request-line", b"GET /case HTTP/1.1"),
    _bad("line-bare-lf", "RFC 9112 §2.2, §11.2", b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok"),
    _answer("line-bare-lf-everywhere", "RFC 9112 §2.2, §11.2", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", BAD_GATEWAY,
            ends=(Do.FIN,)),
    _answer("line-http-0.9", "RFC 9112 §4; Appendix C.1", b"<html>hello</html>", BAD_GATEWAY, ends=(Do.FIN,)),
    _answer("line-garbage", STATUS, bytes(range(256)), BAD_GATEWAY, ends=(Do.FIN,)),
    _answer("line-tls-alert", STATUS, b"\x15\x03\x01\x00\x02\x02\x46", BAD_GATEWAY, ends=(Do.FIN,)),
    _answer("nothing-then-close", "RFC 9110 §15.6.3; RFC 9112 §8", b"", BAD_GATEWAY, ends=(Do.FIN,)),
    _answer("nothing-then-reset", "RFC 9110 §15.6.3; RFC 9112 §8", b"", BAD_GATEWAY, ends=(Do.RESET,)),
    _answer("line-cut", "RFC 9112 §8", b"HTTP/1.1 20", BAD_GATEWAY, ends=(Do.FIN,)),
    _answer("head-cut-after-line", "RFC 9112 §8", OK, BAD_GATEWAY, ends=(Do.FIN,)),
    _answer("head-cut-after-field", "RFC 9112 §8", OK + b"Content-Length: 2\r\n", BAD_GATEWAY, ends=(Do.FIN,)),
    _answer("head-cut-before-last-lf", "RFC 9112 §8", OK + b"Content-Length: 2\r\n\r", BAD_GATEWAY, ends=(Do.RESET,)),
    _answer("crlf-before-line", "RFC 9112 §2.2 (only servers ignore it)", b"\r\n" + OK + TWO, BAD_GATEWAY, OK_RELAYED),
)  # fmt: skip

FIELDS = (
    _kept("end-to-end", "RFC 9110 §7.6.1", b"X-A: one two\r\nETag: W/\"x\"\r\nCache-Control: no-store\r\n",
          x_a=b"one two", etag=b'W/"x"', cache_control=b"no-store"),
    _kept("latin1", "RFC 9110 §5.5 (obs-text is opaque data)", b"X-A: caf\xe9\r\n", x_a=b"caf\xe9"),
    _kept("not-utf8", "RFC 9110 §5.5 (obs-text is opaque data)", b"X-A: \xff\xfe\x80\r\n", x_a=b"\xff\xfe\x80"),
    _kept("empty-value", "RFC 9110 §5.5", b"X-A:\r\n", x_a=b""),
    _kept("surrounding-whitespace", "RFC 9112 §5.1 (OWS)", b"X-A: \t a \t\r\n", x_a=b"a"),
    _kept("all-token-characters", "RFC 9110 §5.1", b"X!#$%&'*+.^`|~9: b\r\n", **{"x!#$%&'*+.^`|~9": b"b"}),
    _kept("date-kept", "RFC 9110 §6.6.1", b"Date: Tue, 15 Nov 1994 08:12:31 GMT\r\n",
          date=b"Tue, 15 Nov 1994 08:12:31 GMT"),
    _kept("date-added", "RFC 9110 §6.6.1 (MUST be appended where it is absent)", b"", date=DATE),
    _kept("server-kept", "RFC 9110 §10.2.4", b"Server: odd/1\r\n", server=b"odd/1"),
    _kept("content-type-not-invented", "RFC 9110 §8.3 (only the sender knows it)", b"", content_type=None),
    _kept("authenticate-kept", "RFC 9110 §11.6.1", b"WWW-Authenticate: Basic realm=\"a, b\"\r\n",
          www_authenticate=b'Basic realm="a, b"'),
    _kept("encoding-untouched", "RFC 9110 §8.4 (the content is not decoded on the way)", b"Content-Encoding: gzip\r\n",
          content_encoding=b"gzip"),
    _kept("repeated-in-order", "RFC 9110 §5.3", b"X-A: 1\r\nX-B: 2\r\nx-a: 3\r\n", x_a=b"1, 3"),
    row("answer/field-set-cookie-stays-apart", "RFC 9110 §5.3; RFC 6265 §3 (not to be folded into one)", GET,
        relayed(b"ok", set_cookie=b"a=1; Path=/, b=2"),
        scripts=((OK + b"Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\n" + TWO,),)),
    _kept("connection-option", "RFC 9110 §7.6.1", b"Connection: X-Secret\r\nX-Secret: 1\r\n", x_secret=None),
    _kept("connection-list", "RFC 9110 §7.6.1",
          b"Connection: keep-alive ,,x-one\r\nConnection: X-Two\r\nX-One: 1\r\nX-TWO: 2\r\n",
          x_one=None, x_two=None),
    _kept("keep-alive", "RFC 9110 §7.6.1", b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n", keep_alive=None),
    _kept("proxy-connection", "RFC 9110 §7.6.1", b"Proxy-Connection: keep-alive\r\n", proxy_connection=None),
    _kept("upgrade", "RFC 9110 §7.6.1, §7.8", b"Connection: Upgrade\r\nUpgrade: h2c\r\n", upgrade=None),
    _kept("upgrade-not-nominated", "RFC 9110 §7.6.1", b"Upgrade: h2c\r\n", upgrade=None),
    _kept("nominates-content-length", "RFC 9110 §7.6.1 (framing is the gateway's own)",
          b"Connection: Content-Length\r\n"),
    _bad("field-no-colon", FIELD, OK + b"X-A b\r\n" + TWO),
    _bad("field-empty-name", FIELD, OK + b": b\r\n" + TWO),
    _bad("field-space-in-name", FIELD, OK + b"X A: b\r\n" + TWO),
    _bad("field-bad-name", FIELD, OK + b"X(A): b\r\n" + TWO),
    _bad("field-nul-in-name", FIELD, OK + b"X\x00A: b\r\n" + TWO),
    _bad("field-latin1-in-name", FIELD, OK + b"X\xe9A: b\r\n" + TWO),
    _bad("field-nul-in-value", "RFC 9110 §5.5", OK + b"X-A: a\x00b\r\n" + TWO),
    _bad("field-control-in-value", "RFC 9110 §5.5", OK + b"X-A: a\x01b\r\n" + TWO),
    _bad("field-bare-cr", "RFC 9112 §2.2", OK + b"X-A: a\rX-B: b\r\n" + TWO),
    _bad("field-bare-lf", "RFC 9112 §2.2, §11.1", OK + b"X-A: a\nX-B: b\r\n" + TWO),
    _bad("field-bare-lf-ends-head", "RFC 9112 §2.2, §11.1", OK + b"X-A: a\n\r\n" + TWO),
    _answer("field-space-before-colon", "RFC 9112 §5.1 (MUST be removed; or refused)", OK + b"X-A : b\r\n" + TWO,
            BAD_GATEWAY, relayed(b"ok", x_a=b"b")),
    _answer("field-fold", "RFC 9112 §5.2 (502, or replaced by SP)", OK + b"X-A: a\r\n b\r\n" + TWO,
            BAD_GATEWAY, *(relayed(b"ok", x_a=b"a" + b" " * size + b"b") for size in range(1, 5))),
    _bad("field-fold-first", "RFC 9112 §2.2", OK + b" X-A: a\r\n" + TWO, BAD_GATEWAY, relayed(b"ok", x_a=None)),
    _bad("limit-head-1m", "RFC 9110 §5.4", OK + (b"X-A: " + b"v" * 1000 + b"\r\n") * 1000 + TWO),
    _bad("limit-20000-fields", "RFC 9110 §5.4", OK + b"a: b\r\n" * 20_000 + TWO),
    _bad("limit-value-1m", "RFC 9110 §5.4", OK + b"X-A: " + b"v" * 1_000_000 + b"\r\n" + TWO),
    _bad("limit-reason-1m", "RFC 9112 §4", b"HTTP/1.1 200 " + b"v" * 1_000_000 + b"\r\n" + TWO),
    _bad("limit-head-without-end", "RFC 9110 §5.4", OK + b"X-A: " + b"v" * 1_000_000),
)  # fmt: skip

INTERIMS = (
    _answer("interim-103", "RFC 8297; RFC 9110 §15.2", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK + TWO),
    _answer("interim-unasked-100", "RFC 9110 §15.2.1", b"HTTP/1.1 100 Continue\r\n\r\n" + OK + TWO),
    _answer("interim-102-twice", "RFC 9110 §15.2", b"HTTP/1.1 102 Processing\r\n\r\n" * 2 + OK + TWO),
    _answer("interim-unknown", "RFC 9110 §15 (x00 of its class)", b"HTTP/1.1 199 Odd\r\n\r\n" + OK + TWO),
    _bad("interim-with-content", "RFC 9110 §15.2 (1xx has no content)",
         b"HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\nno" + OK + TWO),
    _bad("interim-with-coding", "RFC 9112 §6.1 (no Transfer-Encoding in 1xx)",
         b"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n" + OK + TWO),
    _answer("interim-then-close", "RFC 9112 §8; RFC 9110 §15.2", b"HTTP/1.1 103 Early Hints\r\n\r\n", BAD_GATEWAY,
            ends=(Do.FIN,)),
    _bad("interim-malformed", STATUS, b"HTTP/1.1 103 Early Hints\r\nLink </a>\r\n\r\n" + OK + TWO),
    _answer("interim-flood", "RFC 9110 §15.2 (any number; or a bound)",
            b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20_000 + OK + TWO, OK_RELAYED, BAD_GATEWAY),
    _bad("switch-unasked", "RFC 9110 §7.8, §15.2.2 (MUST NOT switch unasked)", SWITCHED
         + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET"),
    _bad("switch-unasked-bare", "RFC 9110 §15.2.2", SWITCHED + b"\r\n"),
    row("answer/switch-without-upgrade-fields", "RFC 9110 §15.2.2 (MUST have Upgrade)", WEBSOCKET, BAD_GATEWAY,
        scripts=((SWITCHED + b"\r\n", Do.GONE),)),
    row("answer/switch-to-another-protocol", "RFC 9110 §7.8 (MUST NOT switch to what was not asked)", WEBSOCKET,
        BAD_GATEWAY,
        scripts=((SWITCHED + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", Do.GONE),)),
    row("answer/switch-refused-with-426", "RFC 9110 §15.5.22; RFC 6455 §4.4", WEBSOCKET,
        relayed(b"ok", 426), scripts=((b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\n" + TWO,),)),
    row("answer/switch-tunnels-bytes", "RFC 6455 §4.2.2; RFC 9110 §7.8", (WEBSOCKET, Do.AWAIT_ANSWER, b"\x81\x02hi"),
        Outcome((Answer((101,), b"\x81\x02ho\r\n", {b"upgrade": b"websocket"}),), (Seen(body=b"\x81\x02hi"),),
                After.CLOSED),
        scripts=((SWITCHED + b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + ACCEPT + b"\r\n",
                  Do.READ_TUNNEL, b"\x81\x02ho\r\n", Do.FIN),)),
    row("answer/switch-bytes-behind-the-head", "RFC 6455 §4.2.2 (frames may follow at once)", (WEBSOCKET,
        Do.AWAIT_ANSWER, b"\x81\x02hi"),
        Outcome((Answer((101,), b"\x81\x00\x81\x02ho", {b"upgrade": b"websocket"}),), (Seen(body=b"\x81\x02hi"),),
                After.CLOSED),
        scripts=((SWITCHED + b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + ACCEPT + b"\r\n\x81\x00",
                  Do.READ_TUNNEL, b"\x81\x02ho", Do.FIN),)),
)  # fmt: skip

CASES: tuple[Case, ...] = (*LINES, *FIELDS, *INTERIMS)
