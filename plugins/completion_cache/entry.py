"""One stored answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

Pair = tuple[bytes, bytes]
Span = tuple[int, int]

ENTRY_BYTES = 1000  # what the interpreter needs beside the bytes themselves; held by a test


class Key(NamedTuple):
    """What an answer is stored under. `digest` is of all that two requests must share, tenant and route included."""

    digest: bytes
    tenant: str | None
    route: str


@dataclass(frozen=True, slots=True)
class Form:
    """How a request wants its answer: as a stream, and with the usage at the end of one."""

    is_stream: bool = False
    is_usage_wanted: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """A whole answer as it was, and the media type it had.

    Of a stream it holds the data of every event. `usage` is where the chunk stands that tells the usage alone;
    `has_usage`: some chunk tells it.
    """

    is_stream: bool
    media_type: bytes
    body: bytes
    usage: Span | None = None
    has_usage: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A stored answer, given until `expires_at`, and in place of a failure until `kept_until`.

    It was asked for at the instant `asked_at` of the same clock.
    """

    key: Key
    content: Content
    asked_at: float
    expires_at: float
    kept_until: float

    @property
    def size_bytes(self) -> int:
        """What it costs of the budget."""
        key = self.key
        return ENTRY_BYTES + len(self.content.body) + len(key.tenant or "") + len(key.route)
