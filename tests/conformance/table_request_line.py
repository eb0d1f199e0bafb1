"""Requests: request line, version, method, target and Host."""

from __future__ import annotations

from .case import REFUSED, After, Answer, Case, Outcome, Seen, reached, refused, row, then, unanswered

EITHER = After.EITHER

HOST = b"Host: hg.test\r\n"
GET = b"GET /case HTTP/1.1\r\n"
SEEN = reached(Seen())
OWN_200 = Outcome((Answer((200, 204)),), (), After.OPEN)


def _line(line: bytes) -> bytes:
    return line + b"\r\n" + HOST + b"\r\n"


def _target(target: bytes) -> bytes:
    return _line(b"GET " + target + b" HTTP/1.1")


def _raw(name: str, target: bytes, source: str = "RFC 9112 §3.2.1; the target is kept as it came") -> Case:
    return row(f"target/{name}", source, _target(target), reached(Seen(target=target)))


def _raw_or_refused(name: str, target: bytes, source: str = "RFC 9112 §3.2; RFC 3986 §3.3") -> Case:
    return row(f"target/{name}", source, _target(target), reached(Seen(target=target)), REFUSED)


def _host(name: str, value: bytes, *outcomes: Outcome, source: str = "RFC 9112 §3.2; RFC 9110 §4.2.1") -> Case:
    return row(f"host/{name}", source, GET + b"Host: " + value + b"\r\n\r\n", *outcomes or (REFUSED,))


LINES = (
    row("line/plain", "RFC 9112 §3", GET + HOST + b"\r\n", SEEN),
    row("line/empty-line-before", "RFC 9112 §2.2 (SHOULD ignore one empty line)", b"\r\n" + GET + HOST + b"\r\n", SEEN),
    row("line/many-empty-lines-before", "RFC 9112 §2.2", b"\r\n" * 5 + GET + HOST + b"\r\n", SEEN, REFUSED),
    row("line/bare-lf-before", "RFC 9112 §2.2", b"\n" + GET + HOST + b"\r\n", SEEN, REFUSED),
    row("line/leading-space", "RFC 9112 §3", b" " + GET + HOST + b"\r\n", REFUSED),
    row("line/two-spaces-before-target", "RFC 9112 §3 (MAY be lenient)", _line(b"GET  /case HTTP/1.1"), REFUSED, SEEN),
    row("line/two-spaces-before-version", "RFC 9112 §3 (MAY be lenient)", _line(b"GET /case  HTTP/1.1"), REFUSED, SEEN),
    row("line/trailing-space", "RFC 9112 §3 (MAY be lenient)", _line(b"GET /case HTTP/1.1 "), REFUSED, SEEN),
    row("line/tab-separated", "RFC 9112 §3; §11.2", _line(b"GET\t/case\tHTTP/1.1"), REFUSED),
    row("line/vertical-tab-separated", "RFC 9112 §3; §11.2", _line(b"GET\x0b/case\x0bHTTP/1.1"), REFUSED),
    row("line/bare-cr-separated", "RFC 9112 §2.2 (bare CR)", _line(b"GET\r/case HTTP/1.1"), REFUSED),
    row("line/space-in-target", "RFC 9112 §3.2 (no whitespace)", _line(b"GET /ca se HTTP/1.1"), REFUSED),
    row("line/fourth-word", "RFC 9112 §3", _line(b"GET /case HTTP/1.1 more"), REFUSED),
    row("line/method-only", "RFC 9112 §3", _line(b"GET"), REFUSED),
    row("line/bare-lf-end", "RFC 9112 §2.2, §11.2", b"GET /case HTTP/1.1\n" + HOST + b"\r\n", REFUSED),
    row("line/bare-cr-end", "RFC 9112 §2.2 (bare CR)", b"GET /case HTTP/1.1\r" + HOST + b"\r\n", REFUSED),
    row("line/nul-first", "RFC 9112 §3", b"\x00" + GET + HOST + b"\r\n", REFUSED),
    row("line/tls-hello", "RFC 9112 §2.2", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", REFUSED,
        unanswered()),
    row("line/http2-preface", "RFC 9112 §2.3; RFC 9113 §3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        refused(400, 405, 501, 505), unanswered()),
    row("line/status-line", "RFC 9112 §2.1 (a request is expected)", b"HTTP/1.1 200 OK\r\n" + HOST + b"\r\n",
        refused(400, 505)),
    row("line/whitespace-before-first-field", "RFC 9112 §2.2 (reject, or drop such lines)",
        GET + b" X-Early: 1\r\n" + HOST + b"\r\n", REFUSED, reached(Seen(fields={b"x-early": None}))),
    row("line/host-in-whitespace-line", "RFC 9112 §2.2 (reject, or drop such lines)",
        GET + b" Host: hidden.test\r\n" + HOST + b"\r\n", REFUSED, SEEN),
    row("line/8000-octets", "RFC 9112 §3 (RECOMMENDED to support)", _target(b"/" + b"a" * 7985),
        reached(Seen(target=b"/" + b"a" * 7985))),
)  # fmt: skip

VERSIONS = (
    row("version/0.9-simple", "RFC 9112 §3; Appendix C.1", b"GET /case\r\n\r\n", refused(400, 505), unanswered()),
    row("version/0.9-named", "RFC 9112 §2.3", _line(b"GET /case HTTP/0.9"), refused(400, 505)),
    row("version/2.0", "RFC 9110 §15.6.6", _line(b"GET /case HTTP/2.0"), refused(400, 505)),
    row("version/1.2", "RFC 9110 §2.5 (a higher minor is taken as the highest known)", _line(b"GET /case HTTP/1.2"),
        reached(Seen(), after=EITHER), refused(400, 505)),
    row("version/two-digits", "RFC 9112 §2.3", _line(b"GET /case HTTP/1.10"), refused(400, 505)),
    row("version/leading-zero", "RFC 9112 §2.3", _line(b"GET /case HTTP/01.1"), refused(400, 505)),
    row("version/no-minor", "RFC 9112 §2.3", _line(b"GET /case HTTP/1"), refused(400, 505)),
    row("version/no-digits", "RFC 9112 §2.3", _line(b"GET /case HTTP/"), refused(400, 505)),
    row("version/comma", "RFC 9112 §2.3", _line(b"GET /case HTTP/1,1"), refused(400, 505)),
    row("version/sign", "RFC 9112 §2.3", _line(b"GET /case HTTP/+1.1"), refused(400, 505)),
    row("version/lower-case", "RFC 9112 §2.3 (case-sensitive)", _line(b"GET /case http/1.1"), refused(400, 505)),
    row("version/other-protocol", "RFC 9112 §2.3", _line(b"GET /case HTTQ/1.1"), refused(400, 505)),
    row("version/prefix", "RFC 9112 §2.3", _line(b"GET /case XHTTP/1.1"), refused(400, 505)),
    row("version/junk-after", "RFC 9112 §2.3", _line(b"GET /case HTTP/1.1x"), refused(400, 505)),
    row("version/space-inside", "RFC 9112 §2.3", _line(b"GET /case HTTP/ 1.1"), refused(400, 505)),
)  # fmt: skip

METHODS = (
    *(row(f"method/{name.decode().lower()}", "RFC 9110 §9", _line(name + b" /case HTTP/1.1"), reached(Seen(name)))
      for name in (b"DELETE", b"OPTIONS")),
    *(row(f"method/{name.decode().lower()}-without-body", "RFC 9112 §6.3 item 7",
          name + b" /case HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n", reached(Seen(name)))
      for name in (b"POST", b"PUT", b"PATCH")),
    row("method/head", "RFC 9110 §9.3.2", _line(b"HEAD /case HTTP/1.1"), reached(Seen(b"HEAD")), heads=(0,)),
    row("method/unknown", "RFC 9110 §9.1, §16.1 (passed on, or 501)", _line(b"FROBNICATE /case HTTP/1.1"),
        reached(Seen(b"FROBNICATE")), refused(501, after=EITHER)),
    row("method/all-token-characters", "RFC 9110 §5.6.2", _line(b"A!#$%&'*+-.^_`|~9 /case HTTP/1.1"),
        reached(Seen(b"A!#$%&'*+-.^_`|~9")), refused(501, after=EITHER)),
    row("method/lower-case", "RFC 9110 §9.1 (case-sensitive: not GET)", _line(b"get /case HTTP/1.1"),
        reached(Seen(b"get")), refused(405, 501, after=EITHER)),
    row("method/separator", "RFC 9110 §5.6.2", _line(b"GE(T /case HTTP/1.1"), refused(400, 501)),
    row("method/nul", "RFC 9110 §5.6.2", _line(b"GE\x00T /case HTTP/1.1"), refused(400, 501)),
    row("method/non-ascii", "RFC 9110 §5.6.2", _line(b"G\xc9T /case HTTP/1.1"), refused(400, 501)),
    row("method/colon", "RFC 9110 §5.6.2", _line(b"GET: /case HTTP/1.1"), refused(400, 501)),
    row("method/empty", "RFC 9112 §3.1", _line(b" /case HTTP/1.1"), REFUSED),
    row("method/very-long", "RFC 9112 §3 (SHOULD 501)", _line(b"M" * 20_000 + b" /case HTTP/1.1"),
        refused(400, 414, 431, 501)),
    row("method/connect", "RFC 9110 §9.3.6 (no tunnel is offered)",
        b"CONNECT hg.test:443 HTTP/1.1\r\nHost: hg.test:443\r\n\r\n", refused(400, 403, 405, 501, after=EITHER)),
    row("method/connect-origin-form", "RFC 9112 §3.2.3", _line(b"CONNECT /case HTTP/1.1"),
        refused(400, 403, 405, 501, after=EITHER)),
    row("method/connect-smuggles", "RFC 9110 §9.3.6",
        b"CONNECT hg.test:80 HTTP/1.1\r\nHost: hg.test:80\r\nContent-Length: 3\r\n\r\nabc",
        refused(400, 403, 405, 501, after=EITHER)),
    row("method/trace", "RFC 9110 §9.3.8", _line(b"TRACE /case HTTP/1.1"),
        reached(Seen(b"TRACE")), refused(400, 403, 405, 501, after=EITHER)),
    row("method/options-asterisk", "RFC 9112 §3.2.4", _line(b"OPTIONS * HTTP/1.1"),
        reached(Seen(b"OPTIONS", b"*")), OWN_200),
    row("method/get-asterisk", "RFC 9112 §3.2.4 (OPTIONS only)", _line(b"GET * HTTP/1.1"), REFUSED),
    row("method/options-max-forwards-0", "RFC 9110 §7.6.2 (MUST NOT be forwarded)",
        b"OPTIONS /case HTTP/1.1\r\n" + HOST + b"Max-Forwards: 0\r\n\r\n", OWN_200),
    row("method/options-max-forwards-5", "RFC 9110 §7.6.2 (MUST be decremented)",
        b"OPTIONS /case HTTP/1.1\r\n" + HOST + b"Max-Forwards: 5\r\n\r\n",
        reached(Seen(b"OPTIONS", fields={b"max-forwards": b"4"}))),
    row("method/get-max-forwards", "RFC 9110 §7.6.2 (MAY be ignored elsewhere)",
        GET + HOST + b"Max-Forwards: 0\r\n\r\n", SEEN),
)  # fmt: skip

TARGETS = (
    _raw("encoded-dots", b"/a/%2e%2e/b/%2E/c"),
    _raw("plain-dots", b"/a/../b/./c"),
    _raw("encoded-slash", b"/a%2Fb%2fc"),
    _raw("double-slash", b"//a//b/"),
    _raw("three-slashes-and-host", b"///hg.test/a"),
    _raw("needless-encoding", b"/%61%7E%41"),
    _raw("encoded-utf8", b"/%C3%A9%e2%82%ac"),
    _raw("encoded-reserved", b"/a%3Fb%23c%25d"),
    _raw("encoded-crlf", b"/a%0d%0aX-Injected:%201"),
    _raw("sub-delims", b"/!$&'()*+,;=:@-._~"),
    _raw("matrix-parameters", b"/a;p=1/b;q=2"),
    _raw("empty-query", b"/a?"),
    _raw("query-characters", b"/a?b=c&d=/e?f=:@!$'()*,;g&h"),
    _raw("query-plus-and-encoded-space", b"/a?b=c+d%20e"),
    _raw("query-double-slash-url", b"/a?next=http://other.test//x"),
    _raw("query-order-and-repeats", b"/a?z=1&a=2&z=3&&"),
    _raw("query-dots", b"/a?b=../../c"),
    _raw("root", b"/"),
    _raw_or_refused("encoded-nul", b"/a%00b"),
    _raw_or_refused("bad-percent", b"/a%zz%"),
    _raw_or_refused("backslash", b"/a\\..\\b"),
    _raw_or_refused("braces", b'/a{b}|^`"<>'),
    _raw_or_refused("query-brackets", b"/a?b[0]=c"),
    _raw_or_refused("raw-utf8", b"/\xc3\xa9"),
    _raw_or_refused("raw-latin1-query", b"/a?b=\xe9"),
    row("target/fragment", "RFC 9112 §3.2 (no fragment)", _target(b"/case#part"), REFUSED),
    row("target/nul", "RFC 9112 §3.2", _target(b"/ca\x00se"), REFUSED),
    row("target/control", "RFC 9112 §3.2", _target(b"/ca\x01se"), REFUSED),
    row("target/del", "RFC 9112 §3.2", _target(b"/ca\x7fse"), REFUSED),
    row("target/bare-cr", "RFC 9112 §2.2", _target(b"/ca\rse"), REFUSED),
    row("target/no-slash", "RFC 9112 §3.2.1", _target(b"case"), REFUSED),
    row("target/query-only", "RFC 9112 §3.2.1", _target(b"?a=b"), REFUSED),
    row("target/authority-form", "RFC 9112 §3.2.3 (CONNECT only)", _target(b"hg.test:80"), REFUSED),
    row("target/absolute", "RFC 9112 §3.2.2 (MUST be accepted)", _target(b"http://hg.test/case?a=b"),
        reached(Seen(target=b"/case?a=b", fields={b"x-forwarded-host": b"hg.test"}))),
    row("target/absolute-upper-case-scheme", "RFC 3986 §3.1", _target(b"HTTP://hg.test/case"), SEEN),
    row("target/absolute-no-path", "RFC 9112 §3.2.1 (an empty path is sent as /)", _target(b"http://hg.test"),
        reached(Seen(target=b"/"))),
    row("target/absolute-query-no-path", "RFC 9112 §3.2.1", _target(b"http://hg.test?a=b"),
        reached(Seen(target=b"/?a=b"))),
    row("target/absolute-keeps-raw-path", "RFC 9112 §3.2.2", _target(b"http://hg.test//a/%2e%2e/b%2f"),
        reached(Seen(target=b"//a/%2e%2e/b%2f"))),
    row("target/absolute-other-host", "RFC 9112 §3.2.2 (Host is ignored; or a mismatch refused)",
        GET.replace(b"/case", b"http://target.test/case") + HOST + b"\r\n",
        reached(Seen(fields={b"x-forwarded-host": b"target.test"})), refused(400, 421, after=EITHER)),
    row("target/absolute-without-host", "RFC 9112 §3.2 (400)", b"GET http://hg.test/case HTTP/1.1\r\n\r\n", REFUSED),
    row("target/absolute-userinfo", "RFC 9110 §4.2.4 (treat as an error)", _target(b"http://me@hg.test/case"), REFUSED),
    row("target/absolute-empty-host", "RFC 9110 §4.2.1 (reject)", _target(b"http:///case"), REFUSED),
    row("target/absolute-bad-port", "RFC 3986 §3.2.3", _target(b"http://hg.test:80a/case"), REFUSED),
    row("target/absolute-fragment", "RFC 9112 §3.2", _target(b"http://hg.test/case#part"), REFUSED),
    row("target/absolute-other-scheme", "RFC 9110 §7.4; RFC 9112 §3.2.2", _target(b"ftp://hg.test/case"),
        refused(400, 404, 421, 501, after=EITHER)),
    row("target/options-absolute-no-path", "RFC 9112 §3.2.4", _line(b"OPTIONS http://hg.test HTTP/1.1"),
        reached(Seen(b"OPTIONS", b"*")), reached(Seen(b"OPTIONS", b"/")), OWN_200),
)  # fmt: skip

HOSTS = (
    row("host/missing", "RFC 9112 §3.2", GET + b"\r\n", REFUSED),
    row("host/missing-in-1.0", "RFC 9112 §3.2 (only 1.1 needs it)", b"GET /case HTTP/1.0\r\n\r\n",
        reached(Seen(), after=EITHER)),
    row("host/twice-different", "RFC 9112 §3.2", GET + HOST + b"Host: other.test\r\n\r\n", REFUSED),
    row("host/twice-equal", "RFC 9112 §3.2", GET + HOST + HOST + b"\r\n", REFUSED),
    row("host/twice-in-1.0", "RFC 9112 §3.2 (any request)", b"GET /case HTTP/1.0\r\n" + HOST + HOST + b"\r\n", REFUSED),
    row("host/twice-other-case", "RFC 9112 §3.2; RFC 9110 §5.1", GET + HOST + b"hOST: other.test\r\n\r\n", REFUSED),
    row("host/folded", "RFC 9112 §3.2, §5.2", GET + b"Host: hg.test\r\n .other.test\r\n\r\n", REFUSED),
    row("host/space-before-colon", "RFC 9112 §5.1", GET + b"Host : hg.test\r\n\r\n", REFUSED),
    _host("empty", b"", REFUSED, reached(Seen())),
    _host("with-port", b"hg.test:8080", reached(Seen(fields={b"x-forwarded-host": b"hg.test:8080"}))),
    _host("empty-port", b"hg.test:", SEEN, source="RFC 3986 §3.2.3"),
    _host("ipv6", b"[::1]:80", reached(Seen(fields={b"x-forwarded-host": b"[::1]:80"}))),
    _host("upper-case", b"HG.Test", SEEN),
    _host("surrounding-whitespace", b" \thg.test \t", reached(Seen(fields={b"x-forwarded-host": b"hg.test"})),
          source="RFC 9112 §5.1 (OWS is not part of the value)"),
    _host("space-inside", b"hg.test other"),
    _host("tab-inside", b"hg\ttest"),
    _host("list", b"hg.test, other.test"),
    _host("userinfo", b"me:secret@hg.test"),
    _host("slash", b"hg.test/admin"),
    _host("backslash", b"hg.test\\admin"),
    _host("fragment", b"hg.test#a"),
    _host("query", b"hg.test?a"),
    _host("scheme", b"http://hg.test"),
    _host("bad-port", b"hg.test:8a"),
    _host("two-ports", b"hg.test:80:80"),
    _host("open-bracket", b"[::1"),
    _host("junk-after-bracket", b"[::1]x"),
    _host("angle-brackets", b"<hg.test>"),
    _host("quote", b'"hg.test"'),
    _host("non-ascii", b"h\xe9.test"),
    _host("nul", b"hg\x00.test"),
    _host("bad-percent", b"hg%zz.test"),
)  # fmt: skip

BARE_TARGETS = (
    row("target/second-request-in-query", "RFC 9112 §3 (first line ends at CRLF)",
        GET + HOST + b"\r\n" + _target(b"/a?x=GET%20/smuggled%20HTTP/1.1"),
        then(reached(Seen()), reached(Seen(target=b"/a?x=GET%20/smuggled%20HTTP/1.1")))),
)  # fmt: skip

CASES: tuple[Case, ...] = (*LINES, *VERSIONS, *METHODS, *TARGETS, *HOSTS, *BARE_TARGETS)
