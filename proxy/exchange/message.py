"""A request and a response, as the stages see them."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

from .fields import Fields, check_raw


class Usage(Protocol):
    """What an answer has cost so far, in tokens; None: it has not said."""

    @property
    def prompt_tokens(self) -> int | None:
        """Tokens of what was asked."""

    @property
    def completion_tokens(self) -> int | None:
        """Tokens of what was answered."""


class Body(Protocol):
    """The request body. No byte is read from the client before somebody asks."""

    @property
    def length(self) -> int | None:
        """The declared length in bytes; None for a chunked body."""

    @property
    def is_empty(self) -> bool:
        """Whether the request has no body at all."""

    async def read(self, limit_bytes: int) -> bytes:
        """Return the whole body and keep it for dispatch.

        Raises: GatewayError `body_too_large` past `limit_bytes`, `body_timeout`, `client_gone`, `bad_request`.
        """

    def arrived(self, limit_bytes: int) -> bytes | None:
        """Return the whole body as `read` does, where nothing of it has to be waited for; else None."""

    def replace(self, data: bytes) -> None:
        """Send `data` upstream in place of the client's body."""


@dataclass(slots=True)
class Request:
    """What the client asked. `headgate_request` hooks may change `fields`, `target` and the body.

    `target` is the raw request target as it came, without scheme and host; `path` the raw path without the query.
    `scheme`, `host` and `client` are what the trusted-proxy rules say, `peer` is the connection's other end.
    """

    method: str
    target: str
    path: str
    query: str
    host: str
    scheme: str
    peer: str
    client: str
    fields: Fields
    body: Body
    version: tuple[int, int] = (1, 1)
    is_upgrade: bool = False


@dataclass(slots=True)
class Response:
    """An answer for the client, from wherever it came.

    `body` is either whole, or pieces as they come; an iterator that raises ends the answer visibly cut,
    never cleanly. `length` is the declared length of a streamed body where it is known. `fields` holds end-to-end
    fields only, without Content-Length and Transfer-Encoding: the relay frames the answer. `is_whole_events`: no event
    of a stream is spread over two pieces. `usage`: what a call's answer has cost, on inference routes; it grows while
    the body is read.
    """

    status: int
    fields: Fields = field(default_factory=Fields)
    body: bytes | AsyncIterator[bytes] = b""
    length: int | None = None
    reason: str = ""
    is_whole_events: bool = False
    usage: Usage | None = None


_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


def check_answer(response: Response) -> None:
    """Refuse an answer of a plugin's own that could not be written, or would be read as another.

    Raises: TypeError, ValueError. Cost: linear in its fields.
    """
    status, body, fields = response.status, response.body, response.fields
    if not isinstance(status, int) or not 200 <= status <= 999:
        raise ValueError(f"expected a status from 200 to 999, got {status!r}")
    if not isinstance(body, bytes | AsyncIterable):
        raise TypeError(f"expected a body of bytes, or an async iterator of them, got {type(body).__name__}")
    if not isinstance(fields, Fields):
        raise TypeError(f"expected `fields` to be a Fields, got {type(fields).__name__}")
    check_raw(fields.raw)
    for name, _ in fields.raw:
        if name.lower() in _FRAMING:
            told = name.decode("latin-1")
            raise ValueError(
                f"expected no field {told}: the gateway says how long the answer is, of a stream by its `length`"
            )
