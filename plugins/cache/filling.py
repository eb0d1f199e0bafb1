"""An answer on its way into the cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from enum import Enum
from functools import lru_cache

from ...proxy.exchange.message import Response
from . import rules
from .entry import Entry, Pair, head_bytes
from .flight import Flight, Landing
from .key import Key
from .shelf import Shelf
from .vary import Selector, vary_names

# RFC 9111 §3.1; Age and Date are written anew. The prefix: what a gateway says of one exchange.
_NOT_STORED = frozenset((b"proxy-authenticate", b"proxy-authentication-info", b"proxy-authorization", b"age", b"date"))
_OWN_PREFIX = b"x-headgate-"
# Reasons that hold for the next request too: nobody need wait for its answer.
_LASTING = {"malformed", "no-store", "private", "no-cache", "set-cookie", "partial"}
_LASTING |= {"authorization", "vary", "stale", "no-lifetime", "too-large"}
_PASSING_STATUSES = frozenset((408, 429))


@dataclass(frozen=True, slots=True)
class Policy:
    """What the configuration, the route and the request's credential say of storing."""

    max_entry_bytes: int
    is_heuristic: bool
    default_ttl_s: float | None
    is_permission_needed: bool
    keep_stale_s: float = 0.0
    targeted: tuple[bytes, ...] = ()


policy_of = lru_cache(maxsize=256)(Policy)  # a few, the same for every request


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an answer is to be stored for. `asked_at` is an instant of the clock `now`."""

    key: Key
    selector: Selector
    asked_at: float
    now: Callable[[], float]
    policy: Policy
    is_conditional: bool


class _State(Enum):
    NEW = 1
    TAKING = 2
    GIVEN = 3
    ENDED = 4


class Filling:
    """Collects one answer; stores it once it is known to be whole. `flight` is the one that it leads, if any.

    `reason` says why the answer is not stored. Exactly one of `commit` and `discard` is called; nothing is kept
    after either, nor after `begin` or `write` returned False. `keep_too` is given what was stored.
    """

    __slots__ = ("_body", "_draft", "_flight", "_length", "_room", "_shelf", "_state", "keep_too", "reason", "wanted")

    def __init__(self, shelf: Shelf, wanted: Wanted, flight: Flight | None) -> None:
        self._shelf = shelf
        self.wanted = wanted
        self._flight = flight
        self._state = _State.NEW
        self._draft: Entry | None = None
        self._body: bytes | bytearray = b""
        self._length: int | None = None
        self._room = 0
        self.reason: str | None = None
        self.keep_too: Callable[[Entry], None] | None = None
        wanted.selector.keep()
        shelf.open.add(self)

    @property
    def is_taking(self) -> bool:
        """Whether the answer is stored if it turns out whole."""
        return self._state in (_State.TAKING, _State.GIVEN)

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self._state is _State.ENDED

    def find(self, entry: Entry) -> None:
        """Store an answer that was found elsewhere, unless there is a newer one. To be called while it is not over."""
        known = self._shelf.memory.select(entry.key, self.wanted.selector)
        if known is None or known.expires_at < entry.expires_at:
            self._shelf.memory.put(entry, self.wanted.now())

    def settle(self) -> None:
        """The answer is there already: nothing is fetched."""
        if self._state is not _State.ENDED:
            self._end(None, Landing.STORED)

    def renew(self, response: Response) -> bool:
        """Take a stored answer that was confirmed, whole: of what is sent to the client nothing more is wanted."""
        assert isinstance(response.body, bytes)
        if self.begin(response) and self.write(response.body):
            self._state = _State.GIVEN
        return self.is_taking

    def begin(self, response: Response) -> bool:
        """Judge the head. The first head counts: a second call only tells what came of it."""
        if self._state is _State.NEW:
            self._length = len(response.body) if isinstance(response.body, bytes) else response.length
            answer = rules.Answer(response.status, response.fields, self.wanted.policy.targeted)
            reason = self._judge(answer, response)
            if reason is None:
                self._state = _State.TAKING
            else:
                self._refuse(reason, is_lasting=self._is_lasting(reason, response.status))
        return self.is_taking

    def write(self, piece: bytes) -> bool:
        """Take a piece of the body, as long as the whole stays within bounds."""
        if self._state is not _State.TAKING:
            return self._state is _State.GIVEN
        if len(piece) > self._room:
            self._refuse("too-large", is_lasting=True)
        elif not self._shelf.memory.reserve(len(piece), self.wanted.now()):
            self._refuse("no-room", is_lasting=False)
        else:
            self._room -= len(piece)
            self._append(piece)
        return self._state is _State.TAKING

    def commit(self) -> None:
        """Store the answer, unless it is cut, has grown stale on its way, or was asked for before what is stored."""
        draft = self._draft
        if not self.is_taking or draft is None:
            self.discard()
            return
        is_whole = self._length is None or len(self._body) == self._length
        entry, now = replace(draft, body=bytes(self._body)), self.wanted.now()
        self._release()
        if not is_whole:
            self._end("cut", Landing.LEADERLESS)
        elif self._shelf.memory.has_later(entry):
            self._end("outdated", Landing.STORED)
        elif not entry.kept_until > now:
            self._refuse("stale", is_lasting=True)
        elif not self._shelf.memory.put(entry, now):
            self._refuse("no-room", is_lasting=False)
        else:
            self._stored(entry, now)

    def discard(self) -> None:
        """Forget what was collected; whoever waits for it looks for another leader."""
        if self._state is not _State.ENDED:
            self._end("no-answer" if self._state is _State.NEW else "cut", Landing.LEADERLESS)

    def spoil(self) -> None:
        """The URI has changed meanwhile: this answer may be the old one."""
        if self._state is not _State.ENDED:
            self._end("invalidated", Landing.LEADERLESS)

    def _stored(self, entry: Entry, now: float) -> None:
        if self.keep_too is not None:
            self.keep_too(entry)
        if entry.expires_at > now:
            self._end(None, Landing.STORED)
        else:
            self._mark()  # each is to have it confirmed for itself
            self._end(None, Landing.ALONE)

    def _append(self, piece: bytes) -> None:
        # Pieces can be tiny and many: a list of them would cost far more than their bytes.
        if not self._body:
            self._body = piece
            return
        if isinstance(self._body, bytes):
            self._body = bytearray(self._body)
        self._body += piece

    def _judge(self, answer: rules.Answer, response: Response) -> str | None:
        wanted, policy = self.wanted, self.wanted.policy
        reason = rules.refusal(answer, is_permission_needed=policy.is_permission_needed)
        if reason is not None:
            return reason
        names = vary_names(answer.values(b"vary"))
        if names is None:
            return "vary"
        now, wall_s = wanted.now(), self._shelf.wall()
        lifetime = rules.lifetime_s(
            answer, wall_s, default_ttl_s=policy.default_ttl_s, is_heuristic=policy.is_heuristic
        )
        age = rules.initial_age_s(answer, wall_s, now - wanted.asked_at)
        staleness = rules.staleness(answer, lifetime, policy.keep_stale_s)
        if not lifetime + staleness.kept_s > age:
            return "stale" if lifetime > 0 or rules.tells_lifetime(answer) else "no-lifetime"
        fields = stored_fields(response.fields.raw, rules.date_s(answer, wall_s))
        vary = wanted.selector.of(names)
        self._room = policy.max_entry_bytes - head_bytes(wanted.key, vary, fields)
        if self._room < (self._length or 0):
            return "too-large"
        self._draft = Entry(
            wanted.key, vary, response.status, fields, b"", now, age, lifetime, staleness, wanted.asked_at
        )
        return None

    def _is_lasting(self, reason: str, status: int) -> bool:
        if reason == "status":  # a failure may be over the next time, and 304 answers this request's own condition
            return status < 500 and status not in _PASSING_STATUSES and not self.wanted.is_conditional
        return reason in _LASTING

    def _refuse(self, reason: str, *, is_lasting: bool) -> None:
        if is_lasting:
            self._mark()
        self._end(reason, Landing.ALONE if is_lasting or reason == "no-room" else Landing.LEADERLESS)

    def _mark(self) -> None:
        if self._flight is not None:
            self._shelf.flights.mark(self._flight.key, self.wanted.now())

    def _end(self, reason: str | None, landing: Landing) -> None:
        self._state = _State.ENDED
        self.reason = reason
        self._release()
        self._draft = None
        self._shelf.open.remove(self)
        flight, self._flight = self._flight, None
        if flight is not None:
            self._shelf.flights.end(flight, landing)

    def _release(self) -> None:
        self._shelf.memory.release(len(self._body))
        self._body = b""


def stored_fields(raw: list[Pair], date_s: int) -> tuple[Pair, ...]:
    """Return the fields to store, with a Date in any case (RFC 9110 §6.6.1)."""
    kept = [
        (name, value)
        for name, value in raw
        if (lower := name.lower()) not in _NOT_STORED and not lower.startswith(_OWN_PREFIX)
    ]
    return (*kept, (b"Date", formatdate(date_s, usegmt=True).encode()))
