"""Requests as they arrive, without input or output."""

from __future__ import annotations

from dataclasses import dataclass

from ...ext.http1 import (
    ChunkError,
    ChunkScanner,
    HeadBuffer,
    HeadError,
    HeadLimits,
    LengthScanner,
    RequestHead,
    origin_form,
    parse_request_head,
)
from ..http1.fields import get

MAX_BODY_BYTES = 8 << 20
_LIMITS = HeadLimits()


class RequestError(ValueError):
    """What is no request. `kind` is a name of the gateway's error table."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request, whole. `body` is without its framing."""

    head: RequestHead
    body: bytes

    @property
    def method(self) -> str:
        """The method."""
        return self.head.method.decode("ascii")

    @property
    def path(self) -> str:
        """The path, raw and without the query."""
        return origin_form(self.head.method, self.head.target).partition(b"?")[0].decode("ascii")

    @property
    def query(self) -> str:
        """What follows the path's `?`."""
        return self.head.target.partition(b"?")[2].decode("ascii")

    def field(self, name: bytes) -> str | None:
        """Return the first value of the field `name`, which is given in lower case."""
        value = get(self.head.fields, name)
        return None if value is None else value.decode("latin-1")


class RequestReader:
    """Reads one request. To be fed no more once it returned one or raised."""

    def __init__(self) -> None:
        self._heads = HeadBuffer(_LIMITS)
        self._head: RequestHead | None = None
        self._scanner: ChunkScanner | LengthScanner = LengthScanner(0)
        self._body = bytearray()
        self._num_taken = 0  # bytes of the body, framing included
        self.rest = b""

    @property
    def is_empty(self) -> bool:
        """Whether no byte of a request has come yet."""
        return self._head is None and self._heads.is_empty

    @property
    def wants_continue(self) -> bool:
        """Whether the client waits for `100 Continue` before its body."""
        return self._head is not None and self._head.expects_continue and self._head.has_body and not self._num_taken

    def feed(self, data: bytes) -> Incoming | None:
        """Add bytes; return the request once it is whole, and keep what follows it in `rest`.

        Raises: RequestError. Cost: linear in `data`.
        """
        try:
            return self._feed(data)
        except HeadError as error:
            raise RequestError(error.kind, error.detail) from None
        except ChunkError as error:
            raise RequestError("bad_request", str(error)) from None

    def _feed(self, data: bytes) -> Incoming | None:
        if self._head is None:
            raw = self._heads.feed(data)
            if raw is None:
                return None
            self._head = parse_request_head(raw, _LIMITS)
            self._scanner = ChunkScanner() if self._head.is_chunked else LengthScanner(self._head.content_length or 0)
            self._bound(self._head.content_length or 0)
            data = self._heads.rest
        piece, taken = self._scanner.decode(data)
        self._num_taken += taken
        self._bound(self._num_taken)
        self._body += piece
        if self._head.has_body and not self._scanner.is_complete:
            return None
        self.rest = data[taken:]
        return Incoming(self._head, bytes(self._body))

    def _bound(self, size: int) -> None:
        if size > MAX_BODY_BYTES:
            raise RequestError("body_too_large", f"expected a body of at most {MAX_BODY_BYTES} bytes")
