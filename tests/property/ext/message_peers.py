"""Other readers of HTTP/1.1, h11 and aiohttp's: what is taken here, they take, and mean the same."""

from __future__ import annotations

import re
from typing import Any

import h11
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParserC, HttpResponseParserC
from aiohttp.streams import EMPTY_PAYLOAD

from headgate.ext.http1 import RequestHead, ResponseHead, list_members

from .message_reader import Reading
from .message_writer import METHODS as KNOWN_METHODS

MOST_BYTES = 1 << 20  # that h11 keeps of a head
# White space around a value is none of it (RFC 9110 §5.5); aiohttp takes a tab behind a coding for a part of that.
_TAB_BEHIND_CODING = re.compile(rb"\ntransfer-encoding:[ \t]*chunked *\t", re.IGNORECASE)
_NO_LOOP: Any = object()  # nothing here waits


def c_parser(kind: type[HttpRequestParserC | HttpResponseParserC]) -> Any:
    """Make one of aiohttp's parsers."""
    return kind(BaseProtocol(_NO_LOOP), _NO_LOOP, 2**16)


def c_body(payload: Any) -> bytes:
    """Return a body that such a parser has read to its end."""
    if payload is EMPTY_PAYLOAD:
        return b""
    return b"".join(payload._buffer) if payload.is_eof() else b"incomplete"


def lower_coding(pairs: Any) -> list[tuple[bytes, bytes]]:
    """Return fields with the values of Transfer-Encoding in lower case, as h11 has them."""
    return [(name, value.lower() if name.lower() == b"transfer-encoding" else value) for name, value in pairs]


def h11_events(connection: h11.Connection) -> list[object]:
    """Return the events up to the end of a message, or to where bytes are wanted."""
    events: list[object] = []
    while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
        events.append(event)
        if isinstance(event, h11.EndOfMessage):
            break
    return events


def is_for_aiohttp(message: bytes, head: RequestHead | ResponseHead) -> bool:
    """Whether aiohttp reads this by the same rules. It reads no body behind an upgrade."""
    is_upgrade = any(name.lower() == b"upgrade" for name, _ in head.fields)
    return not is_upgrade and _TAB_BEHIND_CODING.search(message.partition(b"\r\n\r\n")[0]) is None


def assert_peers_read_request(data: bytes, found: Reading) -> None:
    """Method, target, fields, body, what comes after it, and that it ends with this byte and not with one before."""
    assert isinstance(found.head, RequestHead)
    message = data[: len(data) - len(found.rest)].removeprefix(b"\r\n")  # h11 wants no empty line in front
    assert_h11_reads_request(message, found.head, found.body)
    is_known = found.head.method in KNOWN_METHODS and message.partition(b"\r")[0].endswith((b"1.0", b"1.1"))
    if is_known and is_for_aiohttp(message, found.head):
        assert_aiohttp_reads_request(message, found)


def assert_h11_reads_request(message: bytes, head: RequestHead, body: bytes) -> None:
    """See that h11 reads the same from a whole request."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_BYTES)
    connection.receive_data(message[:-1])
    events = h11_events(connection)
    assert not any(isinstance(event, h11.EndOfMessage) for event in events)
    connection.receive_data(message[-1:])
    request, *datas, end = events + h11_events(connection)
    assert isinstance(request, h11.Request) and isinstance(end, h11.EndOfMessage)
    assert (request.method, request.target) == (head.method, head.target)
    assert lower_coding(request.headers.raw_items()) == lower_coding(head.fields)
    assert b"".join(bytes(data.data) for data in datas if isinstance(data, h11.Data)) == body
    assert connection.trailing_data == (b"", False)
    # h11 keeps nothing of HTTP/1.0, and waits for the answer to an upgrade.
    if head.version == (1, 1) and connection.their_state in (h11.DONE, h11.MUST_CLOSE):
        assert (connection.their_state is h11.DONE) is head.is_keep_alive


def assert_aiohttp_reads_request(message: bytes, found: Reading) -> None:
    """See that aiohttp reads the same from a whole request."""
    assert isinstance(found.head, RequestHead)
    parser = c_parser(HttpRequestParserC)
    messages = list(parser.feed_data(message[:-1])[0])
    assert not found.head.has_body or not messages or not messages[0][1].is_eof()
    messages += parser.feed_data(message[-1:])[0]
    ((read, payload),) = messages
    assert (read.method.encode(), read.path.encode()) == (found.head.method, found.head.target)
    assert tuple(read.version) == found.head.version
    assert read.raw_headers == found.head.fields
    # `close` goes before `keep-alive` (RFC 9112 §9.3). In HTTP/1.0 aiohttp has it the other way round.
    options = list_members([value for name, value in found.head.fields if name.lower() == b"connection"])
    if found.head.version == (1, 1) or b"close" not in options:
        assert read.should_close is not found.head.is_keep_alive
    assert read.chunked is found.head.is_chunked
    assert (c_body(payload) if found.head.has_body else b"") == found.body


def assert_peers_read_response(data: bytes, found: Reading, method: bytes) -> None:
    """Status, fields, body, where it ends, and whether another answer may follow. Not of 101: it ends HTTP."""
    assert isinstance(found.head, ResponseHead)
    if found.head.status == 101:
        return
    message = data[: len(data) - len(found.rest)]
    assert_h11_reads_response(message, found.head, found.body, method)
    is_known = message.startswith((b"HTTP/1.0", b"HTTP/1.1")) and method != b"HEAD" and found.head.status >= 200
    if is_known and is_for_aiohttp(message, found.head):
        assert_aiohttp_reads_response(message, found)


def assert_h11_reads_response(message: bytes, head: ResponseHead, body: bytes, method: bytes) -> None:
    """See that h11 reads the same from an answer that is whole, or goes on until the connection is closed."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_BYTES)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(message)
    answer, *datas = h11_events(connection)
    assert isinstance(answer, h11.Response | h11.InformationalResponse)
    assert answer.status_code == head.status
    assert isinstance(answer, h11.InformationalResponse) is (head.status < 200)
    assert lower_coding(answer.headers.raw_items()) == lower_coding(head.fields)
    assert b"".join(bytes(data.data) for data in datas if isinstance(data, h11.Data)) == body
    if head.status < 200:
        assert not datas
        return
    is_ended = bool(datas) and isinstance(datas[-1], h11.EndOfMessage)
    assert is_ended is (head.framing != "close")
    if is_ended:
        assert connection.trailing_data == (b"", False)
        assert (connection.our_state is h11.DONE) is head.is_keep_alive


def assert_aiohttp_reads_response(message: bytes, found: Reading) -> None:
    """See that aiohttp reads the same from an answer that is whole, or goes on until the connection is closed."""
    assert isinstance(found.head, ResponseHead)
    ((read, payload),) = c_parser(HttpResponseParserC).feed_data(message)[0]
    assert (read.code, tuple(read.version)) == (found.head.status, found.head.version)
    assert read.raw_headers == found.head.fields
    if found.head.framing in ("length", "chunked") and found.head.content_length != 0:
        assert c_body(payload) == found.body


def assert_peers_read_chunked(data: bytes, body: bytes) -> None:
    """See that both read `body`, and nothing after it, from a whole chunked body."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_BYTES)
    connection.receive_data(head + data)
    request, *datas, end = h11_events(connection)
    assert isinstance(request, h11.Request) and isinstance(end, h11.EndOfMessage)
    assert b"".join(bytes(each.data) for each in datas if isinstance(each, h11.Data)) == body
    assert connection.trailing_data == (b"", False)
    messages, _, tail = c_parser(HttpRequestParserC).feed_data(head + data)
    assert (len(messages), bytes(tail)) == (1, b"")
    assert c_body(messages[0][1]) == body
