"""What the cases of the cache's tables are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...unit.plugins.cache.stand import Ask, Lines, Origin, http_date

ASK, ORIGIN = Ask(), Origin()
FRESH = ("Cache-Control", "max-age=60")
GZIP, BR = ("Accept-Encoding", "gzip"), ("Accept-Encoding", "br")
AUTH = ("Authorization", "Basic eDp5")
VARY = ("Vary", "Accept-Encoding")
ETAG = ("ETag", '"v1"')
WEAK = ("ETag", 'W/"v1"')
MODIFIED = ("Last-Modified", http_date(-90))
DONE = Origin((), 204, ())
ANEW = Origin((), 299, (b"anew",))  # what tells that the origin was asked


@dataclass(frozen=True)
class Step:
    """After `wait_s` one request, and what it meets.

    `then`: "forwarded", what the origin says is given; "hit", it is not asked; "revalidated" and "stale", it is asked
    and something stored is given; or the status of an answer that is none of these. `origins` are what it answers, one
    after the other. `shows` are fields of the answer, `sent` those that the origin saw the last time ("": absent),
    `body` is what the client got, `asked` how often the origin was asked; None: not looked at.
    """

    then: str
    origins: tuple[Origin, ...] = (ANEW,)
    ask: Ask = ASK
    wait_s: float = 0.0
    shows: Lines = ()
    sent: Lines = ()
    body: bytes | None = None
    status: int | None = None
    asked: int | None = None


@dataclass(frozen=True)
class Script:
    """Some steps. `source` is the sentence they stand on, and what it asks for."""

    name: str
    source: str
    steps: tuple[Step, ...]
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A script of few steps: first `ask` and `origin`, perhaps something `between`, then a wait, then `again`.

    `then` and `shows` are of the last step.
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

    @property
    def script(self) -> Script:
        """The same, step by step."""
        first = Step("", (self.origin,), self.ask)
        between = () if self.between is None else (Step("", (self.between[1],), self.between[0]),)
        is_head = self.again.method == "HEAD"
        body, status = None, None
        if self.then == "hit":
            body, status = b"" if is_head else b"".join(self.origin.pieces), self.origin.status
        elif self.then == "forwarded" and not is_head:
            body, status = b"anew", 299
        last = Step(self.then, ask=self.again, wait_s=self.wait_s, shows=self.shows, body=body, status=status)
        return Script(self.name, self.source, (first, *between, last), self.config)


def cc(*values: str, status: int = 200, more: Lines = (), **rest: Any) -> Origin:
    """An answer with these Cache-Control lines."""
    return Origin((*(("Cache-Control", value) for value in values), *more), status, **rest)


def says(*lines: tuple[str, str], status: int = 200, **rest: Any) -> Origin:
    """An answer with these fields."""
    return Origin(lines, status, **rest)


def confirms(*lines: tuple[str, str]) -> Origin:
    """A 304 with these fields."""
    return Origin(lines, 304, ())


def fails(status: int = 503) -> Origin:
    """An answer that is a failure."""
    return Origin((), status, (b"sorry",))


NO_ANSWER = Origin((), 0, (), end="error")


def asks(*values: str) -> Ask:
    """A request with these Cache-Control lines."""
    return Ask(tuple(("Cache-Control", value) for value in values))


def with_fields(*lines: tuple[str, str], **more: Any) -> Ask:
    """A request with these fields."""
    return Ask(lines, **more)


def script(name: str, source: str, *steps: Step, **config: Any) -> Script:
    """A script; `config` are settings of the plugin."""
    return Script(name, source, steps, config)


def fill(*origins: Origin, ask: Ask = ASK, wait_s: float = 0.0) -> Step:
    """A step that puts something into the cache."""
    return Step("forwarded", origins, ask, wait_s)
