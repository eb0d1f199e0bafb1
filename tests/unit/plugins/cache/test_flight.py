"""One leads, others wait: the bounds of both."""

from __future__ import annotations

import asyncio

from headgate.plugins.cache.flight import MARK_S, MAX_FLIGHTS, MAX_MARKS, Flights, Landing

from ....virtual_clock import run


def test_all_who_wait_are_woken_once() -> None:
    async def main() -> list[Landing]:
        flights = Flights(10)
        flight = flights.lead("key", 0.0)
        assert flight is not None
        assert flights.lead("key", 0.0) is None
        assert flights.of("key") is flight
        waiting = [asyncio.create_task(flights.follow(flight, 9.0)) for _ in range(3)]
        await asyncio.sleep(1)
        flights.end(flight, Landing.STORED)
        assert flights.of("key") is None
        return await asyncio.gather(*waiting)

    assert run(main()) == [Landing.STORED] * 3


def test_waiting_ends_at_its_instant() -> None:
    async def main() -> float:
        flights = Flights(10)
        flight = flights.lead("key", 0.0)
        assert flight is not None
        assert await flights.follow(flight, 2.5) is Landing.ALONE
        assert not flight.waiting
        assert await flights.follow(flight, 1.0) is Landing.ALONE
        return asyncio.get_running_loop().time()

    assert run(main()) == 2.5


def test_one_follower_too_many_goes_alone() -> None:
    async def main() -> None:
        flights = Flights(2)
        flight = flights.lead("key", 0.0)
        assert flight is not None
        waiting = [asyncio.create_task(flights.follow(flight, 9.0)) for _ in range(2)]
        await asyncio.sleep(0)
        assert await flights.follow(flight, 9.0) is Landing.ALONE
        assert asyncio.get_running_loop().time() == 0
        flights.end(flight, Landing.LEADERLESS)
        assert await asyncio.gather(*waiting) == [Landing.LEADERLESS] * 2

    run(main())


def test_follower_that_leaves_takes_no_place() -> None:
    async def main() -> None:
        flights = Flights(1)
        flight = flights.lead("key", 0.0)
        assert flight is not None
        leaving = asyncio.create_task(flights.follow(flight, 9.0))
        await asyncio.sleep(1)
        leaving.cancel()
        staying = asyncio.create_task(flights.follow(flight, 9.0))
        await asyncio.sleep(1)
        flights.end(flight, Landing.STORED)
        assert await staying is Landing.STORED
        assert leaving.cancelled()

    run(main())


def test_end_of_an_old_flight_leaves_a_new_one_alone() -> None:
    flights = Flights(1)
    old = flights.lead("key", 0.0)
    assert old is not None
    flights.end(old, Landing.LEADERLESS)
    new = flights.lead("key", 1.0)
    flights.end(old, Landing.LEADERLESS)
    assert flights.of("key") is new


def test_number_of_flights_is_bounded() -> None:
    flights = Flights(1)
    assert all(flights.lead(number, 0.0) for number in range(MAX_FLIGHTS))
    assert flights.lead("one more", 0.0) is None
    assert len(flights) == MAX_FLIGHTS


def test_marks_end_and_are_bounded() -> None:
    flights = Flights(1)
    flights.mark("first", 0.0)
    assert flights.is_marked("first", MARK_S - 0.1)
    assert not flights.is_marked("first", MARK_S)
    assert not flights.is_marked("other", 0.0)
    flights.mark("first", 0.0)
    for number in range(MAX_MARKS):
        flights.mark(number, 0.0)
    assert not flights.is_marked("first", 0.0)
    assert flights.is_marked(0, 0.0)
