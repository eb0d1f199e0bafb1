"""Laws of one exchange as bytes, beside h11: what is written, what is read, and when the connection is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.ext.http1 import HeadLimits
from headgate.proxy.errors import GatewayError
from headgate.proxy.upstream.codec import ExchangeCodec

from ..ext.message_writer import METHODS, TARGETS, MessageWriter

writers = st.integers(0, 2**32).map(MessageWriter)
UPGRADE = ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))
PLAIN = ((b"Host", b"a"),)


@settings(max_examples=300)
@given(writers, st.lists(st.binary(max_size=9), max_size=4), st.booleans())
def test_a_request_is_written_as_h11_writes_it(writer: MessageWriter, pieces: list[bytes], has_end: bool) -> None:
    method, target, fields = writer.pick(METHODS), writer.pick(TARGETS), writer.fields()
    codec, connection = ExchangeCodec(HeadLimits()), h11.Connection(h11.CLIENT)
    try:
        assert codec.start(method, target, fields) == connection.send(
            h11.Request(method=method, target=target, headers=fields)
        )
        for piece in pieces:
            assert codec.data(piece) == connection.send(h11.Data(data=piece))
        if has_end:
            assert codec.end() == connection.send(h11.EndOfMessage())
    except GatewayError as error:
        assert error.kind.name == "internal"
        is_complete = False
        for refused in (lambda: codec.data(b""), codec.end, lambda: codec.start(b"GET", b"/", PLAIN)):
            assert is_refused(refused)
    else:
        is_complete = has_end
    assert codec.is_request_complete is is_complete


def is_refused(write: Callable[[], object]) -> bool:
    try:
        write()
    except GatewayError:
        return True
    return False


@settings(max_examples=300)
@given(st.one_of(st.none(), st.integers(0, 12)), st.lists(st.binary(max_size=5), max_size=4))
def test_a_body_that_h11_refuses_is_refused_with_the_same_step(length: int | None, pieces: list[bytes]) -> None:
    """All is the same here, what is refused too: a length is kept to the byte."""
    fields = [*PLAIN, (b"Transfer-Encoding", b"chunked") if length is None else (b"Content-Length", b"%d" % length)]
    codec, connection = ExchangeCodec(HeadLimits()), h11.Connection(h11.CLIENT)
    codec.start(b"PUT", b"/", fields)
    connection.send(h11.Request(method=b"PUT", target=b"/", headers=fields))
    for event in (*(h11.Data(data=piece) for piece in pieces), h11.EndOfMessage(), h11.EndOfMessage()):
        try:
            expected = connection.send(event)
        except h11.LocalProtocolError:
            expected = None
        try:
            written = codec.data(bytes(event.data)) if isinstance(event, h11.Data) else codec.end()
        except GatewayError:
            assert expected is None
        else:
            assert written == expected
        assert codec.is_request_complete is (connection.our_state is h11.DONE)


@dataclass
class Answer:
    """What was read on a connection up to its end."""

    heads: list[tuple[int, bytes, list[tuple[bytes, bytes]]]] = field(default_factory=list)
    body: bytes = b""
    is_complete: bool = False
    is_reusable: bool = False
    end: str = ""


def read(codec: ExchangeCodec, pieces: Sequence[bytes]) -> Answer:
    """Read as a connection does, then let the stream end."""
    answer = Answer()
    try:
        for piece in pieces:
            if codec.head is not None:
                codec.feed_body(piece)
            else:
                _take_heads(codec, piece, answer)
            if answer.heads and answer.heads[-1][0] == 101:
                answer.end = "switched"
                return answer
            if codec.head is not None:
                answer.body += codec.take_body()
        answer.is_reusable = codec.is_reusable
        if not codec.is_answer_complete:
            codec.feed_eof()
            answer.body += codec.take_body()
    except GatewayError as error:
        answer.end = error.kind.name
    answer.is_complete = codec.is_answer_complete
    return answer


def _take_heads(codec: ExchangeCodec, piece: bytes, answer: Answer) -> None:
    head = codec.next_head(piece)
    while head is not None:
        answer.heads.append((head.status, head.reason, list(head.fields)))
        head = codec.next_head(b"") if head.status < 200 and head.status != 101 else None


def asked(method: bytes, fields: Sequence[tuple[bytes, bytes]]) -> tuple[ExchangeCodec, h11.Connection]:
    codec, connection = ExchangeCodec(HeadLimits()), h11.Connection(h11.CLIENT)
    codec.start(method, b"/", fields)
    codec.end()
    connection.send(h11.Request(method=method, target=b"/", headers=list(fields)))
    connection.send(h11.EndOfMessage())
    return codec, connection


requests = st.sampled_from(((), UPGRADE, ((b"Connection", b"close"),), ((b"Connection", b"x, Close"),)))


@settings(max_examples=200)
@given(writers, st.sampled_from((b"GET", b"HEAD")), requests)
def test_an_answer_reads_the_same_for_any_split(
    writer: MessageWriter, method: bytes, extra: tuple[tuple[bytes, bytes], ...]
) -> None:
    data = writer.response()
    whole = read(asked(method, (*PLAIN, *extra))[0], [data])
    for pieces in ([data[index : index + 1] for index in range(len(data))], writer.pieces(data)):
        found = read(asked(method, (*PLAIN, *extra))[0], pieces)
        # How much is told before it fails hangs on how it came.
        assert found.end == whole.end if whole.end else found == whole, pieces


@settings(max_examples=300)
@given(writers, st.sampled_from((b"GET", b"HEAD")), requests)
def test_h11_reads_the_same_answer_from_what_is_read_here(
    writer: MessageWriter, method: bytes, extra: tuple[tuple[bytes, bytes], ...]
) -> None:
    data = writer.response()
    codec, connection = asked(method, (*PLAIN, *extra))
    found = read(codec, [data])
    if found.end not in ("", "switched"):
        return
    theirs = h11_read(connection, data)
    assert lower_codings(found) == lower_codings(theirs), data
    assert (found.body, found.is_complete) == (theirs.body, theirs.is_complete), data
    is_kept = theirs.is_reusable and codec.head is not None and codec.head.framing != "close"
    assert found.is_reusable is is_kept, data


def lower_codings(answer: Answer) -> list[object]:
    """The heads, with what h11 writes in lower case in lower case."""
    return [
        (status, reason, [(k, v.lower() if k.lower() == b"transfer-encoding" else v) for k, v in fields])
        for status, reason, fields in answer.heads
    ]


def h11_read(connection: h11.Connection, data: bytes) -> Answer:
    answer = Answer()
    connection.receive_data(data)
    for is_ended in (False, True):
        if is_ended and not answer.is_complete:
            connection.receive_data(b"")
        while not answer.is_complete and (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.InformationalResponse | h11.Response):
                answer.heads.append((event.status_code, event.reason.strip(b" \t"), event.headers.raw_items()))
            elif isinstance(event, h11.Data):
                answer.body += bytes(event.data)
            else:
                answer.is_complete = isinstance(event, h11.EndOfMessage)
        if answer.heads[-1][0] == 101:
            return answer
        if not is_ended:
            states = {connection.our_state, connection.their_state}
            answer.is_reusable = states == {h11.DONE} and not connection.trailing_data[0]
    return answer
