"""Upstream answers: length, chunks, truncation, and bytes that nobody asked for."""

from __future__ import annotations

from .case import BAD_GATEWAY, After, Answer, Case, Do, OriginStep, Outcome, Seen, cut, relayed, row

GET = b"GET /case HTTP/1.1\r\nHost: hg.test\r\n\r\n"
HEAD = b"HEAD /case HTTP/1.1\r\nHost: hg.test\r\n\r\n"
POST = b"POST /case HTTP/1.1\r\nHost: hg.test\r\nContent-Length: 5\r\n\r\nhello"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

RULE_5 = "RFC 9112 §6.3 item 5 (502)"
RULE_4 = "RFC 9112 §6.1, §6.3 item 4"
CHUNK = "RFC 9112 §7.1"
INCOMPLETE = "RFC 9112 §8 (an incomplete answer is never shown as complete)"
EXTRA = "RFC 9112 §6.3, §9.2 (extra bytes are never an answer)"
HELLO_RELAYED = relayed(b"hello")
HELLO_CUT = cut(b"hello")


def _answer(name: str, source: str, data: bytes, *outcomes: Outcome, ends: tuple[OriginStep, ...] = ()) -> Case:
    return row(f"answer/{name}", source, GET, *outcomes or (HELLO_RELAYED,), scripts=((Do.READ_BODY, data, *ends),))


def _bad(name: str, source: str, data: bytes, *outcomes: Outcome) -> Case:
    """A malformed answer on a connection that the gateway must give up."""
    return _answer(name, source, data, *outcomes or (BAD_GATEWAY,), ends=(Do.GONE,))


def _length(name: str, value: bytes, *outcomes: Outcome, source: str = RULE_5) -> Case:
    make = _answer if outcomes else _bad
    return make(f"length-{name}", source, OK + b"Content-Length:" + value + b"\r\n\r\nhello", *outcomes)


def _coding(name: str, lines: bytes, *outcomes: Outcome, source: str = RULE_4) -> Case:
    make = _answer if outcomes else _bad
    return make(f"coding-{name}", source, OK + lines + b"\r\n" + HELLO, *outcomes)


def _chunks(name: str, body: bytes, *outcomes: Outcome, source: str = CHUNK) -> Case:
    return _bad(f"chunk-{name}", source, CHUNKED + body, *outcomes or (BAD_GATEWAY, HELLO_CUT))


LENGTHS = (
    _length("plain", b" 5", HELLO_RELAYED, source="RFC 9112 §6.2"),
    _length("whitespace", b"\t5 \t", HELLO_RELAYED, source="RFC 9112 §5.1 (OWS)"),
    _length("leading-zeros", b" 0005", HELLO_RELAYED, source="RFC 9110 §8.6 (1*DIGIT)"),
    _answer("length-zero", "RFC 9112 §6.3 item 6", OK + b"Content-Length: 0\r\n\r\n", relayed(b"")),
    _length("plus", b" +5"),
    _length("minus", b" -5"),
    _length("hex", b" 0x5"),
    _length("underscore", b" 0_5"),
    _length("decimal-point", b" 5.0"),
    _length("letters", b" five"),
    _length("space-inside", b" 5 5"),
    _length("semicolon", b" 5;"),
    _length("empty", b""),
    _length("superscript", b" \xc2\xb2"),
    _length("nbsp", b" 5\xa0"),
    _length("vertical-tab", b" \x0b5"),
    _length("list-different", b" 5, 6"),
    _length("twice-different", b" 5\r\nContent-Length: 6"),
    _length("twice-second-invalid", b" 5\r\nContent-Length: x"),
    _length("list-equal", b" 5, 5", BAD_GATEWAY, relayed(b"hello", content_length=b"5"),
            source="RFC 9112 §6.3 item 5 (keep one, or 502)"),
    _length("twice-equal", b" 5\r\nContent-Length: 5", BAD_GATEWAY, relayed(b"hello", content_length=b"5"),
            source="RFC 9112 §6.3 item 5 (keep one, or 502)"),
    _length("space-before-colon", b" 5\r\nX-A: b", HELLO_RELAYED),
    _answer("length-name-with-space", "RFC 9112 §5.1 (MUST be removed; or refused)", OK
            + b"Content-Length : 5\r\n\r\nhello",
            BAD_GATEWAY, HELLO_RELAYED),
    _answer("length-folded", "RFC 9112 §5.2 (502, or replaced by SP)", OK + b"Content-Length:\r\n 5\r\n\r\nhello",
            BAD_GATEWAY, HELLO_RELAYED),
    _answer("length-2-to-64", RULE_5, OK + b"Content-Length: 18446744073709551621\r\n\r\nhello", BAD_GATEWAY, HELLO_CUT,
            ends=(Do.FIN,)),
    _answer("length-40-digits", RULE_5, OK + b"Content-Length: " + b"9" * 40 + b"\r\n\r\nhello", BAD_GATEWAY, HELLO_CUT,
            ends=(Do.FIN,)),
    _answer("close-delimited", "RFC 9112 §6.3 item 8", OK + b"\r\nhello", ends=(Do.FIN,)),
    _answer("close-delimited-empty", "RFC 9112 §6.3 item 8", OK + b"\r\n", relayed(b""), ends=(Do.FIN,)),
    _answer("close-delimited-1.0", "RFC 9112 §6.3 item 8", b"HTTP/1.0 200 OK\r\n\r\nhello", ends=(Do.FIN,)),
    _answer("1.0-keep-alive-with-length", "RFC 9112 §9.3",
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"),
    _answer("close-delimited-looks-chunked", "RFC 9112 §6.3 item 8", OK + b"\r\n" + HELLO, relayed(HELLO),
            ends=(Do.FIN,)),
    _answer("length-then-close", "RFC 9112 §6.3 item 6", OK + b"Content-Length: 5\r\n\r\nhello", ends=(Do.FIN,)),
    row("answer/every-byte-alone", "RFC 9112 §2.2 (a stream of octets)", GET, HELLO_RELAYED,
        scripts=((*(bytes([byte]) for byte in CHUNKED + HELLO),),)),
    row("answer/before-the-request-body", "RFC 9110 §7.5; RFC 9112 §9.3", POST,
        Outcome((Answer((200,), b"hello"),), (Seen(b"POST", body=b"hello"),), After.EITHER),
        scripts=((OK + b"Content-Length: 5\r\n\r\nhello", Do.READ_BODY),)),
)  # fmt: skip

CODINGS = (
    _coding("chunked", b"Transfer-Encoding: chunked\r\n", HELLO_RELAYED),
    _coding("capital", b"Transfer-Encoding: Chunked\r\n", HELLO_RELAYED, source="RFC 9112 §7 (case-insensitive)"),
    _coding("tab", b"Transfer-Encoding:\tchunked\t\r\n", HELLO_RELAYED, source="RFC 9112 §5.1 (OWS)"),
    _coding("leading-comma", b"Transfer-Encoding: , chunked\r\n", BAD_GATEWAY, HELLO_RELAYED,
            source="RFC 9110 §5.6.1.2"),
    _coding("with-length", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            source="RFC 9112 §6.3 item 3 (ought to be handled as an error)"),
    _coding("with-length-first", b"Content-Length: 15\r\nTransfer-Encoding: chunked\r\n",
            source="RFC 9112 §6.3 item 3"),
    _coding("with-zero-length", b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", source="RFC 9112 §6.3 item 3"),
    _coding("chunked-twice", b"Transfer-Encoding: chunked, chunked\r\n", source="RFC 9112 §7 (MUST NOT twice)"),
    _coding("chunked-on-two-lines", b"Transfer-Encoding: chunked\r\n" * 2, source="RFC 9112 §7 (MUST NOT twice)"),
    _coding("identity", b"Transfer-Encoding: identity\r\n"),
    _coding("unknown", b"Transfer-Encoding: cow\r\n"),
    _coding("gzip", b"Transfer-Encoding: gzip\r\n", source="RFC 9112 §6.1, §7.4 (not asked for by TE)"),
    _coding("gzip-then-chunked", b"Transfer-Encoding: gzip, chunked\r\n", source="RFC 9112 §7.4 (not asked for by TE)"),
    _coding("unknown-then-chunked", b"Transfer-Encoding: cow, chunked\r\n"),
    _coding("chunked-not-last", b"Transfer-Encoding: chunked, cow\r\n"),
    _coding("empty", b"Transfer-Encoding:\r\n"),
    _coding("empty-with-length", b"Transfer-Encoding:\r\nContent-Length: 15\r\n"),
    _coding("vertical-tab", b"Transfer-Encoding: \x0bchunked\r\n"),
    _coding("nbsp", b"Transfer-Encoding: \xa0chunked\r\n"),
    _coding("parameter", b"Transfer-Encoding: chunked;a=b\r\n"),
    _coding("quoted", b'Transfer-Encoding: "chunked"\r\n'),
    _coding("nul", b"Transfer-Encoding: chunked\x00\r\n"),
    _bad("coding-in-1.0", "RFC 9112 §6.1 (framing is faulty)",
         b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO),
    _coding("folded", b"Transfer-Encoding:\r\n chunked\r\n", BAD_GATEWAY, HELLO_RELAYED, source="RFC 9112 §5.2"),
)  # fmt: skip

CHUNKS = (
    _answer("chunk-empty", CHUNK, CHUNKED + b"0\r\n\r\n", relayed(b"")),
    _answer("chunk-two", CHUNK, CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", relayed(b"hello world")),
    _answer("chunk-hex-case", CHUNK, CHUNKED + b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
            relayed(b"0123456789" * 2)),
    _answer("chunk-leading-zeros", CHUNK, CHUNKED + b"0005\r\nhello\r\n000\r\n\r\n"),
    _answer("chunk-extension", "RFC 9112 §7.1.1", CHUNKED + b'5;a="b;c"\r\nhello\r\n0;d\r\n\r\n'),
    _answer("chunk-trailing-space", CHUNK, CHUNKED + b"5  \r\nhello\r\n0\r\n\r\n", HELLO_RELAYED, BAD_GATEWAY,
            HELLO_CUT),
    _answer("chunk-trailer-dropped", "RFC 9112 §7.1.2; RFC 9110 §6.5", CHUNKED + b"5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
            relayed(b"hello", x_t=None)),
    _answer("chunk-trailer-never-merged", "RFC 9110 §6.5.1", CHUNKED
            + b"5\r\nhello\r\n0\r\nSet-Cookie: a=1\r\nContent-Length: 9\r\n\r\n",
            relayed(b"hello", set_cookie=None), BAD_GATEWAY, HELLO_CUT),
    _chunks("trailer-malformed", b"5\r\nhello\r\n0\r\nX T: 1\r\n\r\n"),
    _chunks("size-letter", b"g\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-minus", b"-5\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-plus", b"+5\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-underscore", b"0_5\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-empty", b"\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-leading-space", b" 5\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-junk-after", b"5 x\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-wraps-64-bits", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-100-digits", b"0" * 99 + b"F" * 17 + b"\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-bare-lf", b"5\nhello\r\n0\r\n\r\n", source="RFC 9112 §2.2, §11.1"),
    _chunks("size-bare-cr", b"5\rhello\r\n0\r\n\r\n", source="RFC 9112 §2.2"),
    _chunks("extension-bare-lf", b"5;a\nhello\r\n0\r\n\r\n", source="RFC 9112 §7.1.1"),
    _chunks("extension-oversized", b"5;" + b"a" * 1_000_000 + b"\r\nhello\r\n0\r\n\r\n", source="RFC 9112 §7.1.1"),
    _chunks("data-without-crlf", b"5\r\nhello0\r\n\r\n"),
    _chunks("data-spills", b"5\r\nhello!\r\n0\r\n\r\n"),
    _chunks("data-junk-before-crlf", b"5\r\nhello XX\r\n0\r\n\r\n"),
    _chunks("data-bare-lf", b"5\r\nhello\n0\r\n\r\n"),
    _chunks("last-bare-lf", b"5\r\nhello\r\n0\n\r\n"),
    _chunks("last-minus-zero", b"5\r\nhello\r\n-0\r\n\r\n"),
    _chunks("not-chunked-at-all", b"hello"),
    _chunks("second-is-bad", b"5\r\nhello\r\nzz\r\n"),
)  # fmt: skip

CUTS = (
    *(_answer(f"cut-{name}-{end.name.lower()}", INCOMPLETE, data, BAD_GATEWAY, HELLO_CUT, ends=(end,))
      for end in (Do.FIN, Do.RESET)
      for name, data in (
          ("before-body", OK + b"Content-Length: 5\r\n\r\n"),
          ("in-body", OK + b"Content-Length: 5\r\n\r\nhel"),
          ("before-first-chunk", CHUNKED),
          ("in-chunk-size", CHUNKED + b"5"),
          ("in-chunk-data", CHUNKED + b"5\r\nhel"),
          ("after-chunk-data", CHUNKED + b"5\r\nhello"),
          ("before-last-chunk", CHUNKED + b"5\r\nhello\r\n"),
          ("in-last-chunk", CHUNKED + b"5\r\nhello\r\n0"))),
    _answer("cut-close-delimited-reset", INCOMPLETE, OK + b"\r\nhello", BAD_GATEWAY, HELLO_CUT, ends=(Do.AWAIT_BEGUN,
            Do.RESET)),
    *(row(f"answer/cut-after-commit-{end.name.lower()}", INCOMPLETE, GET, HELLO_CUT, BAD_GATEWAY,
          scripts=((OK + b"Content-Length: 9\r\n\r\nhello", Do.AWAIT_BEGUN, end),))
      for end in (Do.FIN, Do.RESET)),
    *(row(f"answer/cut-post-{name}-is-sent-once", "RFC 9110 §9.2.2 (a proxy MUST NOT retry non-idempotent requests)",
          POST,
          Outcome(BAD_GATEWAY.answers, (Seen(b"POST", body=b"hello"),), After.EITHER),
          scripts=((Do.READ_BODY, data, Do.FIN),))
      for name, data in (("nothing", b""), ("half-a-head", OK), ("garbage", b"\x00\xff"))),
    row("answer/cut-post-body-is-sent-once", "RFC 9110 §9.2.2", POST,
        Outcome(HELLO_CUT.answers, (Seen(b"POST", body=b"hello"),), After.CLOSED),
        Outcome(BAD_GATEWAY.answers, (Seen(b"POST", body=b"hello"),), After.EITHER),
        scripts=((Do.READ_BODY, OK + b"Content-Length: 9\r\n\r\nhello", Do.FIN),)),
)  # fmt: skip

BODILESS = (
    _answer("204", "RFC 9112 §6.3 item 1", b"HTTP/1.1 204 No Content\r\n\r\n", relayed(b"", 204,
            transfer_encoding=None)),
    _answer("304-with-length", "RFC 9110 §15.4.5; RFC 9112 §6.3 item 1",
            b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 100\r\n\r\n", relayed(b"", 304, etag=b'"x"')),
    _answer("304-with-coding", "RFC 9112 §6.1, §6.3 item 1",
            b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
            relayed(b"", 304)),
    _answer("205", "RFC 9110 §15.3.6", b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", relayed(b"", 205)),
    _bad("204-with-length", "RFC 9110 §8.6 (MUST NOT), §15.3.5",
         b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
         relayed(b"", 204, content_length=None), BAD_GATEWAY),
    _bad("204-with-chunks", "RFC 9112 §6.1 (MUST NOT)",
         b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO,
         relayed(b"", 204, transfer_encoding=None), BAD_GATEWAY),
    _bad("304-with-body", EXTRA, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", relayed(b"", 304),
         BAD_GATEWAY),
    row("answer/head-with-length", "RFC 9110 §9.3.2, §8.6", HEAD, relayed(b"", content_length=b"5"),
        scripts=((OK + b"Content-Length: 5\r\n\r\n",),), heads=(0,)),
    row("answer/head-with-coding", "RFC 9112 §6.1, §6.3 item 1", HEAD, relayed(b""), scripts=((CHUNKED,),), heads=(0,)),
    row("answer/head-without-length", "RFC 9112 §6.3 item 1", HEAD, relayed(b"", content_length=None),
        scripts=((OK + b"\r\n",),), heads=(0,)),
    row("answer/head-with-body", EXTRA, HEAD, relayed(b""), BAD_GATEWAY,
        scripts=((OK + b"Content-Length: 5\r\n\r\nhello", Do.GONE),), heads=(0,)),
    row("answer/head-malformed", RULE_5, HEAD, BAD_GATEWAY, scripts=((OK + b"Content-Length: x\r\n\r\n", Do.GONE),),
        heads=(0,)),
)  # fmt: skip

EXTRAS = (
    _bad("extra-byte", EXTRA, OK + b"Content-Length: 5\r\n\r\nhello!", HELLO_RELAYED),
    _bad("extra-answer", EXTRA, OK + b"Content-Length: 5\r\n\r\nhello" + POISON, HELLO_RELAYED),
    _bad("extra-answer-after-chunks", EXTRA, CHUNKED + HELLO + POISON, HELLO_RELAYED),
    _bad("extra-answer-after-204", EXTRA, b"HTTP/1.1 204 No Content\r\n\r\n" + POISON, relayed(b"", 204)),
    _bad("extra-answer-after-304", EXTRA, b"HTTP/1.1 304 Not Modified\r\n\r\n" + POISON, relayed(b"", 304)),
    _bad("extra-body-after-zero-length", EXTRA, OK + b"Content-Length: 0\r\n\r\nhello", relayed(b"")),
    row("answer/extra-answer-after-head", EXTRA, HEAD, relayed(b""), BAD_GATEWAY,
        scripts=((OK + b"Content-Length: 5\r\n\r\n" + POISON, Do.GONE),), heads=(0,)),
    *(row(f"answer/idle-{name}", "RFC 9112 §9.2 (bytes without a request are no answer; SHOULD close)", GET,
          HELLO_RELAYED,
          scripts=((OK + b"Content-Length: 5\r\n\r\nhello", Do.AWAIT_CLIENT, data, Do.GONE),))
      for name, data in (
          ("answer", POISON),
          ("half-an-answer", b"HTTP/1.1 200 OK\r\nContent-Le"),
          ("crlf", b"\r\n"),
          ("408", b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))),
    row("answer/idle-408-and-close", "RFC 9110 §15.5.9; RFC 9112 §9.2", GET, HELLO_RELAYED,
        scripts=((OK + b"Content-Length: 5\r\n\r\nhello", Do.AWAIT_CLIENT,
                  b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", Do.FIN),)),
    row("answer/idle-close", "RFC 9112 §9.5 (either side may close at any time)", GET, HELLO_RELAYED,
        scripts=((OK + b"Content-Length: 5\r\n\r\nhello", Do.AWAIT_CLIENT, Do.FIN),)),
    _bad("close-announced", "RFC 9112 §9.6 (nothing more is sent on it)",
         OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", HELLO_RELAYED),
    _bad("1.0-without-keep-alive", "RFC 9112 §9.3 (the connection does not persist)",
         b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", HELLO_RELAYED),
)  # fmt: skip

CASES: tuple[Case, ...] = (*LENGTHS, *CODINGS, *CHUNKS, *CUTS, *BODILESS, *EXTRAS)
