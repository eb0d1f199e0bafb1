"""One fetch for many: what has come of it so far, and who reads along."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum

from .entry import Content, Key, Pair

MAX_FLIGHTS = 10_000


class Landing(Enum):
    """How a flight ended, for those who wanted its answer.

    WHOLE: its answer is there. FAILED: look again, one of you may fetch. ALONE: each for itself.
    """

    WHOLE = 1
    FAILED = 2
    ALONE = 3


class Flight:
    """One fetch. `shape` is what a stream must be wanted like to be read along.

    What has come is kept up to `max_bytes`, from its beginning. Once it `is_closed` nobody may begin to follow, and
    past `max_bytes` only the newer half is kept, for those who read along already. It is released with the last reader.
    """

    __slots__ = (
        "_kept",
        "_newest",
        "_release",
        "_start",
        "_stop",
        "_waiting",
        "content",
        "fields",
        "is_closed",
        "is_whole_events",
        "key",
        "landing",
        "max_bytes",
        "num_followers",
        "shape",
        "started_at",
    )

    def __init__(self, key: Key, shape: bytes, max_bytes: int, started_at: float) -> None:
        self.key = key
        self.shape = shape
        self.max_bytes = max_bytes
        self.started_at = started_at
        self.fields: tuple[Pair, ...] | None = None  # of an event stream that may be read along
        self.is_whole_events = False
        self.is_closed = False
        self.landing: Landing | None = None  # once it has ended
        self.content: Content | None = None  # of what has landed WHOLE
        self.num_followers = 0
        self._kept = bytearray()
        self._newest = b""
        self._start = 0  # how much was dropped before what is kept
        self._waiting: dict[asyncio.Future[None], None] = {}  # in the order in which they came
        self._stop: Callable[[], None] | None = None
        self._release: Callable[[], None] | None = None

    # -- the side of who fetches

    def begin(self, fields: tuple[Pair, ...], *, is_whole_events: bool) -> None:
        """An event stream comes that may be read along."""
        self.fields = fields
        self.is_whole_events = is_whole_events
        self._wake()

    def add(self, piece: bytes) -> None:
        """A piece of it has come."""
        self._kept += piece
        self._newest = piece
        if len(self._kept) > self.max_bytes:
            excess = len(self._kept) - self.max_bytes // 2
            del self._kept[:excess]
            self._start += excess
        self._wake()

    def close(self, max_bytes: int) -> None:
        """What comes from now on is only for those who read along; at most so much of it is kept."""
        self.is_closed = True
        self.max_bytes = max_bytes
        self._wake()

    def joined(self) -> bytes:
        """Return all that has come, while it is kept."""
        return bytes(self._kept)

    def land(self, landing: Landing, content: Content | None, release: Callable[[], None]) -> None:
        """It has ended; `release` is called once nobody reads what is kept."""
        self.landing = landing
        self.content = content
        self._release = release
        self._stop = None
        self._wake()
        self._look()

    def on_last_left(self, stop: Callable[[], None]) -> None:
        """Call `stop` once nobody follows any more, unless it has ended by then."""
        self._stop = stop

    @property
    def has_left(self) -> bool:
        """Whether it goes on without its client."""
        return self._stop is not None

    # -- the side of who follows

    def join(self) -> None:
        """One more wants its answer, until it calls `leave`."""
        self.num_followers += 1

    def leave(self) -> None:
        """One of them does not any more."""
        self.num_followers -= 1
        self._look()

    @property
    def is_readable(self) -> bool:
        """Whether a stream may be read along from its beginning."""
        return self.fields is not None and not self.is_closed

    @property
    def end(self) -> int:
        """How much has come."""
        return self._start + len(self._kept)

    def since(self, at: int) -> bytes | None:
        """Return what has come after the first `at` bytes; None where some of that is not kept any more."""
        if at == self.end - len(self._newest):
            return self._newest  # as nearly always: one object for all who keep up
        return None if at < self._start else bytes(memoryview(self._kept)[at - self._start :])

    async def changed(self, until: float) -> bool:
        """Wait for something new, at the longest to an instant of the loop's clock; tell whether there is."""
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[news] = None
        try:
            async with asyncio.timeout_at(until if until < float("inf") else None):
                await news
        except TimeoutError:
            return False
        finally:
            self._waiting.pop(news, None)
        return True

    def _wake(self) -> None:
        for news in self._waiting:
            if not news.done():
                news.set_result(None)

    def _look(self) -> None:
        """Let go of what nobody needs any more."""
        if self.num_followers:
            return
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()
        if self.landing is not None:
            release, self._release = self._release, None
            if release is not None:
                release()
            self._kept, self._newest = bytearray(), b""


class Flights:
    """The fetches under way: at most one for each key."""

    __slots__ = ("_by_digest",)

    def __init__(self) -> None:
        self._by_digest: dict[bytes, Flight] = {}

    def __len__(self) -> int:
        return len(self._by_digest)

    @property
    def num_left(self) -> int:
        """How many go on without their client. Cost: linear."""
        return sum(flight.has_left for flight in self._by_digest.values())

    @property
    def num_followers(self) -> int:
        """How many follow one. Cost: linear."""
        return sum(flight.num_followers for flight in self._by_digest.values())

    def of(self, key: Key) -> Flight | None:
        """Return the flight for a key, if one is under way."""
        return self._by_digest.get(key.digest)

    def lead(self, flight: Flight) -> None:
        """Let others find a flight; nothing, where one for its key is under way or too many are."""
        if len(self._by_digest) < MAX_FLIGHTS:
            self._by_digest.setdefault(flight.key.digest, flight)

    def end(self, flight: Flight) -> None:
        """Nobody finds it any more."""
        if self._by_digest.get(flight.key.digest) is flight:
            del self._by_digest[flight.key.digest]
