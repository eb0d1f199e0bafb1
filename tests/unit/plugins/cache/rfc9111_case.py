"""What one case of the RFC 9111 table is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .stand import Ask, Lines, Origin

ASK, ORIGIN = Ask(), Origin()
FRESH = ("Cache-Control", "max-age=60")
GZIP, BR = ("Accept-Encoding", "gzip"), ("Accept-Encoding", "br")
AUTH = ("Authorization", "Basic eDp5")
VARY = ("Vary", "Accept-Encoding")
ETAG = ("ETag", '"v1"')
DONE = Origin((), 204, ())


@dataclass(frozen=True)
class Case:
    """First `ask` and `origin`, perhaps something `between`, then a wait, then `again`.

    `source` is the sentence it stands on. `then` is what the second request meets: "hit" (not forwarded), "forwarded",
    or the status of an answer given without asking the origin; `shows` are fields of that answer ("": absent).
    """

    name: str
    source: str
    then: str
    origin: Origin = ORIGIN
    ask: Ask = ASK
    again: Ask = ASK
    wait_s: float = 1.0
    config: Mapping[str, Any] = field(default_factory=dict)
    shows: Lines = ()
    between: tuple[Ask, Origin] | None = None


def cc(*values: str, status: int = 200, more: Lines = ()) -> Origin:
    """An answer with these Cache-Control lines."""
    return Origin((*(("Cache-Control", value) for value in values), *more), status)


def asks(*values: str) -> Ask:
    """A request with these Cache-Control lines."""
    return Ask(tuple(("Cache-Control", value) for value in values))


def with_fields(*lines: tuple[str, str], **more: Any) -> Ask:
    """A request with these fields."""
    return Ask(lines, **more)
