"""A conformance case: what is sent, what the origin does, what may come of it.

A case names its source and lists the outcomes that the source allows; where several are listed the text leaves
the choice. What bears on security is exact: one outcome.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Do(StrEnum):
    """A step of a script that is not bytes to write."""

    # the client's
    AWAIT_CONTINUE = "wait for a 100 or a final answer"
    AWAIT_ANSWER = "wait for the next whole answer"
    HALF_CLOSE = "shut the sending side down"
    # the origin's
    READ_BODY = "read the request's content, sending 100 first where it is expected"
    ECHO = "answer 200 with the method and the target as content"
    AWAIT_CLIENT = "wait until the client has its answer"
    READ_TUNNEL = "read four bytes that are not HTTP"
    FIN = "close the connection"
    RESET = "reset the connection"
    AWAIT_BEGUN = "wait until the client has a first byte of its answer"
    GONE = "wait until the proxy closes the connection; bytes before that are a fault"


@dataclass(frozen=True, slots=True)
class Continued:
    """Bytes that the client sends only where a 100 came."""

    data: bytes


Wanted = bytes | re.Pattern[bytes] | None
"""What a field must be: its values as one list, a pattern for them, or absent."""

ClientStep = bytes | Do | Continued
OriginStep = bytes | Do
Script = tuple[OriginStep, ...]

ANSWERS: Script = (Do.READ_BODY, Do.ECHO)


class After(StrEnum):
    """What becomes of the client's connection: OPEN means that one more request on it is answered rightly."""

    OPEN = "open"
    CLOSED = "closed"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one answer must be. None: not looked at. `is_own`: made by the gateway, so a typed error.

    `body` of an answer that is not whole is what its content must be a beginning of.
    `fields`: by lower-case name.
    """

    statuses: tuple[int, ...]
    body: bytes | None = None
    fields: Mapping[bytes, Wanted] = field(default_factory=dict)
    is_whole: bool = True
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What one request must be when it reaches the origin, whole; `fields` as in Answer."""

    method: bytes = b"GET"
    target: bytes = b"/case"
    body: bytes = b""
    fields: Mapping[bytes, Wanted] = field(default_factory=dict)

    @property
    def echo(self) -> bytes:
        """The content of the origin's answer to it."""
        return b"" if self.method == b"HEAD" else b"seen " + self.method + b" " + self.target


@dataclass(frozen=True, slots=True)
class Outcome:
    """One allowed outcome.

    `seen`: the requests that reach the origin, in this order and no other; None: not looked at.
    `may_begin`: a request may besides have begun to reach the origin, but never its end.
    `interims`: the 1xx statuses for the client; None: not looked at.
    """

    answers: tuple[Answer, ...]
    seen: tuple[Seen, ...] | None
    after: After
    may_begin: bool = False
    interims: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table.

    `heads`: the places of the answers to HEAD. `scripts`: one per attempt, the last repeats.
    """

    id: str
    source: str
    sent: tuple[ClientStep, ...]
    outcomes: tuple[Outcome, ...]
    scripts: tuple[Script, ...] = (ANSWERS,)
    heads: tuple[int, ...] = ()


def refused(*statuses: int, after: After = After.CLOSED) -> Outcome:
    """The gateway answers by itself; no byte of the request reaches the origin."""
    return Outcome((Answer(statuses or (400,), is_own=True),), (), after)


def broken_off(*statuses: int) -> Outcome:
    """As `refused`, but the request may have begun to reach the origin."""
    return replace(refused(*statuses), may_begin=True)


def unanswered(may_begin: bool = True) -> Outcome:
    """The connection ends without an answer, and the request never reaches the origin whole."""
    return Outcome((), (), After.CLOSED, may_begin)


def reached(*seen: Seen, after: After = After.OPEN, interims: tuple[int, ...] | None = None) -> Outcome:
    """Each request reaches the origin as given, and its answer the client, in order."""
    answers = tuple(Answer((200,), one.echo) for one in seen)
    return Outcome(answers, seen, after, interims=interims)


def then(first: Outcome, second: Outcome) -> Outcome:
    """Both, one after the other on one connection."""
    assert first.seen is not None and second.seen is not None
    return Outcome(
        first.answers + second.answers,
        first.seen + second.seen,
        second.after,
        first.may_begin or second.may_begin,
    )


REFUSED = refused(400)
BAD_GATEWAY = Outcome((Answer((502,), is_own=True),), None, After.EITHER)


def relayed(body: bytes = b"", status: int = 200, /, **fields: Wanted) -> Outcome:
    """The origin's answer reaches the client whole. `fields`: underscores stand for hyphens."""
    wanted = {name.replace("_", "-").encode(): value for name, value in fields.items()}
    return Outcome((Answer((status,), body, wanted),), None, After.EITHER)


def cut(body: bytes = b"", status: int = 200) -> Outcome:
    """The answer has begun, is visibly not whole, and nothing follows it."""
    return Outcome((Answer((status,), body, is_whole=False),), None, After.CLOSED)


def row(
    id: str,
    source: str,
    sent: bytes | tuple[ClientStep, ...],
    *outcomes: Outcome,
    scripts: tuple[Script, ...] = (ANSWERS,),
    heads: tuple[int, ...] = (),
) -> Case:
    """One row of a table."""
    return Case(id, source, (sent,) if isinstance(sent, bytes) else sent, outcomes, scripts, heads)
