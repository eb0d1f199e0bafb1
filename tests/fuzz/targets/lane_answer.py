"""A target's head on the lane: read as the reference path reads it, and what is written of it a client reads."""

from __future__ import annotations

from collections.abc import Iterator

import h11

from headgate.ext import implementation
from headgate.ext.http1 import HeadError, HeadLimits, Pair, ResponseHead
from headgate.ext.lane import AnswerHead
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.http1.fields import end_to_end
from headgate.proxy.upstream.continuation import FIELD
from headgate.proxy.upstream.opened import is_event_stream

from ...property.ext.message_traps import responses_of_all_kinds
from ...property.ext.message_writer import NAMES, VALUES, MessageWriter
from ..draws import Draws, halves, sized
from .http1_request import LIMITS
from .http1_response import TOKENS as TOKENS_OF_ANSWERS
from .lane_request import facts_of

COMPILED, REFERENCE = implementation("lane", "compiled"), implementation("http1", "twin")
FRAMING = (b"content-length", b"transfer-encoding")
NUMERICS = FIELD.lower()
STATUSES = (200, 206, 404, 503)
MAX_BYTES = 1024
TOKENS = (
    *TOKENS_OF_ANSWERS,
    *(b"Content-Type: text/event-stream\r\n", b"Content-Type: text/event-streams;a=b\r\n", b"Content-Type: a/b\r\n"),
    *(b"Content-Encoding: gzip\r\n", b"Content-Encoding: identity\r\n", FIELD + b": a\r\n"),
    *(b"Keep-Alive: timeout=5\r\n", b"Trailer: x\r\n", *map(sized, (*NAMES, *VALUES))),
)


def check(data: bytes) -> None:
    """The first byte chooses limits, and whether an answer is read and written on, or one is written of any fields.

    Raises: AssertionError.
    """
    draws = Draws(data)
    choice = draws.number()
    if choice % 4 == 3:
        status, length, reason, body = draws.pick(STATUSES), draws.number(), draws.text(), draws.text()
        fields: list[Pair] = []
        while not draws.is_empty:
            fields.append((draws.text(), draws.text()))
        assert_client_reads(status, reason, fields, body, choice // 4, is_chunked=bool(length % 2))
        return
    limits, message = LIMITS[choice % 4], draws.rest()
    answer = read(message, limits)
    for start, _ in halves(message):
        known = read(start, limits)
        if answer is None or len(start) < answer.size:
            assert known is None, start
        else:
            assert known is not None and facts(known) == facts(answer), start
    if answer is not None:
        assert_reads_alike(answer, message, limits)
        body = message[answer.size :]
        assert_client_reads(
            answer.status, answer.reason, answer.raw, body, choice // 4, is_chunked=answer.length is None
        )


def read(data: bytes, limits: HeadLimits) -> AnswerHead | None:
    """Read an answer under these limits."""
    answer: AnswerHead | None = COMPILED.read_answer(data, facts_of(limits), limits.max_head_bytes, limits.max_fields)
    return answer


def facts(answer: AnswerHead) -> tuple[object, ...]:
    """Return all that is known of an answer."""
    kinds = (answer.is_keep_alive, answer.is_event_stream, answer.media_type, answer.numerics)
    return answer.status, answer.reason, tuple(answer.raw), answer.length, answer.size, kinds


def assert_reads_alike(answer: AnswerHead, message: bytes, limits: HeadLimits) -> None:
    """See that the reference path takes the same head to mean the same."""
    try:
        head: ResponseHead = REFERENCE.parse_response_head(message[: answer.size], limits, request_method=b"GET")
    except HeadError as error:
        raise AssertionError(f"expected the reference path to refuse it, too: {error}") from error
    fields = Fields(end_to_end(head.fields))
    fields.remove("content-length")
    fields.remove_prefix("x-headgate-")
    assert (answer.status, answer.reason, answer.raw) == (head.status, head.reason, fields.raw)
    assert head.framing == ("chunked" if answer.length is None else "length")
    assert answer.length == (None if answer.length is None else head.content_length)
    assert answer.is_keep_alive is head.is_keep_alive
    assert answer.media_type.decode("latin-1") == (fields.get("content-type") or "")
    assert answer.is_event_stream is is_event_stream(head)
    assert answer.numerics == next((value for name, value in head.fields if name.lower() == NUMERICS), None)


def assert_client_reads(
    status: int, reason: bytes, fields: list[Pair], body: bytes, choice: int, *, is_chunked: bool
) -> None:
    """Write an answer with its body in one, and see that h11 reads what was given."""
    is_kept = choice % 2 == 0
    raw = [pair for pair in fields if pair[0].lower() not in FRAMING]
    head = COMPILED.write_answer(status, reason, raw, None if is_chunked else len(body), is_kept)
    if head is None:
        return
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 17)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(COMPILED.joined(head, body, is_chunked, True) if body or is_chunked else head)
    response = client.next_event()
    assert isinstance(response, h11.Response)
    assert (response.status_code, response.reason) == (status, reason)
    framing = (b"transfer-encoding", b"chunked") if is_chunked else (b"content-length", b"%d" % len(body))
    closing = [] if is_kept else [(b"connection", b"close")]
    assert list(response.headers) == [(name.lower(), value.strip(b" \t")) for name, value in raw] + [framing] + closing
    got = b""
    while isinstance(event := client.next_event(), h11.Data):
        got += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert got == body


def seeds() -> Iterator[bytes]:
    """Yield inputs to begin with."""
    yield from (b"\0" + message for message in responses_of_all_kinds())
    for seed in range(300):
        writer = MessageWriter(seed)
        yield bytes((seed % 3 + 4 * (seed % 2),)) + writer.response()
        parts = (b"OK", b"body", *(part for pair in writer.fields() for part in pair))
        yield bytes((3 + 4 * (seed % 2), seed % 4, seed % 5)) + b"".join(map(sized, parts))
