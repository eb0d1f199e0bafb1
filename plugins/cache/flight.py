"""Single flight: one fetches, the others wait for what it brings."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from enum import Enum

MAX_FLIGHTS = 10_000
MAX_MARKS = 10_000
MARK_S = 10.0


class Landing(Enum):
    """How a flight ended, for those who waited.

    STORED: look again. LEADERLESS: nothing came of it; look again, one of you leads. ALONE: each for itself.
    """

    STORED = 1
    LEADERLESS = 2
    ALONE = 3


class Flight:
    """One fetch that others may wait for."""

    __slots__ = ("key", "landing", "started_at", "waiting")

    def __init__(self, key: Hashable, started_at: float) -> None:
        self.key = key
        self.started_at = started_at
        self.landing: Landing | None = None  # once it has ended
        self.waiting: dict[asyncio.Future[Landing], None] = {}  # in the order in which they came


class Flights:
    """The fetches under way: at most one leads for each key.

    A key whose answer proved not to be storable is marked for MARK_S seconds: nobody waits for such an answer. A mark
    is the key's hash, so that its size is fixed; a collision costs a wait that was not had, nothing else.
    """

    __slots__ = ("_by_key", "_marks", "max_followers")

    def __init__(self, max_followers: int) -> None:
        self.max_followers = max_followers
        self._by_key: dict[Hashable, Flight] = {}
        self._marks: OrderedDict[int, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_key)

    def of(self, key: Hashable) -> Flight | None:
        """Return the flight of `key`, if one is under way."""
        return self._by_key.get(key)

    def lead(self, key: Hashable, now: float) -> Flight | None:
        """Begin a flight that is to be ended by `end`; None where one is under way, or too many are."""
        if key in self._by_key or len(self._by_key) >= MAX_FLIGHTS:
            return None
        flight = self._by_key[key] = Flight(key, now)
        return flight

    def may_follow(self, flight: Flight, until: float, now: float) -> bool:
        """Whether one more may wait for a flight, to the instant `until`."""
        return len(flight.waiting) < self.max_followers and until > now

    async def follow(self, flight: Flight, until: float) -> Landing:
        """Wait for the end of a flight, at the longest to the instant `until` of the loop's clock.

        ALONE after that, and at once where no more may wait. It may have ended before somebody gets to wait for it.
        """
        loop = asyncio.get_running_loop()
        if flight.landing is not None:
            return flight.landing
        if not self.may_follow(flight, until, loop.time()):
            return Landing.ALONE
        landing: asyncio.Future[Landing] = loop.create_future()
        flight.waiting[landing] = None
        try:
            async with asyncio.timeout_at(until):
                return await landing
        except TimeoutError:
            return Landing.ALONE
        finally:
            flight.waiting.pop(landing, None)

    def end(self, flight: Flight, landing: Landing) -> None:
        """Wake all who wait, first come first. The key is free for another leader."""
        if self._by_key.get(flight.key) is flight:
            del self._by_key[flight.key]
        flight.landing = landing
        for waiter in flight.waiting:
            if not waiter.done():
                waiter.set_result(landing)

    def mark(self, key: Hashable, now: float) -> None:
        """Remember for a while that waiting for `key` is in vain."""
        mark = hash(key)
        self._marks[mark] = now + MARK_S
        self._marks.move_to_end(mark)
        if len(self._marks) > MAX_MARKS:
            self._marks.popitem(last=False)

    def is_marked(self, key: Hashable, now: float) -> bool:
        """Whether `key` is marked."""
        until = self._marks.get(hash(key))
        if until is None:
            return False
        if until > now:
            return True
        del self._marks[hash(key)]
        return False
