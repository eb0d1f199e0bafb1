"""An answer on its way into the cache, and to those who follow its fetch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...proxy.exchange.message import Response
from ..cache.directives import parse_directives
from .entry import ENTRY_BYTES, Content, Entry
from .flight import Flight, Flights, Landing
from .judge import JSON, STREAM, content_of
from .memory import Memory

# What is said of the answer itself: other fields are about one exchange, its connection or its caller.
_KEPT = frozenset((b"content-type", b"cache-control", b"x-accel-buffering"))
_BLOCK_BYTES = 8192
_WINDOW_BYTES = 65536  # the least that is kept for those who read along what is not stored


@dataclass(frozen=True, slots=True)
class Shelf:
    """Entries and fetches under way: what outlives a change of the settings."""

    memory: Memory
    flights: Flights


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long an answer is kept, in seconds, and whether it takes the place of those in every form."""

    ttl_s: float
    stale_s: float
    is_renewing: bool


class Filling:
    """Collects an answer for the store and for the flight that it leads. `reason` says why it is not stored.

    It is the store of a Miss, and knows its companions: those who follow the flight.
    """

    __slots__ = (
        "_flight",
        "_is_whole",
        "_keeping",
        "_media_type",
        "_now",
        "_num_evictions",
        "_reserved",
        "_shelf",
        "is_taking",
        "reason",
    )

    def __init__(self, shelf: Shelf, flight: Flight, keeping: Keeping, now: Callable[[], float]) -> None:
        self._shelf = shelf
        self._flight = flight
        self._keeping = keeping
        self._now = now
        self._media_type = ""
        self._reserved = 0
        self._num_evictions = shelf.memory.num_evictions
        self._is_whole = False
        self.is_taking = False  # it is stored if it turns out whole
        self.reason: str | None = None

    # -- the store

    def begin(self, response: Response) -> bool:
        """Judge the head."""
        if self._flight.landing is not None:
            return False
        self._media_type = response.fields.get("content-type") or ""
        self.reason = _refusal(response, self._kind)
        if self.reason is not None:
            self._land(Landing.ALONE)
            return False
        self.is_taking = True
        if self._kind == STREAM:
            fields = tuple(pair for pair in response.fields.raw if pair[0].lower() in _KEPT)
            self._flight.begin(fields, is_whole_events=response.is_whole_events)
        return True

    def write(self, piece: bytes) -> bool:
        """Take a piece: to be stored while it is not too large, and for those who follow in any case."""
        flight = self._flight
        if flight.landing is not None:
            return False
        if self.is_taking:
            self._take(piece)
        if self.is_taking or flight.num_followers:
            flight.add(piece)
            return True
        self._land(Landing.ALONE)
        return False

    def commit(self) -> None:
        """Store the answer, if it is a whole one without an error; it was the first choice's."""
        content: Content | None = None
        try:
            content = self._judged()
        finally:  # whatever happens in it: nobody is to wait for what never lands
            self._land(Landing.WHOLE if self._is_whole else Landing.FAILED, content)

    def _judged(self) -> Content | None:
        """Return what is stored, once it is."""
        content = self._content()
        if content is None and self.is_taking:
            self.reason = "not-sound"
        self._release_unread()
        if content is not None and not self._is_outdated():
            now, keeping, flight = self._now(), self._keeping, self._flight
            fresh_until = now + keeping.ttl_s
            entry = Entry(flight.key, content, flight.started_at, fresh_until, fresh_until + keeping.stale_s)
            self._shelf.memory.put(entry, now, is_renewing=keeping.is_renewing)
        return content

    def _is_outdated(self) -> bool:
        """Whether it was asked for before answers were given up by hand, or before one that is stored by now."""
        memory, flight = self._shelf.memory, self._flight
        return memory.num_evictions != self._num_evictions or memory.has_later(flight.key, flight.started_at)

    def discard(self) -> None:
        """It is not to be stored. One that was whole all the same, as a fallback's, is for those who wait for it."""
        if self._flight.landing is not None:
            return
        content: Content | None = None
        try:
            content = self._content() if self._is_whole else None
        finally:
            self._land(Landing.WHOLE if self._is_whole else Landing.FAILED, content)

    def give_instead(self, content: Content) -> None:
        """There is no answer, but an older one: who waits gets that, too."""
        self._land(Landing.WHOLE, content)

    # -- its companions

    @property
    def are_waiting(self) -> bool:
        """Whether anybody follows."""
        return self._flight.landing is None and self._flight.num_followers > 0

    @property
    def is_hurried(self) -> bool:
        """Whether the client is not to be waited for: while all is kept that comes, or others read along."""
        return self.is_taking or self.are_waiting

    @property
    def max_behind_bytes(self) -> int:
        """How much the client may have left unread: twice what is kept, for the framing of many small pieces."""
        return 2 * self._flight.max_bytes

    def left(self, stop: Callable[[], None]) -> None:
        """The client has left: `stop` ends the fetch."""
        self._flight.on_last_left(stop)

    def completed(self) -> None:
        """The answer has come to its end."""
        self._is_whole = True

    # -- inside

    @property
    def _kind(self) -> bytes:
        return self._media_type.partition(";")[0].strip().lower().encode("latin-1", "replace")

    def _take(self, piece: bytes) -> None:
        end = self._flight.end + len(piece)
        if ENTRY_BYTES + end > self._flight.max_bytes:
            self._refuse("too-large")
        elif end > self._reserved and not self._reserve(end):
            self._refuse("no-room")

    def _reserve(self, size_bytes: int) -> bool:
        """Set so much aside, and a bit more: pieces can be many and small."""
        more = max(size_bytes, min(self._reserved + _BLOCK_BYTES, self._flight.max_bytes)) - self._reserved
        if not self._shelf.memory.reserve(more, self._now()):
            return False
        self._reserved += more
        return True

    def _refuse(self, reason: str) -> None:
        """It is not stored: only who reads along gets the rest."""
        self.is_taking = False
        self.reason = reason
        self._shelf.flights.end(self._flight)
        self._flight.close(max(self._reserved, _WINDOW_BYTES))

    def _content(self) -> Content | None:
        return content_of(self._flight.joined(), self._media_type) if self.is_taking else None

    def _land(self, landing: Landing, content: Content | None = None) -> None:
        self.is_taking = False
        self._shelf.flights.end(self._flight)
        self._flight.land(landing, content, self._release)

    def _release_unread(self) -> None:
        # Before it is stored: it would be counted twice.
        if not self._flight.num_followers:
            self._release()

    def _release(self) -> None:
        reserved, self._reserved = self._reserved, 0
        self._shelf.memory.release(reserved)


def _refusal(response: Response, kind: bytes) -> str | None:
    fields = response.fields
    if response.status != 200:
        return "status"
    if kind not in (JSON, STREAM):
        return "media-type"
    if fields.get("content-encoding", "identity") != "identity":
        return "coding"
    if "no-store" in parse_directives(fields.get_all("cache-control")):
        return "no-store"
    return None
