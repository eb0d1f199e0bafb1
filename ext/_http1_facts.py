"""What both readers of HTTP/1.1 share: what they return, what bounds a message, and how one is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Pair = tuple[bytes, bytes]
Framing = Literal["length", "chunked", "close", "none"]

MAX_EXTENSION_BYTES = 4 * 1024
MAX_TRAILER_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """Bounds of one head.

    `max_line_bytes` bounds the first line without its CRLF, `max_head_bytes` the whole head with the empty line.
    """

    max_line_bytes: int = 8 * 1024
    max_head_bytes: int = 32 * 1024
    max_fields: int = 100


class HeadError(ValueError):
    """A head that is refused.

    `kind` is a name of the gateway's error table. `detail` is for the log; it never holds a field's value, which
    may be secret.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


class ChunkError(ValueError):
    """A chunked body that is not framed as RFC 9112 §7.1 says."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The kinds that one side of the gateway refuses heads with."""

    malformed: str
    line_too_long: str
    head_too_large: str


REQUEST_REFUSAL = Refusal("bad_request", "target_too_long", "head_too_large")
RESPONSE_REFUSAL = Refusal("malformed_answer", "answer_too_large", "answer_too_large")


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request's head.

    `target` is raw. `host` is `host[:port]` as it came: of an absolute-form target where there is one, else of
    Host (RFC 9112 §3.2.2), and empty only in HTTP/1.0 without Host; the Host in `fields` stays as it came.
    `version` is (1, 0) or (1, 1): a later minor version is treated as 1.1.
    """

    method: bytes
    target: bytes
    version: tuple[int, int]
    fields: tuple[Pair, ...]
    content_length: int | None
    is_chunked: bool
    is_keep_alive: bool
    expects_continue: bool
    host: str

    @property
    def has_body(self) -> bool:
        """Whether body bytes follow the head."""
        return self.is_chunked or bool(self.content_length)


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A response's head. `framing` says where its body ends; `none` means that no body follows the head.

    `content_length` is what the field says, also where no body follows (HEAD, 304).
    """

    status: int
    reason: bytes
    version: tuple[int, int]
    fields: tuple[Pair, ...]
    framing: Framing
    content_length: int | None
    is_keep_alive: bool


class WrittenHead(NamedTuple):
    """A request head as bytes, and what it says of the connection.

    `length` is that of the body which has to follow; None where it is chunked. `upgrades` are the protocols that are
    asked for, in lower case.
    """

    data: bytes
    length: int | None
    is_keep_alive: bool
    upgrades: list[bytes]
