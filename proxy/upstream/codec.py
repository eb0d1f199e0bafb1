"""One request and its answer as bytes, without input or output."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from ...ext.http1 import (
    ChunkError,
    ChunkScanner,
    HeadBuffer,
    HeadError,
    HeadLimits,
    LengthScanner,
    ResponseHead,
    parse_response_head,
    write_request_head,
)
from ..errors import GatewayError
from ..http1.fields import get_members

MAX_INFORMATIONAL = 16


class _Sent(Enum):
    """How far the request is."""

    NOTHING = "nothing"
    HEAD = "head"
    ALL = "all"
    BROKEN = "broken"


class ExchangeCodec:
    """Writes one request and reads its answer.

    Answers that fail raise GatewayError `malformed_answer` or `answer_too_large`; a request that cannot be written as
    asked raises `internal`, and so does whatever is written after that.
    """

    __slots__ = (
        "_head_buffer",
        "_is_kept",
        "_left",
        "_limits",
        "_method",
        "_num_heads",
        "_pieces",
        "_rest",
        "_scanner",
        "_sent",
        "_upgrades",
        "has_excess",
        "head",
        "is_answer_complete",
    )

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self._sent = _Sent.NOTHING
        self._method = b""
        self._left: int | None = 0  # of the request's body; None: it is chunked
        self._upgrades: list[bytes] = []
        self._is_kept = False  # the request has not said that it is the last
        self._head_buffer = HeadBuffer(limits, is_response=True)
        self._num_heads = 0
        self._rest = b""
        self._scanner: ChunkScanner | LengthScanner | None = None  # of the answer's body, where that has an end
        self._pieces: list[bytes] = []  # of the answer's body, not yet taken
        self.head: ResponseHead | None = None
        self.is_answer_complete = False
        self.has_excess = False

    @classmethod
    def adopted(
        cls,
        limits: HeadLimits,
        method: bytes,
        head: ResponseHead | None,
        scanner: ChunkScanner | LengthScanner | None,
        *,
        unread: bytes = b"",
        has_excess: bool,
    ) -> ExchangeCodec:
        """Go on where somebody else has written the request, and perhaps read the answer but for `unread`."""
        codec = cls(limits)
        codec._sent, codec._method, codec._is_kept = _Sent.ALL, method, True
        codec.head, codec._scanner, codec.has_excess = head, scanner, has_excess
        codec._num_heads = 0 if head is None else 1
        codec._pieces = [unread] if unread else []
        return codec

    @property
    def has_received(self) -> bool:
        """Whether any byte of the answer came."""
        return self._num_heads > 0 or not self._head_buffer.is_empty

    @property
    def is_request_complete(self) -> bool:
        """Whether the whole request was written."""
        return self._sent is _Sent.ALL

    @property
    def is_reusable(self) -> bool:
        """Whether both sides are done, want to keep the connection, and nothing came that was not asked for."""
        head = self.head
        if head is None or not head.is_keep_alive or head.framing == "close" or not self._is_kept:
            return False
        return self.is_answer_complete and self._sent is _Sent.ALL and not self.has_excess

    def start(self, method: bytes, target: bytes, fields: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Return the request head as bytes."""
        if self._sent is not _Sent.NOTHING:
            raise self._broken("expected one request head, got another")
        try:
            written = write_request_head(method, target, fields)
        except ValueError as error:
            raise self._broken(f"cannot write the request head: {error}") from error
        self._sent = _Sent.HEAD
        self._method = method
        self._left = written.length
        self._is_kept = written.is_keep_alive
        self._upgrades = written.upgrades
        return written.data

    def data(self, data: bytes) -> bytes:
        """Return body bytes in their framing."""
        if self._sent is not _Sent.HEAD:
            raise self._broken("cannot write the request body: expected it between head and end")
        if self._left is None:
            return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        self._left -= len(data)
        if self._left < 0:
            raise self._broken(f"cannot write the request body: {-self._left} bytes more than declared")
        return data

    def end(self) -> bytes:
        """Return what ends the request."""
        if self._sent is not _Sent.HEAD:
            raise self._broken("cannot end the request body: expected its head first, and one end")
        if self._left:
            raise self._broken(f"cannot end the request body: {self._left} bytes fewer than declared")
        self._sent = _Sent.ALL
        return b"0\r\n\r\n" if self._left is None else b""

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
            return head
        self._begin_body(head)
        rest, self._rest = self._rest, b""
        self.feed_body(rest)
        return head

    def feed_body(self, data: bytes) -> None:
        """Take bytes that follow the answer's head."""
        piece, size = data, len(data)
        if self._scanner is not None:
            try:
                piece, size = self._scanner.decode(data)
            except ChunkError as error:
                raise GatewayError("malformed_answer", str(error)) from error
        if size < len(data):
            self.has_excess = True
        if piece:
            self._pieces.append(piece)

    def feed_eof(self) -> None:
        """Take the clean end of the stream. Raises: GatewayError `truncated` where it does not end the answer."""
        if self.head is None or self.head.framing != "close":
            raise GatewayError("truncated", "the connection was closed inside the answer's body")
        self._scanner = LengthScanner(0)

    def take_body(self) -> bytes:
        """Return the body bytes that are there; b"" where there are none, or none any more."""
        self.is_answer_complete = self._scanner is not None and self._scanner.is_complete
        pieces = self._pieces
        if len(pieces) == 1:
            return pieces.pop()
        body = b"".join(pieces)
        pieces.clear()
        return body

    def take_rest(self) -> bytes:
        """Return what came behind a 101: it is not HTTP any more."""
        rest, self._rest = self._rest, b""
        return rest

    def _broken(self, detail: str) -> GatewayError:
        self._sent = _Sent.BROKEN
        return GatewayError("internal", detail)

    def _begin_body(self, head: ResponseHead) -> None:
        self.head = head
        if head.framing == "chunked":
            self._scanner = ChunkScanner()
        elif head.framing != "close":
            self._scanner = LengthScanner(head.content_length or 0 if head.framing == "length" else 0)

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


def _is_option(head: ResponseHead, name: bytes) -> bool:
    return name in get_members(head.fields, b"connection")
