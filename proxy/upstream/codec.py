"""One request and its answer as bytes, without input or output."""

from __future__ import annotations

from collections.abc import Sequence

import h11

from ..errors import GatewayError
from ..http1.chunked import ChunkError, ChunkScanner
from ..http1.fields import get_members
from ..http1.head import HeadBuffer, HeadError, HeadLimits, ResponseHead, parse_response_head

MAX_INFORMATIONAL = 16


class ExchangeCodec:
    """Writes one request and reads its answer.

    h11 keeps the state and the framing. It takes more than RFC 9112 allows, so every head is read by our own strict
    reader first and every chunked body passes our scanner. Answers that fail raise GatewayError `malformed_answer`
    or `answer_too_large`; a request that cannot be written as asked raises `internal`.
    """

    __slots__ = (
        "_connection",
        "_head_buffer",
        "_limits",
        "_method",
        "_num_heads",
        "_rest",
        "_scanner",
        "_upgrades",
        "has_excess",
        "head",
        "is_answer_complete",
    )

    def __init__(self, limits: HeadLimits) -> None:
        self._connection = h11.Connection(h11.CLIENT)
        self._limits = limits
        self._head_buffer = HeadBuffer(limits, is_response=True)
        self._scanner: ChunkScanner | None = None
        self._method = b""
        self._upgrades: list[bytes] = []
        self._num_heads = 0
        self._rest = b""
        self.head: ResponseHead | None = None
        self.is_answer_complete = False
        self.has_excess = False

    @property
    def has_received(self) -> bool:
        """Whether any byte of the answer came."""
        return self._num_heads > 0 or not self._head_buffer.is_empty

    @property
    def is_request_complete(self) -> bool:
        """Whether the whole request was written."""
        return self._connection.our_state not in (h11.IDLE, h11.SEND_BODY, h11.ERROR)

    @property
    def is_reusable(self) -> bool:
        """Whether both sides are done, want to keep the connection, and nothing came that was not asked for."""
        if self.head is None or not self.head.is_keep_alive or not self.is_answer_complete or self.has_excess:
            return False
        return self._connection.our_state is h11.DONE and self._connection.their_state is h11.DONE

    def start(self, method: bytes, target: bytes, fields: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Return the request head as bytes."""
        self._method = method
        self._upgrades = get_members(fields, b"upgrade")
        try:
            return self._send(h11.Request(method=method, target=target, headers=list(fields)))
        except h11.LocalProtocolError as error:
            raise GatewayError("internal", f"cannot write the request head: {error}") from error

    def data(self, data: bytes) -> bytes:
        """Return body bytes in their framing."""
        try:
            return self._send(h11.Data(data=data))
        except h11.LocalProtocolError as error:
            raise GatewayError("internal", f"cannot write the request body: {error}") from error

    def end(self) -> bytes:
        """Return what ends the request."""
        try:
            return self._send(h11.EndOfMessage())
        except h11.LocalProtocolError as error:
            raise GatewayError("internal", f"cannot end the request body: {error}") from error

    def next_head(self, data: bytes) -> ResponseHead | None:
        """Take bytes and return the next head, informational ones too; None while none is complete."""
        try:
            raw = self._head_buffer.feed(self._rest + data)
            if raw is None:
                self._rest = b""
                return None
            head = parse_response_head(raw, self._limits, request_method=self._method)
        except HeadError as error:
            raise GatewayError(error.kind, error.detail) from error
        self._rest = self._head_buffer.rest
        self._num_heads += 1
        if head.status < 200:
            self._check_informational(head)
            self._head_buffer = HeadBuffer(self._limits, is_response=True)
        self._receive_head(raw, head)
        if head.status >= 200:
            self.head = head
            rest, self._rest = self._rest, b""
            self.feed_body(rest)
        return head

    def feed_body(self, data: bytes) -> None:
        """Take bytes that follow the answer's head."""
        if self._scanner is not None:
            try:
                taken = self._scanner.feed(data)
            except ChunkError as error:
                raise GatewayError("malformed_answer", str(error)) from error
            self.has_excess = self.has_excess or taken < len(data)
            data = data[:taken]
        if data:
            self._connection.receive_data(data)

    def feed_eof(self) -> None:
        """Take the clean end of the stream. Raises: GatewayError `truncated` where it does not end the answer."""
        if self.head is None or self.head.framing != "close":
            raise GatewayError("truncated", "the connection was closed inside the answer's body")
        self._connection.receive_data(b"")

    def take_body(self) -> bytes:
        """Return the body bytes that are there; b"" where there are none, or none any more."""
        pieces: list[bytes] = []
        while not self.is_answer_complete:
            event = self._next_event()
            if isinstance(event, h11.Data):
                pieces.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):  # its trailer fields are dropped
                self.is_answer_complete = True
                self.has_excess = self.has_excess or bool(self._connection.trailing_data[0])
            else:
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def take_rest(self) -> bytes:
        """Return what came behind a 101: it is not HTTP any more."""
        rest, self._rest = self._rest, b""
        return rest

    def _send(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> bytes:
        return self._connection.send(event) or b""

    def _check_informational(self, head: ResponseHead) -> None:
        if head.status != 101:
            if self._num_heads > MAX_INFORMATIONAL:
                raise GatewayError("malformed_answer", f"expected at most {MAX_INFORMATIONAL} informational answers")
            return
        if not self._upgrades or not self.is_request_complete:
            raise GatewayError("malformed_answer", "expected no 101: no upgrade was asked for, or not yet")
        chosen = get_members(head.fields, b"upgrade")
        if not chosen or not set(chosen) <= set(self._upgrades) or not _is_option(head, b"upgrade"):
            raise GatewayError(
                "malformed_answer", f"expected a 101 that upgrades to one of {self._upgrades}, got {chosen}"
            )

    def _receive_head(self, raw: bytes, head: ResponseHead) -> None:
        self._connection.receive_data(raw)
        event = self._next_event()
        if not isinstance(event, h11.Response | h11.InformationalResponse) or event.status_code != head.status:
            raise GatewayError("malformed_answer", f"expected a head, got {type(event).__name__}")
        if head.framing == "chunked":
            self._scanner = ChunkScanner()

    def _next_event(self) -> object:
        try:
            return self._connection.next_event()
        except h11.RemoteProtocolError as error:
            raise GatewayError("malformed_answer", str(error)) from error


def _is_option(head: ResponseHead, name: bytes) -> bool:
    return name in get_members(head.fields, b"connection")
