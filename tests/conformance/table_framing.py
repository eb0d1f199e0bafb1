"""Requests: Content-Length, Transfer-Encoding, chunks, and what hides behind them."""

from __future__ import annotations

from .case import REFUSED, After, Answer, Case, Do, Outcome, Seen, broken_off, reached, refused, row, then, unanswered

POST = b"POST /case HTTP/1.1\r\nHost: hg.test\r\n"
POST_1_0 = b"POST /case HTTP/1.0\r\nHost: hg.test\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: hg.test\r\n\r\n"

SEEN_HELLO = reached(Seen(b"POST", body=b"hello"))
SEEN_EMPTY = reached(Seen(b"POST"))
ONE_CODING = refused(400, 501)
BROKEN = broken_off(400)
TOO_LARGE = broken_off(400, 413, 431)

RULE_5 = "RFC 9112 §6.3 item 5"
RULE_4 = "RFC 9112 §6.3 item 4; §6.1"
CHUNK = "RFC 9112 §7.1"


def _length(name: str, value: bytes, *outcomes: Outcome, source: str = RULE_5) -> Case:
    head = POST + b"Content-Length:" + value + b"\r\n\r\n"
    return row(f"length/{name}", source, head + b"hello", *outcomes or (REFUSED,))


def _coding(name: str, lines: bytes, *outcomes: Outcome, source: str = RULE_4, body: bytes = HELLO) -> Case:
    return row(f"coding/{name}", source, POST + lines + b"\r\n" + body, *outcomes or (ONE_CODING,))


def _chunks(name: str, body: bytes, *outcomes: Outcome, source: str = CHUNK) -> Case:
    return row(f"chunk/{name}", source, POST + CHUNKED + b"\r\n" + body, *outcomes or (BROKEN,))


def _early(status: int, body: bytes) -> tuple[Outcome, Outcome]:
    """An answer before the body's end: the body is then passed on to its end, or breaks off."""
    answers = (Answer((status,), b"no"),)
    return (
        Outcome(answers, (Seen(b"POST", body=body),), After.EITHER),
        Outcome(answers, (), After.EITHER, may_begin=True),
    )


LENGTHS = (
    _length("plain", b" 5", SEEN_HELLO, source="RFC 9112 §6.2"),
    _length("no-space", b"5", SEEN_HELLO, source="RFC 9112 §5.1 (OWS)"),
    _length("tab-and-trailing-space", b"\t5 \t", SEEN_HELLO, source="RFC 9112 §5.1 (OWS)"),
    _length("leading-zeros", b" 0005", SEEN_HELLO, source="RFC 9110 §8.6 (1*DIGIT)"),
    row("length/other-case", "RFC 9110 §5.1", POST + b"cOnTeNt-LeNgTh: 5\r\n\r\nhello", SEEN_HELLO),
    row("length/zero-on-get", "RFC 9112 §6.3 item 6",
        b"GET /case HTTP/1.1\r\nHost: hg.test\r\nContent-Length: 0\r\n\r\n", reached(Seen())),
    row("length/get-with-body", "RFC 9110 §9.3.1; RFC 9112 §6.3",
        b"GET /case HTTP/1.1\r\nHost: hg.test\r\nContent-Length: 5\r\n\r\nhello", reached(Seen(body=b"hello"))),
    row("length/delete-with-body", "RFC 9110 §9.3.5; RFC 9112 §6.3",
        b"DELETE /case HTTP/1.1\r\nHost: hg.test\r\nContent-Length: 5\r\n\r\nhello",
        reached(Seen(b"DELETE", body=b"hello"))),
    row("length/in-1.0", "RFC 9112 §6.3 item 6", POST_1_0 + b"Content-Length: 5\r\n\r\nhello",
        reached(Seen(b"POST", body=b"hello"), after=After.CLOSED)),
    row("length/none", "RFC 9112 §6.3 item 7 (no body; or 411)", POST + b"\r\n", SEEN_EMPTY, refused(411)),
    row("length/none-then-request", "RFC 9112 §6.3 item 7", POST + b"\r\nGET /next HTTP/1.1\r\nHost: hg.test\r\n\r\n",
        reached(Seen(b"POST"), Seen(target=b"/next")), refused(411)),
    _length("plus", b" +5"),
    _length("minus", b" -1"),
    _length("minus-zero", b" -0"),
    _length("hex", b" 0x5"),
    _length("underscore", b" 5_0"),
    _length("decimal-point", b" 5.0"),
    _length("exponent", b" 5e0"),
    _length("letters", b" five"),
    _length("space-inside", b" 5 5"),
    _length("semicolon", b" 5;"),
    _length("quoted", b' "5"'),
    _length("empty", b""),
    _length("comma-only", b" ,"),
    _length("list-empty-member", b" 5,"),
    _length("list-different", b" 5, 6"),
    _length("list-equal", b" 5, 5", REFUSED, SEEN_HELLO, source="RFC 9110 §8.6 (reject, or keep one)"),
    _length("twice-different", b" 5\r\nContent-Length: 6"),
    _length("twice-different-case", b" 5\r\ncontent-length: 0"),
    _length("twice-second-invalid", b" 5\r\nContent-Length: x"),
    _length("twice-second-empty", b" 5\r\nContent-Length:"),
    _length("twice-equal", b" 5\r\nContent-Length: 5", REFUSED, SEEN_HELLO,
            source="RFC 9110 §8.6 (reject, or keep one)"),
    _length("twice-zero-padded", b" 5\r\nContent-Length: 05", REFUSED, SEEN_HELLO,
            source="RFC 9110 §8.6 (reject, or keep one)"),
    _length("vertical-tab", b" \x0b5"),
    _length("form-feed", b" 5\x0c"),
    _length("nul", b" 5\x00"),
    _length("nbsp", b" \xa05"),
    _length("next-line", b" 5\x85"),
    _length("superscript", b" \xc2\xb2"),
    _length("full-width-digit", b" \xef\xbc\x95"),
    _length("folded", b"\r\n 5", source="RFC 9112 §5.2 (400), §6.3 item 5"),
    _length("fold-after", b" 5\r\n 0", source="RFC 9112 §5.2 (400), §6.3 item 5"),
    _length("bare-cr", b" 5\r0", source="RFC 9112 §2.2 (bare CR), §11.2"),
    _length("2-to-64-plus-5", b" 18446744073709551621", refused(400, 413), source="RFC 9110 §8.6 (overflow)"),
    _length("2-to-63", b" 9223372036854775808", refused(400, 413), source="RFC 9110 §8.6 (overflow)"),
    _length("40-digits", b" " + b"9" * 40, refused(400, 413), source="RFC 9110 §8.6 (overflow)"),
    _length("5000-digits", b" " + b"9" * 5000, refused(400, 413, 431), source="RFC 9110 §8.6 (overflow)"),
    row("length/body-short-then-half-close", "RFC 9112 §8 (incomplete)",
        (POST + b"Content-Length: 5\r\n\r\nhel", Do.HALF_CLOSE), broken_off(400, 408), unanswered()),
    row("length/space-before-colon", "RFC 9112 §5.1 (MUST 400)", POST + b"Content-Length : 5\r\n\r\nhello", REFUSED),
    row("length/tab-before-colon", "RFC 9112 §5.1 (MUST 400)", POST + b"Content-Length\t: 5\r\n\r\nhello", REFUSED),
    row("length/nul-in-name", "RFC 9110 §5.1", POST + b"Content-Length\x00: 5\r\n\r\nhello", REFUSED),
    row("length/vertical-tab-before-name", "RFC 9110 §5.1", POST + b"\x0bContent-Length: 5\r\n\r\nhello", REFUSED),
    row("length/hidden-behind-bare-lf", "RFC 9112 §2.2, §11.2", POST + b"X-A: b\nContent-Length: 5\r\n\r\nhello",
        REFUSED),
    row("length/hidden-behind-bare-cr", "RFC 9112 §2.2, §11.2", POST + b"X-A: b\rContent-Length: 5\r\n\r\nhello",
        REFUSED),
    row("length/underscore-name-is-no-length", "RFC 9112 §6.3 item 7; §11.2",
        POST + b"Content_Length: 41\r\n\r\n" + SMUGGLED,
        reached(Seen(b"POST"), Seen(target=b"/smuggled")), REFUSED, refused(411)),
)  # fmt: skip

CODINGS = (
    _coding("chunked", CHUNKED, SEEN_HELLO, source="RFC 9112 §6.1"),
    _coding("capital", b"Transfer-Encoding: Chunked\r\n", SEEN_HELLO, source="RFC 9112 §7 (case-insensitive)"),
    _coding("upper-case", b"TRANSFER-ENCODING: CHUNKED\r\n", SEEN_HELLO, source="RFC 9112 §7 (case-insensitive)"),
    _coding("tab-and-trailing-space", b"Transfer-Encoding:\tchunked \t\r\n", SEEN_HELLO, source="RFC 9112 §5.1 (OWS)"),
    _coding("leading-comma", b"Transfer-Encoding: , chunked\r\n", ONE_CODING, SEEN_HELLO,
            source="RFC 9110 §5.6.1.2 (empty members are ignored; a sender MUST NOT)"),
    _coding("trailing-comma", b"Transfer-Encoding: chunked,\r\n", ONE_CODING, SEEN_HELLO,
            source="RFC 9110 §5.6.1.2 (empty members are ignored; a sender MUST NOT)"),
    _coding("chunked-twice", b"Transfer-Encoding: chunked, chunked\r\n", source="RFC 9112 §7 (MUST NOT twice)"),
    _coding("chunked-on-two-lines", CHUNKED + CHUNKED, source="RFC 9112 §7 (MUST NOT twice)"),
    _coding("identity", b"Transfer-Encoding: identity\r\n", source="RFC 9112 §6.3 item 4 (400)"),
    _coding("identity-with-length", b"Transfer-Encoding: identity\r\nContent-Length: 15\r\n"),
    _coding("chunked-then-identity", b"Transfer-Encoding: chunked, identity\r\n"),
    _coding("identity-then-chunked", b"Transfer-Encoding: identity, chunked\r\n"),
    _coding("identity-line-then-chunked-line", b"Transfer-Encoding: identity\r\n" + CHUNKED),
    _coding("chunked-line-then-unknown-line", CHUNKED + b"Transfer-Encoding: cow\r\n"),
    _coding("unknown", b"Transfer-Encoding: cow\r\n", source="RFC 9112 §6.1 (501), §6.3 item 4"),
    _coding("unknown-then-chunked", b"Transfer-Encoding: cow, chunked\r\n", source="RFC 9112 §6.1 (501)"),
    _coding("gzip-then-chunked", b"Transfer-Encoding: gzip, chunked\r\n", source="RFC 9112 §6.1 (501)"),
    _coding("chunked-not-last", b"Transfer-Encoding: chunked, gzip\r\n", source="RFC 9112 §6.3 item 4 (400)"),
    _coding("prefix", b"Transfer-Encoding: xchunked\r\n"),
    _coding("suffix", b"Transfer-Encoding: chunkedx\r\n"),
    _coding("parameter", b"Transfer-Encoding: chunked;a=b\r\n"),
    _coding("quoted", b'Transfer-Encoding: "chunked"\r\n'),
    _coding("empty", b"Transfer-Encoding:\r\n"),
    _coding("empty-with-length", b"Transfer-Encoding:\r\nContent-Length: 15\r\n"),
    _coding("vertical-tab", b"Transfer-Encoding: \x0bchunked\r\n"),
    _coding("form-feed-after", b"Transfer-Encoding: chunked\x0c\r\n"),
    _coding("nbsp", b"Transfer-Encoding: \xa0chunked\r\n"),
    _coding("next-line", b"Transfer-Encoding: chunked\x85\r\n"),
    _coding("nul", b"Transfer-Encoding: chunked\x00\r\n", REFUSED, source="RFC 9110 §5.5"),
    _coding("space-before-colon", b"Transfer-Encoding : chunked\r\n", REFUSED, source="RFC 9112 §5.1 (MUST 400)"),
    _coding("colon-on-next-line", b"Transfer-Encoding\r\n: chunked\r\n", REFUSED, source="RFC 9112 §5"),
    _coding("folded", b"Transfer-Encoding:\r\n chunked\r\n", REFUSED, source="RFC 9112 §5.2 (400), §11.2"),
    _coding("as-fold-with-length", b"Content-Length: 15\r\n Transfer-Encoding: chunked\r\n", REFUSED,
            source="RFC 9112 §5.2 (400), §11.2"),
    _coding("hidden-behind-bare-lf", b"X-A: b\nTransfer-Encoding: chunked\r\n", REFUSED, source="RFC 9112 §2.2, §11.2"),
    _coding("hidden-behind-bare-cr", b"X-A: b\rTransfer-Encoding: chunked\r\n", REFUSED, source="RFC 9112 §2.2, §11.2"),
    _coding("underscore-name-is-no-coding", b"Transfer_Encoding: chunked\r\nContent-Length: 15\r\n",
            reached(Seen(b"POST", body=HELLO)), REFUSED, source="RFC 9112 §6.3 item 6; §11.2"),
    _coding("with-length", CHUNKED + b"Content-Length: 15\r\n", REFUSED,
            source="RFC 9112 §6.1 (MAY reject), §6.3 item 3 (ought to be an error)"),
    _coding("with-length-first", b"Content-Length: 15\r\n" + CHUNKED, REFUSED, source="RFC 9112 §6.1, §6.3 item 3"),
    _coding("with-zero-length", b"Content-Length: 0\r\n" + CHUNKED, REFUSED, source="RFC 9112 §6.1, §6.3 item 3"),
    _coding("with-invalid-length", b"Content-Length: x\r\n" + CHUNKED, REFUSED, source="RFC 9112 §6.1, §6.3 item 5"),
    row("coding/in-1.0", "RFC 9112 §6.1 (framing is faulty)", POST_1_0 + CHUNKED + b"\r\n" + HELLO, REFUSED),
    row("coding/in-1.0-with-length", "RFC 9112 §6.1 (even with a length)",
        POST_1_0 + CHUNKED + b"Content-Length: 15\r\n\r\n" + HELLO, REFUSED),
    row("coding/in-1.0-keep-alive", "RFC 9112 §6.1 (the connection is closed)",
        POST_1_0 + b"Connection: keep-alive\r\n" + CHUNKED + b"\r\n" + HELLO + SMUGGLED, REFUSED),
    row("coding/on-get", "RFC 9112 §6.3 item 4", b"GET /case HTTP/1.1\r\nHost: hg.test\r\n" + CHUNKED + b"\r\n" + HELLO,
        reached(Seen(body=b"hello"))),
)  # fmt: skip

CHUNKS = (
    _chunks("empty", b"0\r\n\r\n", SEEN_EMPTY),
    _chunks("two", b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", reached(Seen(b"POST", body=b"hello world"))),
    _chunks("lower-case-size", b"a\r\n0123456789\r\n0\r\n\r\n", reached(Seen(b"POST", body=b"0123456789"))),
    _chunks("upper-case-size", b"A\r\n0123456789\r\n0\r\n\r\n", reached(Seen(b"POST", body=b"0123456789"))),
    _chunks("leading-zeros", b"0005\r\nhello\r\n0\r\n\r\n", SEEN_HELLO),
    _chunks("last-of-many-zeros", b"5\r\nhello\r\n0000\r\n\r\n", SEEN_HELLO),
    _chunks("crlf-in-data", b"b\r\n0\r\n\r\n1\r\nx\r\n\r\n0\r\n\r\n", reached(Seen(b"POST",
            body=b"0\r\n\r\n1\r\nx\r\n"))),
    row("chunk/every-byte-alone", CHUNK,
        (POST + CHUNKED + b"\r\n", *(bytes([byte]) for byte in HELLO)), SEEN_HELLO),
    _chunks("extension", b"5;a=b\r\nhello\r\n0;c\r\n\r\n", SEEN_HELLO, source="RFC 9112 §7.1.1 (MUST be ignored)"),
    _chunks("quoted-extension", b'5;a="b;\\"c"\r\nhello\r\n0\r\n\r\n', SEEN_HELLO, source="RFC 9112 §7.1.1"),
    _chunks("bad-whitespace-before-extension", b"5 ;a=b\r\nhello\r\n0\r\n\r\n", SEEN_HELLO, BROKEN,
            source="RFC 9112 §7.1.1 (BWS)"),
    _chunks("trailing-space", b"5 \r\nhello\r\n0\r\n\r\n", BROKEN, SEEN_HELLO),
    _chunks("trailer-dropped", b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n",
            reached(Seen(b"POST", body=b"hello", fields={b"x-trailer": None})),
                    source="RFC 9112 §7.1.2; RFC 9110 §6.5"),
    _chunks("trailer-framing-never-merged", b"5\r\nhello\r\n0\r\nContent-Length: 50\r\nHost: evil.test\r\n\r\n",
            reached(Seen(b"POST", body=b"hello", fields={b"x-forwarded-host": b"hg.test"})), BROKEN,
            source="RFC 9110 §6.5.1"),
    _chunks("trailer-malformed", b"5\r\nhello\r\n0\r\nX Trailer: 1\r\n\r\n", BROKEN, SEEN_HELLO,
            source="RFC 9112 §7.1.2"),
    _chunks("trailer-bare-lf", b"5\r\nhello\r\n0\r\nX-Trailer: 1\n\r\n\r\n", source="RFC 9112 §2.2, §11.2"),
    _chunks("trailer-flood", b"5\r\nhello\r\n0\r\n" + b"X-Trailer: 1\r\n" * 20_000 + b"\r\n", TOO_LARGE, SEEN_HELLO,
            source="RFC 9112 §7.1.2; RFC 9110 §5.4 (limits)"),
    _chunks("size-letter", b"g\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-minus", b"-5\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-plus", b"+5\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-underscore", b"0_5\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-leading-space", b" 5\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-empty", b"\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-only-extension", b";a=b\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-junk-after", b"5 x\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-comma", b"5,5\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-non-ascii-digit", b"\xd9\xa5\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-nul", b"5\x00\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-vertical-tab", b"5\x0b\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-wraps-64-bits", b"10000000000000005\r\nhello\r\n0\r\n\r\n", TOO_LARGE,
            source="RFC 9112 §7.1 (overflow)"),
    _chunks("size-too-many-digits", b"F" * 17 + b"\r\nhello\r\n0\r\n\r\n", TOO_LARGE,
            source="RFC 9112 §7.1 (overflow)"),
    _chunks("size-bare-lf", b"5\nhello\r\n0\r\n\r\n", source="RFC 9112 §2.2, §11.2"),
    _chunks("size-bare-cr", b"5\rhello\r\n0\r\n\r\n", source="RFC 9112 §2.2, §11.2"),
    _chunks("size-cr-cr-lf", b"5\r\r\nhello\r\n0\r\n\r\n", source="RFC 9112 §2.2, §11.2"),
    _chunks("extension-bare-lf", b"5;a\nhello\r\n0\r\n\r\n", source="RFC 9112 §7.1.1, §11.2"),
    _chunks("extension-bare-cr", b"5;a\rb\r\nhello\r\n0\r\n\r\n", source="RFC 9112 §7.1.1, §2.2"),
    _chunks("extension-lf-hides-request", b"5;a\nxx\r\nhello\r\n0\r\n\r\n" + SMUGGLED, source="RFC 9112 §7.1.1, §11.2"),
    _chunks("extension-oversized", b"5;" + b"a" * 100_000 + b"\r\nhello\r\n0\r\n\r\n", TOO_LARGE,
            source="RFC 9112 §7.1.1 (ought to be limited)"),
    _chunks("data-without-crlf", b"5\r\nhello0\r\n\r\n"),
    _chunks("data-spills", b"5\r\nhello!\r\n0\r\n\r\n"),
    _chunks("data-junk-before-crlf", b"5\r\nhello XX\r\n0\r\n\r\n"),
    _chunks("data-bare-lf", b"5\r\nhello\n0\r\n\r\n", source="RFC 9112 §7.1, §11.2"),
    _chunks("data-two-wrong-bytes", b"5\r\nhelloXX0\r\n\r\n"),
    _chunks("data-cr-only", b"5\r\nhello\rX0\r\n\r\n"),
    _chunks("last-minus-zero", b"5\r\nhello\r\n-0\r\n\r\n"),
    _chunks("last-0x0", b"5\r\nhello\r\n0x0\r\n\r\n"),
    _chunks("last-bare-lf", b"5\r\nhello\r\n0\n\r\n", source="RFC 9112 §7.1, §11.2"),
    _chunks("end-bare-lf", b"5\r\nhello\r\n0\r\n\n", source="RFC 9112 §7.1, §11.2"),
    _chunks("not-chunked-at-all", b"hello"),
    row("chunk/cut-in-data-then-half-close", "RFC 9112 §8 (incomplete)",
        (POST + CHUNKED + b"\r\n5\r\nhel", Do.HALF_CLOSE), broken_off(400, 408), unanswered()),
    row("chunk/cut-before-last-then-half-close", "RFC 9112 §8 (incomplete)",
        (POST + CHUNKED + b"\r\n5\r\nhello\r\n", Do.HALF_CLOSE), broken_off(400, 408), unanswered()),
    row("chunk/cut-in-size-then-half-close", "RFC 9112 §8 (incomplete)",
        (POST + CHUNKED + b"\r\n5", Do.HALF_CLOSE), broken_off(400, 408), unanswered()),
)  # fmt: skip

SMUGGLING = (
    row("smuggling/cl-te", "RFC 9112 §11.2, §6.1",
        POST + b"Content-Length: 46\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED, REFUSED),
    row("smuggling/te-cl", "RFC 9112 §11.2, §6.1",
        POST + CHUNKED + b"Content-Length: 4\r\n\r\n29\r\n" + SMUGGLED + b"\r\n0\r\n\r\n", REFUSED),
    row("smuggling/cl-cl", "RFC 9112 §11.2, §6.3 item 5",
        POST + b"Content-Length: 0\r\nContent-Length: 41\r\n\r\n" + SMUGGLED, REFUSED),
    row("smuggling/te-te", "RFC 9112 §11.2, §6.1",
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n\r\n29\r\n" + SMUGGLED
        + b"\r\n0\r\n\r\n", refused(400, 501)),
    row("smuggling/body-is-a-request", "RFC 9112 §6.3 item 6", POST + b"Content-Length: 41\r\n\r\n" + SMUGGLED,
        reached(Seen(b"POST", body=SMUGGLED))),
    row("smuggling/get-body-is-a-request", "RFC 9112 §6.3 item 6",
        b"GET /case HTTP/1.1\r\nHost: hg.test\r\nContent-Length: 41\r\n\r\n" + SMUGGLED, reached(Seen(body=SMUGGLED))),
    row("smuggling/head-body-is-a-request", "RFC 9112 §6.3 item 6",
        b"HEAD /case HTTP/1.1\r\nHost: hg.test\r\nContent-Length: 41\r\n\r\n" + SMUGGLED,
        reached(Seen(b"HEAD", body=SMUGGLED)), heads=(0,)),
    row("smuggling/early-answer-body-is-a-request", "RFC 9112 §9.3, §6.3 item 6 (the rest is never a request)",
        (POST + b"Content-Length: 41\r\n\r\n", Do.AWAIT_ANSWER, SMUGGLED), *_early(403, SMUGGLED),
        scripts=((b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",),)),
    row("smuggling/early-answer-pause-in-body", "RFC 9112 §9.3, §6.3 item 6",
        (POST + b"Content-Length: 44\r\n\r\nabc", Do.AWAIT_ANSWER, SMUGGLED), *_early(413, b"abc" + SMUGGLED),
        scripts=((b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno", Do.GONE),)),
    row("smuggling/early-answer-chunked", "RFC 9112 §9.3, §7.1",
        (POST + CHUNKED + b"\r\n29\r\n", Do.AWAIT_ANSWER, SMUGGLED + b"\r\n0\r\n\r\n"), *_early(403, SMUGGLED),
        scripts=((b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",),)),
    row("smuggling/after-chunked-body", "RFC 9112 §9.3.2; §7.1",
        POST + CHUNKED + b"\r\n" + HELLO + b"GET /next HTTP/1.1\r\nHost: hg.test\r\n\r\n",
        then(SEEN_HELLO, reached(Seen(target=b"/next")))),
    row("smuggling/chunk-size-line-split", CHUNK, (POST + CHUNKED + b"\r\n5\r", b"\nhello\r", b"\n0\r\n\r", b"\n"),
        SEEN_HELLO),
)  # fmt: skip

CASES: tuple[Case, ...] = (*LENGTHS, *CODINGS, *CHUNKS, *SMUGGLING)
