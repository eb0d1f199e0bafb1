"""Requests: field syntax, and what may not pass the gateway."""

from __future__ import annotations

import re

from .case import REFUSED, After, Case, Do, Outcome, Seen, Wanted, reached, refused, row

GET = b"GET /case HTTP/1.1\r\nHost: hg.test\r\n"
POST = b"POST /case HTTP/1.1\r\nHost: hg.test\r\n"
SWITCH = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
KEY = b"dGhlIHNhbXBsZSBub25jZQ==\r\n"
LARGE = refused(400, 413, 431)

SYNTAX = "RFC 9112 §5; RFC 9110 §5.1"
VALUE = "RFC 9110 §5.5"
NOMINATED = "RFC 9110 §7.6.1"
FORWARDED = "RFC 7239 §8.1; X-Forwarded-* of an untrusted client is replaced"


def _fields(name: str, source: str, lines: bytes, *outcomes: Outcome) -> Case:
    return row(f"field/{name}", source, GET + lines + b"\r\n", *outcomes or (REFUSED,))


def _kept(name: str, line: bytes, field: bytes, value: bytes, source: str = VALUE) -> Case:
    return _fields(name, source, line + b"\r\n", reached(Seen(fields={field: value})))


def _removed(name: str, source: str, lines: bytes, *fields: bytes) -> Case:
    return row(f"hop/{name}", source, GET + lines + b"\r\n", reached(Seen(fields=dict.fromkeys(fields))))


def _replaced(name: str, lines: bytes, source: str = FORWARDED, **fields: Wanted) -> Case:
    wanted = {field.replace("_", "-").encode(): value for field, value in fields.items()}
    return row(f"forwarded/{name}", source, GET + lines + b"\r\n", reached(Seen(fields=wanted)))


def _unfolded(first: bytes, second: bytes) -> tuple[Outcome, ...]:
    return tuple(reached(Seen(fields={b"x-a": first + b" " * size + second})) for size in range(1, 5))


FIELDS = (
    _kept("plain", b"X-A: one two", b"x-a", b"one two"),
    _kept("no-space", b"X-A:one", b"x-a", b"one", "RFC 9112 §5.1 (OWS)"),
    _kept("surrounding-whitespace", b"X-A: \t one \t ", b"x-a", b"one", "RFC 9112 §5.1 (OWS is not part of the value)"),
    _kept("empty-value", b"X-A:", b"x-a", b""),
    _kept("tab-inside", b"X-A: one\ttwo", b"x-a", b"one\ttwo"),
    _kept("colons-inside", b"X-A: :a:b:", b"x-a", b":a:b:"),
    _kept("quoted-string", b'X-A: "a, \\"b\\""', b"x-a", b'"a, \\"b\\""'),
    _kept("latin1", b"X-A: caf\xe9", b"x-a", b"caf\xe9", "RFC 9110 §5.5 (obs-text is opaque data)"),
    _kept("utf8", b"X-A: \xe2\x82\xac", b"x-a", b"\xe2\x82\xac", "RFC 9110 §5.5 (obs-text is opaque data)"),
    _kept("not-utf8", b"X-A: \xff\xfe\x80", b"x-a", b"\xff\xfe\x80", "RFC 9110 §5.5 (obs-text is opaque data)"),
    _kept("nbsp-at-the-ends", b"X-A: \xa0a\x85", b"x-a", b"\xa0a\x85", "RFC 9112 §5.1 (OWS is SP and HTAB only)"),
    _kept("repeated-in-order", b"X-A: 1\r\nX-B: 2\r\nx-a: 3", b"x-a", b"1, 3", "RFC 9110 §5.3"),
    _kept("one-letter-name", b"a: b", b"a", b"b", SYNTAX),
    _kept("all-token-characters", b"a!#$%&'*+-.^_`|~9: b", b"a!#$%&'*+-.^_`|~9", b"b", SYNTAX),
    _kept("underscore", b"X_A: b", b"x_a", b"b", SYNTAX),
    _kept("unknown-kept", b"Foo-Bar: baz", b"foo-bar", b"baz", "RFC 9110 §5.1 (MUST forward unrecognized fields)"),
    _kept("long-value", b"X-A: " + b"v" * 4000, b"x-a", b"v" * 4000, "RFC 9110 §5.4"),
    _kept("accept-encoding-kept", b"Accept-Encoding: gzip;q=0.5, *;q=0", b"accept-encoding", b"gzip;q=0.5, *;q=0",
          "RFC 9110 §12.5.3 (end-to-end)"),
    _kept("authorization-kept", b"Authorization: Basic YTpi", b"authorization", b"Basic YTpi", "RFC 9110 §11.6.2"),
    _kept("range-kept", b"Range: bytes=0-1", b"range", b"bytes=0-1", "RFC 9110 §14.2 (end-to-end)"),
    row("field/encoded-body-untouched", "RFC 9110 §8.4 (the representation is not decoded on the way)",
        POST + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n\x1f\x8b\x08\x00\xff",
        reached(Seen(b"POST", body=b"\x1f\x8b\x08\x00\xff", fields={b"content-encoding": b"gzip"}))),
    _fields("space-before-colon", "RFC 9112 §5.1 (MUST 400)", b"X-A : b\r\n"),
    _fields("tab-before-colon", "RFC 9112 §5.1 (MUST 400)", b"X-A\t: b\r\n"),
    _fields("no-colon", SYNTAX, b"X-A b\r\n"),
    _fields("no-colon-last", SYNTAX, b"X-A: b\r\nX-B\r\n"),
    _fields("empty-name", SYNTAX, b": b\r\n"),
    _fields("only-colon", SYNTAX, b":\r\n"),
    _fields("space-in-name", SYNTAX, b"X A: b\r\n"),
    _fields("parenthesis-in-name", SYNTAX, b"X(A: b\r\n"),
    _fields("bracket-in-name", SYNTAX, b"X[A]: b\r\n"),
    _fields("slash-in-name", SYNTAX, b"X/A: b\r\n"),
    _fields("quote-in-name", SYNTAX, b'"X-A": b\r\n'),
    _fields("at-in-name", SYNTAX, b"X@A: b\r\n"),
    _fields("nul-in-name", SYNTAX, b"X\x00A: b\r\n"),
    _fields("control-in-name", SYNTAX, b"X\x01A: b\r\n"),
    _fields("del-in-name", SYNTAX, b"X\x7fA: b\r\n"),
    _fields("latin1-in-name", SYNTAX, b"X\xe9A: b\r\n"),
    _fields("bare-cr-in-name", "RFC 9112 §2.2 (bare CR)", b"X\rA: b\r\n"),
    _fields("vertical-tab-before-name", SYNTAX, b"\x0bX-A: b\r\n"),
    _fields("nul-in-value", VALUE, b"X-A: a\x00b\r\n"),
    _fields("bare-cr-in-value", "RFC 9110 §5.5; RFC 9112 §2.2 (bare CR)", b"X-A: a\rb\r\n"),
    _fields("bare-cr-at-end", "RFC 9112 §2.2 (bare CR)", b"X-A: a\r\r\n"),
    _fields("bare-lf-in-value", "RFC 9110 §5.5; RFC 9112 §2.2, §11.2", b"X-A: a\nX-B: b\r\n"),
    _fields("bare-lf-ends-head", "RFC 9112 §2.2, §11.2", b"X-A: a\n"),
    _fields("bare-lf-lines", "RFC 9112 §2.2, §11.2", b"X-A: a\nX-B: b\n"),
    _fields("control-in-value", "RFC 9110 §5.5 (CTL is invalid)", b"X-A: a\x01b\r\n"),
    _fields("del-in-value", "RFC 9110 §5.5 (CTL is invalid)", b"X-A: a\x7fb\r\n"),
    _fields("fold", "RFC 9112 §5.2 (400, or replaced by SP)", b"X-A: a\r\n b\r\n", REFUSED, *_unfolded(b"a", b"b")),
    _fields("fold-with-tab", "RFC 9112 §5.2 (400, or replaced by SP)", b"X-A: a\r\n\tb\r\n",
            REFUSED, *_unfolded(b"a", b"b")),
    _fields("fold-hides-second-request", "RFC 9112 §5.2, §11.2",
            b"X-A: a\r\n \r\nGET /smuggled HTTP/1.1\r\nHost: hg.test\r\n"),
    row("field/head-cut-then-half-close", "RFC 9112 §8", (GET + b"X-A: b\r\n", Do.HALF_CLOSE),
        refused(400, 408), Outcome((), (), After.CLOSED)),
    row("field/head-every-byte-alone", "RFC 9112 §2.2 (a stream of octets)",
        tuple(bytes([byte]) for byte in GET + b"X-A: b\r\n\r\n"), reached(Seen(fields={b"x-a": b"b"}))),
    row("limit/target-64k", "RFC 9112 §3 (MUST 414)", b"GET /" + b"a" * 65_536 + b" HTTP/1.1\r\nHost: hg.test\r\n\r\n",
        refused(414)),
    row("limit/query-64k", "RFC 9112 §3 (MUST 414)", b"GET /?" + b"a" * 65_536 + b" HTTP/1.1\r\nHost: hg.test\r\n\r\n",
        refused(414)),
    row("limit/line-without-end-1m", "RFC 9112 §3", b"GET /" + b"a" * 1_000_000, refused(400, 414, 431)),
    row("limit/value-70k", "RFC 9110 §5.4; RFC 6585 §5", GET + b"X-A: " + b"v" * 70_000 + b"\r\n\r\n", LARGE),
    row("limit/name-70k", "RFC 9110 §5.4; RFC 6585 §5", GET + b"X" * 70_000 + b": b\r\n\r\n", LARGE),
    row("limit/field-without-end-1m", "RFC 9110 §5.4", GET + b"X-A: " + b"v" * 1_000_000, LARGE),
    row("limit/20000-fields", "RFC 9110 §5.4; RFC 6585 §5", GET + b"X-A: b\r\n" * 20_000 + b"\r\n", LARGE),
    row("limit/20000-short-fields", "RFC 9110 §5.4; RFC 6585 §5", GET + b"a:\r\n" * 20_000 + b"\r\n", LARGE),
    row("limit/head-1m", "RFC 9110 §5.4; RFC 6585 §5", GET + (b"X-A: " + b"v" * 1000 + b"\r\n") * 1000 + b"\r\n",
        LARGE),
    row("limit/60-fields", "RFC 9110 §5.4", GET + b"".join(b"X-%d: b\r\n" % at for at in range(60)) + b"\r\n",
        reached(Seen(fields={b"x-0": b"b", b"x-59": b"b"}))),
)  # fmt: skip

HOPS = (
    _removed("connection-option", NOMINATED, b"Connection: X-Secret\r\nX-Secret: 1\r\n", b"x-secret"),
    _removed("connection-list", NOMINATED, b"Connection: keep-alive , x-one,\tX-TWO\r\nX-One: 1\r\nx-two: 2\r\n",
             b"x-one", b"x-two"),
    _removed("connection-lines", NOMINATED, b"Connection: X-One\r\nX-One: 1\r\nConnection: X-Two\r\nX-Two: 2\r\n",
             b"x-one", b"x-two"),
    _removed("connection-empty-members", "RFC 9110 §5.6.1.2", b"Connection: ,, X-One ,\r\nX-One: 1\r\n", b"x-one"),
    _removed("nominated-twice-sent", NOMINATED, b"Connection: X-One\r\nX-One: 1\r\nX-One: 2\r\n", b"x-one"),
    _removed("keep-alive", NOMINATED, b"Keep-Alive: timeout=5\r\nConnection: keep-alive\r\n", b"keep-alive"),
    _removed("proxy-connection", NOMINATED, b"Proxy-Connection: keep-alive\r\n", b"proxy-connection"),
    _removed("te", "RFC 9110 §10.1.4, §7.6.1", b"TE: trailers, gzip;q=0.5\r\nConnection: TE\r\n", b"te"),
    _removed("te-not-nominated", NOMINATED, b"TE: trailers\r\n", b"te"),
    _removed("h2c", "RFC 9113 §3.1 (h2c Upgrade is obsolete); RFC 9110 §7.8",
             b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
             b"upgrade", b"http2-settings"),
    _removed("h2c-settings-not-nominated", "RFC 9110 §7.8; RFC 7540 §3.2.1",
             b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", b"upgrade",
             b"http2-settings"),
    _removed("h2c-not-nominated", NOMINATED, b"Upgrade: h2c\r\n", b"upgrade"),
    _removed("upgrade-unknown", "RFC 9110 §7.8", b"Connection: Upgrade\r\nUpgrade: odd/1\r\n", b"upgrade"),
    _removed("websocket-not-nominated", "RFC 9110 §7.8 (Upgrade needs Connection)",
             b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY, b"upgrade"),
    row("hop/trailer-field", "RFC 9110 §6.6.2 (trailers are dropped, so is their announcement)",
        POST + b"Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n0\r\nX-T: 1\r\n\r\n",
        reached(Seen(b"POST", fields={b"trailer": None, b"x-t": None}))),
    row("hop/nominates-content-length", "RFC 9110 §7.6.1 (framing is the gateway's own)",
        POST + b"Connection: Content-Length\r\nContent-Length: 5\r\n\r\nhello",
        reached(Seen(b"POST", body=b"hello")), REFUSED),
    row("hop/nominates-transfer-encoding", "RFC 9110 §7.6.1 (framing is the gateway's own)",
        POST + b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        reached(Seen(b"POST", body=b"hello")), REFUSED),
    row("hop/nominates-host", "RFC 9110 §7.6.1; RFC 9112 §3.2",
        GET + b"Connection: Host\r\n\r\n", reached(Seen()), REFUSED),
    _removed("nominates-forwarded", "RFC 9110 §7.6.1 (the gateway adds its fields after removing)",
             b"Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host\r\n"),
    row("hop/close-not-passed-on-as-is", "RFC 9110 §7.6.1; RFC 9112 §9.6", GET
        + b"Connection: close, X-One\r\nX-One: 1\r\n\r\n",
        reached(Seen(fields={b"x-one": None}), after=After.CLOSED)),
    row("upgrade/websocket-refused-by-origin", "RFC 9110 §7.8 (no 101: the connection stays HTTP)",
        GET + SWITCH + KEY + b"\r\nGET /next HTTP/1.1\r\nHost: hg.test\r\n\r\n",
        reached(Seen(), Seen(target=b"/next"), after=After.EITHER), reached(Seen(), after=After.CLOSED),
        refused(400, 426, 501)),
    row("upgrade/websocket-bad-version", "RFC 6455 §4.2.2, §4.4",
        GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 1777\r\nSec-WebSocket-Key: " + KEY
        + b"\r\nGET /smuggled HTTP/1.1\r\nHost: hg.test\r\n\r\n",
        reached(Seen(), Seen(target=b"/smuggled"), after=After.EITHER), reached(Seen(), after=After.CLOSED),
        refused(400, 426, after=After.EITHER)),
    row("upgrade/websocket-without-key", "RFC 6455 §4.2.1",
        GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
        refused(400, 426, after=After.EITHER), reached(Seen(), after=After.EITHER)),
    row("upgrade/in-1.0-is-ignored", "RFC 9110 §7.8 (MUST be ignored in HTTP/1.0)",
        b"GET /case HTTP/1.0\r\nHost: hg.test\r\n" + SWITCH + KEY + b"\r\n",
        reached(Seen(fields={b"upgrade": None}), after=After.CLOSED), REFUSED),
    row("upgrade/post-with-body", "RFC 6455 §4.1 (GET only); RFC 9110 §7.8",
        POST + SWITCH + KEY + b"Content-Length: 5\r\n\r\nhello",
        reached(Seen(b"POST", body=b"hello", fields={b"upgrade": None})), refused(400, 426)),
)  # fmt: skip

FORWARDS = (
    _replaced("plain", b"", x_forwarded_for=b"127.0.0.1", x_forwarded_proto=b"http",
              x_forwarded_host=b"hg.test"),
    _replaced("for", b"X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n", x_forwarded_for=b"127.0.0.1"),
    _replaced("for-on-two-lines", b"X-Forwarded-For: 10.0.0.1\r\nx-forwarded-for: 10.0.0.2\r\n",
              x_forwarded_for=b"127.0.0.1"),
    _replaced("proto", b"X-Forwarded-Proto: https\r\n", x_forwarded_proto=b"http"),
    _replaced("host", b"X-Forwarded-Host: evil.test\r\n", x_forwarded_host=b"hg.test"),
    _replaced("port-and-prefix", b"X-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /x\r\nX-Forwarded-Server: evil.test\r\n",
              x_forwarded_prefix=None, x_forwarded_server=None),
    _replaced("standard", b"Forwarded: for=10.0.0.1;host=evil.test;proto=https\r\n", forwarded=None,
              x_forwarded_for=b"127.0.0.1"),
    _replaced("original-url", b"X-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\n",
              "X-Original-URL and X-Rewrite-URL replace the path in some origins", x_original_url=None,
              x_rewrite_url=None),
    _replaced("own-fields-of-a-client", b"X-Headgate-Target: heavy\r\nx-headgate-evil: 1\r\nX-HEADGATE-ATTEMPTS: 9\r\n",
              "x-headgate-* of a client is removed", x_headgate_target=None, x_headgate_evil=None,
              x_headgate_attempts=None),
    row("forwarded/via-added", "RFC 9110 §7.6.3 (an HTTP gateway MUST send Via inbound)",
        GET + b"Via: 1.0 first\r\n\r\n", reached(Seen(fields={b"via": re.compile(rb"1\.0 first, 1\.1 [^ ,]+")}))),
)  # fmt: skip

CASES: tuple[Case, ...] = (*FIELDS, *HOPS, *FORWARDS)
