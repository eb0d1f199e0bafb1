"""Requests: Expect, persistence, HTTP/1.0 and pipelining."""

from __future__ import annotations

from .case import (
    ANSWERS,
    BAD_GATEWAY,
    REFUSED,
    After,
    Answer,
    Case,
    Continued,
    Do,
    Outcome,
    Seen,
    reached,
    refused,
    row,
    then,
)

HOST = b"Host: hg.test\r\n"
GET = b"GET /case HTTP/1.1\r\n" + HOST + b"\r\n"
NEXT = b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /case HTTP/1.1\r\n" + HOST
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
EXPECT = b"Expect: 100-continue\r\n"
SEEN_HELLO = reached(Seen(b"POST", body=b"hello"))
TWO = then(reached(Seen()), reached(Seen(target=b"/next")))
CLOSED = After.CLOSED
EITHER = After.EITHER


def _continued(status: int) -> Outcome:
    return Outcome((Answer((status,), b"no"),), None, EITHER)


EXPECTS = (
    row("expect/body-held-back", "RFC 9110 §10.1.1",
        (POST + EXPECT + b"Content-Length: 5\r\n\r\n", Do.AWAIT_CONTINUE, Continued(b"hello")),
        reached(Seen(b"POST", body=b"hello"), interims=(100,))),
    row("expect/chunked-body-held-back", "RFC 9110 §10.1.1",
        (POST + EXPECT + b"Transfer-Encoding: chunked\r\n\r\n", Do.AWAIT_CONTINUE, Continued(HELLO)),
        reached(Seen(b"POST", body=b"hello"), interims=(100,))),
    row("expect/other-case", "RFC 9110 §10.1.1 (case-insensitive)",
        (POST + b"Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n", Do.AWAIT_CONTINUE, Continued(b"hello")),
        reached(Seen(b"POST", body=b"hello"), interims=(100,))),
    row("expect/body-sent-at-once", "RFC 9110 §10.1.1 (100 MAY be omitted)",
        POST + EXPECT + b"Content-Length: 5\r\n\r\nhello", SEEN_HELLO),
    row("expect/without-body", "RFC 9110 §10.1.1", b"GET /case HTTP/1.1\r\n" + HOST + EXPECT + b"\r\n", reached(Seen())),
    row("expect/in-1.0", "RFC 9110 §10.1.1 (MUST be ignored), §15.2 (no 1xx to HTTP/1.0)",
        b"POST /case HTTP/1.0\r\n" + HOST + EXPECT + b"Content-Length: 5\r\n\r\nhello",
        reached(Seen(b"POST", body=b"hello"), after=CLOSED, interims=())),
    row("expect/unknown", "RFC 9110 §10.1.1 (417)", POST + b"Expect: 200-maybe\r\nContent-Length: 5\r\n\r\nhello",
        refused(417, after=EITHER)),
    row("expect/known-and-unknown", "RFC 9110 §10.1.1 (417)",
        POST + b"Expect: 100-continue, 200-maybe\r\nContent-Length: 5\r\n\r\nhello", refused(417, after=EITHER)),
    row("expect/bad-framing", "RFC 9112 §6.3 item 5", POST + EXPECT + b"Content-Length: x\r\n\r\n", REFUSED),
    row("expect/origin-refuses-at-once", "RFC 9110 §10.1.1 (a final status instead of 100)",
        (POST + EXPECT + b"Content-Length: 5\r\n\r\n", Do.AWAIT_CONTINUE, Continued(b"hello")), _continued(403),
        scripts=((b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno",),)),
    row("expect/second-request-after", "RFC 9110 §10.1.1; RFC 9112 §9.3.2",
        (POST + EXPECT + b"Content-Length: 5\r\n\r\n", Do.AWAIT_CONTINUE, Continued(b"hello" + NEXT)),
        then(SEEN_HELLO, reached(Seen(target=b"/next")))),
)  # fmt: skip

PERSISTENCE = (
    row("close/asked-by-client", "RFC 9112 §9.6 (MUST close after the answer)",
        b"GET /case HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", reached(Seen(), after=CLOSED)),
    row("close/other-case", "RFC 9110 §7.6.1 (case-insensitive)",
        b"GET /case HTTP/1.1\r\n" + HOST + b"Connection: CLOSE\r\n\r\n", reached(Seen(), after=CLOSED)),
    row("close/in-a-list", "RFC 9110 §7.6.1", b"GET /case HTTP/1.1\r\n" + HOST + b"Connection: x-a, close\r\n\r\n",
        reached(Seen(), after=CLOSED)),
    row("close/nothing-after-is-processed", "RFC 9112 §9.6 (MUST NOT process further requests)",
        b"GET /case HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n" + SMUGGLED, reached(Seen(), after=CLOSED)),
    row("close/post", "RFC 9112 §9.6", POST + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello",
        reached(Seen(b"POST", body=b"hello"), after=CLOSED)),
    row("1.0/closes", "RFC 9112 §9.3", b"GET /case HTTP/1.0\r\n" + HOST + b"\r\n", reached(Seen(), after=CLOSED)),
    row("1.0/nothing-after-is-processed", "RFC 9112 §9.3, §9.6",
        b"GET /case HTTP/1.0\r\n" + HOST + b"\r\n" + SMUGGLED, reached(Seen(), after=CLOSED)),
    row("1.0/keep-alive", "RFC 9112 §9.3 (may persist)",
        b"GET /case HTTP/1.0\r\n" + HOST + b"Connection: keep-alive\r\n\r\n", reached(Seen(), after=EITHER)),
    row("1.0/head", "RFC 9110 §9.3.2", b"HEAD /case HTTP/1.0\r\n" + HOST + b"\r\n", reached(Seen(b"HEAD"), after=CLOSED),
        heads=(0,)),
    row("1.0/no-1xx", "RFC 9110 §15.2 (MUST NOT send 1xx to HTTP/1.0)", b"GET /case HTTP/1.0\r\n" + HOST + b"\r\n",
        reached(Seen(), after=CLOSED, interims=()),
        scripts=((b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", Do.ECHO),)),
    row("1.0/chunked-answer-is-decoded", "RFC 9112 §6.1 (no Transfer-Encoding to HTTP/1.0)",
        b"GET /case HTTP/1.0\r\n" + HOST + b"\r\n",
        Outcome((Answer((200,), b"hello", {b"transfer-encoding": None}),), (Seen(),), CLOSED),
        scripts=((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO,),)),
    row("1.0/cut-answer-is-seen", "RFC 9112 §8 (an incomplete answer is never shown as complete)",
        b"GET /case HTTP/1.0\r\n" + HOST + b"\r\n",
        Outcome((Answer((200,), b"hello", is_whole=False),), None, CLOSED), BAD_GATEWAY,
        scripts=((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", Do.AWAIT_CLIENT, Do.FIN),)),
    row("close/half-close-after-request", "RFC 9112 §9.6 (answered, or closed)", (GET, Do.HALF_CLOSE),
        reached(Seen(), after=CLOSED), Outcome((), None, CLOSED)),
    row("close/origin-closes", "RFC 9112 §9.6; RFC 9110 §7.6.1 (its Connection is not the client's)", GET,
        Outcome((Answer((200,), b"ok"),), (Seen(),), EITHER),
        scripts=((b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", Do.FIN),)),
    row("reuse/get-on-stale-connection", "RFC 9112 §9.3.1 (an idempotent request may be sent again)",
        (GET, Do.AWAIT_ANSWER, NEXT), TWO,
        Outcome((Answer((200,), b"seen GET /case"), Answer((200,), b"seen GET /next")), None, After.OPEN),
        Outcome((Answer((200,), b"seen GET /case"), Answer((502,), is_own=True)), None, EITHER),
        scripts=(ANSWERS, (Do.FIN,), ANSWERS)),
    row("reuse/post-is-never-sent-twice", "RFC 9110 §9.2.2 (a proxy MUST NOT retry non-idempotent requests)",
        (GET, Do.AWAIT_ANSWER, POST + b"Content-Length: 5\r\n\r\nhello"),
        Outcome((Answer((200,), b"seen GET /case"), Answer((502,), is_own=True)),
                (Seen(), Seen(b"POST", body=b"hello")), EITHER),
        scripts=(ANSWERS, (Do.READ_BODY, Do.FIN), ANSWERS)),
    row("reuse/post-reset-is-never-sent-twice", "RFC 9110 §9.2.2",
        (GET, Do.AWAIT_ANSWER, POST + b"Content-Length: 5\r\n\r\nhello"),
        Outcome((Answer((200,), b"seen GET /case"), Answer((502,), is_own=True)),
                (Seen(), Seen(b"POST", body=b"hello")), EITHER),
        scripts=(ANSWERS, (Do.READ_BODY, Do.RESET), ANSWERS)),
)  # fmt: skip

PIPELINES = (
    row("pipeline/two", "RFC 9112 §9.3.2 (in order)", GET + NEXT, TWO),
    row("pipeline/empty-line-between", "RFC 9112 §2.2", GET + b"\r\n" + NEXT, TWO),
    row("pipeline/forty", "RFC 9112 §9.3.2 (in order)",
        b"".join(b"GET /%d HTTP/1.1\r\n" % at + HOST + b"\r\n" for at in range(40)),
        reached(*(Seen(target=b"/%d" % at) for at in range(40)))),
    row("pipeline/posts", "RFC 9112 §9.3.2, §6.3",
        POST + b"Content-Length: 5\r\n\r\nhello" + POST + b"Transfer-Encoding: chunked\r\n\r\n" + HELLO + NEXT,
        reached(Seen(b"POST", body=b"hello"), Seen(b"POST", body=b"hello"), Seen(target=b"/next"))),
    row("pipeline/head-then-get", "RFC 9110 §9.3.2; RFC 9112 §6.3 item 1",
        b"HEAD /case HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT, reached(Seen(b"HEAD"), Seen(target=b"/next")), heads=(0,)),
    row("pipeline/split-inside-second", "RFC 9112 §2.2", (GET + NEXT[:9], NEXT[9:]), TWO),
    row("pipeline/chunked-then-malformed-line", "RFC 9112 §9.3.2; §3",
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + HELLO + b"oops\r\n\r\n", then(SEEN_HELLO, REFUSED)),
    row("pipeline/second-malformed-line", "RFC 9112 §9.3.2 (in order: the first keeps its answer)",
        GET + b"GET /two words HTTP/1.1\r\n" + HOST + b"\r\n", then(reached(Seen()), REFUSED)),
    row("pipeline/second-malformed-field", "RFC 9112 §9.3.2, §5.1",
        GET + b"GET /next HTTP/1.1\r\nHost : hg.test\r\n\r\n", then(reached(Seen()), REFUSED)),
    row("pipeline/second-malformed-length", "RFC 9112 §9.3.2, §6.3 item 5",
        GET + POST + b"Content-Length: +5\r\n\r\nhello", then(reached(Seen()), REFUSED)),
    row("pipeline/second-both-lengths", "RFC 9112 §9.3.2, §6.1",
        GET + POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO, then(reached(Seen()), REFUSED)),
    row("pipeline/second-without-host", "RFC 9112 §9.3.2, §3.2", GET + b"GET /next HTTP/1.1\r\n\r\n",
        then(reached(Seen()), REFUSED)),
    row("pipeline/second-oversized", "RFC 9112 §9.3.2; RFC 6585 §5",
        GET + b"GET /next HTTP/1.1\r\n" + HOST + b"X-A: " + b"v" * 70_000 + b"\r\n\r\n",
        then(reached(Seen()), refused(400, 413, 431))),
    row("pipeline/third-malformed", "RFC 9112 §9.3.2", GET + NEXT + b"\x00\r\n\r\n", then(TWO, REFUSED)),
    row("pipeline/first-malformed", "RFC 9112 §9.6 (nothing after a broken framing is processed)",
        b"GET /case HTTP/1.1\r\nHost : hg.test\r\n\r\n" + SMUGGLED, REFUSED),
    row("pipeline/first-bad-chunk", "RFC 9112 §9.6, §7.1",
        POST + b"Transfer-Encoding: chunked\r\n\r\nx\r\n\r\n" + SMUGGLED,
        Outcome((Answer((400,), is_own=True),), (), CLOSED, may_begin=True)),
    row("pipeline/second-cut-then-half-close", "RFC 9112 §8", (GET + b"GET /smuggled HTTP/1.1\r\n", Do.HALF_CLOSE),
        then(reached(Seen()), refused(400, 408)), reached(Seen(), after=CLOSED)),
    row("pipeline/extra-crlf-after-body", "RFC 9112 §2.2 (an old client's extra CRLF)",
        POST + b"Content-Length: 5\r\n\r\nhello\r\n" + NEXT, then(SEEN_HELLO, reached(Seen(target=b"/next")))),
    row("pipeline/junk-after-body", "RFC 9112 §2.2, §3", POST + b"Content-Length: 5\r\n\r\nhello world\r\n\r\n",
        then(SEEN_HELLO, REFUSED)),
)  # fmt: skip

CASES: tuple[Case, ...] = (*EXPECTS, *PERSISTENCE, *PIPELINES)
