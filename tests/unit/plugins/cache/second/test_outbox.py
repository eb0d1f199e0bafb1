"""What waits to be told to Redis: in which order, within which bounds."""

from __future__ import annotations

import asyncio

from headgate.plugins.cache.key import Uri
from headgate.plugins.cache.second.outbox import MAX_FORGOTTEN, Forgotten, Outbox, Parcel

from .....virtual_clock import run
from .entries import SEEN, entry

A, B = (Uri("https", "origin.test", path) for path in ("/a", "/b"))
PARCEL = Parcel(entry(), SEEN)
ROOM = 2 * PARCEL.entry.size_bytes


class Other:
    """The side that is told. While `is_up` is not set it learns nothing."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.is_up = True
        self.is_going = asyncio.Event()
        self.is_going.set()
        self.num_dropped = 0
        self.outbox = Outbox(self.keep, self.forget, self.drop, ROOM)

    async def keep(self, parcel: Parcel) -> None:
        await self.is_going.wait()
        self.told.append("keep")

    def drop(self) -> None:
        self.num_dropped += 1

    async def forget(self, what: Forgotten) -> bool:
        await self.is_going.wait()
        self.told.append((what, self.is_up))
        return self.is_up


def test_what_is_to_be_forgotten_goes_first() -> None:
    async def main() -> None:
        other = Other()
        assert other.outbox.put(PARCEL)
        other.outbox.forget(A)
        assert other.outbox.is_forgotten(A)
        assert not other.outbox.is_forgotten(B)
        await asyncio.sleep(0.1)
        assert other.told == [(A, True), "keep"]
        assert (other.outbox.held_bytes, other.outbox.forgotten) == (0, ())

    run(main())


def test_what_waits_to_be_kept_is_bounded() -> None:
    async def main() -> None:
        other = Other()
        assert [other.outbox.put(PARCEL) for _ in range(3)] == [True, True, False]
        assert other.outbox.held_bytes == ROOM
        await asyncio.sleep(0.1)
        assert other.told == ["keep", "keep"]
        assert other.outbox.put(PARCEL)

    run(main())


def test_forgetting_goes_on_until_it_is_done_and_nothing_is_kept_meanwhile() -> None:
    async def main() -> None:
        other = Other()
        other.is_up = False
        other.outbox.put(PARCEL)
        other.outbox.forget(A)
        await asyncio.sleep(10.5)
        assert other.told == [(A, False)] * 11  # once a second
        assert other.outbox.is_forgotten(A)
        assert (other.outbox.held_bytes, other.num_dropped) == (0, 1)  # given up: it may be of before
        other.is_up = True
        await asyncio.sleep(1)
        assert other.told[11:] == [(A, True)]
        assert not other.outbox.is_forgotten(A)

    run(main())


def test_what_changes_once_more_while_it_is_forgotten_is_forgotten_once_more() -> None:
    async def main() -> None:
        other = Other()
        other.is_going.clear()
        other.outbox.forget(A)
        await asyncio.sleep(0.1)  # under way
        other.outbox.forget(A)
        other.is_going.set()
        await asyncio.sleep(0.1)
        assert other.told == [(A, True), (A, True)]

    run(main())


def test_too_much_to_forget_becomes_everything() -> None:
    async def main() -> None:
        other = Other()
        other.is_going.clear()
        for number in range(MAX_FORGOTTEN):
            other.outbox.forget(Uri("https", "origin.test", f"/{number}"))
        assert not other.outbox.is_forgotten(A)
        other.outbox.forget(B)
        assert [*other.outbox.forgotten] == [None]
        assert other.outbox.is_forgotten(A)
        other.outbox.forget(A)
        assert [*other.outbox.forgotten] == [None]
        other.is_going.set()
        await asyncio.sleep(0.1)
        assert other.told[-1] == (None, True)
        assert not other.outbox.forgotten

    run(main())


def test_nothing_is_told_once_it_is_closed() -> None:
    async def main() -> None:
        other = Other()
        other.is_going.clear()
        other.outbox.put(PARCEL)
        await asyncio.sleep(0.1)
        other.outbox.close()
        other.is_going.set()
        assert not other.outbox.put(PARCEL)
        other.outbox.forget(A)
        await asyncio.sleep(10)
        assert other.told == []
        assert other.outbox.held_bytes == 0

    run(main())


def test_many_are_forgotten_at_once() -> None:
    async def main() -> None:
        other = Other()
        for number in range(100):
            other.outbox.forget(Uri("https", "origin.test", f"/{number}"))
        other.is_going.clear()
        await asyncio.sleep(0.1)
        other.is_going.set()
        await asyncio.sleep(0.001)
        assert len(other.told) == 100  # side by side
        assert not other.outbox.forgotten

    run(main())


def test_what_changes_all_the_time_is_told_a_hundred_times_a_second_at_most() -> None:
    async def main() -> None:
        other = Other()
        for _ in range(10_000):
            other.outbox.forget(A)
            await asyncio.sleep(0.0001)  # a second in all
        assert 90 <= len(other.told) <= 101
        await asyncio.sleep(1)
        assert not other.outbox.forgotten

    run(main())
