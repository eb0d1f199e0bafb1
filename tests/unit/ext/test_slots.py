"""Slots: how many of a key are taken, and by whom."""

from __future__ import annotations

import pytest

from headgate.ext import implementation
from headgate.ext.slots import MAX_LIMIT, Key, SlotTable


def taken(table: SlotTable, key: Key, limit: int, times: int) -> list[int]:
    places = [table.take(key, limit) for _ in range(times)]
    return [place for place in places if place is not None]


def test_a_key_has_as_many_as_its_limit_and_no_more(slots_type: type[SlotTable]) -> None:
    table = slots_type(10)
    places = taken(table, ("a", 1), 3, 5)
    assert len(places) == 3
    assert table.count(("a", 1)) == 3
    assert table.count(("a", 2)) == 0
    assert table.give_back(places[0])
    assert len(taken(table, ("a", 1), 3, 5)) == 1
    assert len(table) == 1


def test_a_limit_may_change_while_some_are_taken(slots_type: type[SlotTable]) -> None:
    table = slots_type(10)
    places = taken(table, ("a",), 4, 4)
    assert table.take(("a",), 2) is None
    assert all(map(table.give_back, places[:2]))
    assert table.take(("a",), 2) is None
    assert table.take(("a",), 3) is not None


def test_what_was_not_taken_cannot_be_given_back(slots_type: type[SlotTable]) -> None:
    table = slots_type(10)
    [place] = taken(table, ("a",), 1, 1)
    assert table.give_back(place)
    assert not table.give_back(place)
    assert not table.give_back(place + 1)
    assert len(taken(table, ("a",), 1, 3)) == 1


def test_a_key_without_slots_needs_no_room(slots_type: type[SlotTable]) -> None:
    table = slots_type(2)
    for number in range(100):
        [place] = taken(table, ("a", number), 1, 1)
        assert table.give_back(place)
    assert len(table) == 0


def test_a_full_row_takes_no_further_key_in_and_lifts_no_limit(slots_type: type[SlotTable]) -> None:
    table = slots_type(2)
    [one], [_] = taken(table, ("a",), 1, 1), taken(table, ("b",), 1, 1)
    assert table.take(("c",), 1) is None
    assert (table.count(("c",)), table.shares(("c",))) == (0, [0])
    assert table.give_back(one)
    assert len(taken(table, ("c",), 1, 2)) == 1
    assert table.take(("a",), 1) is None


def test_what_the_dead_had_is_given_back_as_one(slots_type: type[SlotTable]) -> None:
    table = slots_type(10)
    taken(table, ("a",), 5, 5)
    taken(table, ("b",), 1, 1)
    assert table.shares(("a",)) == [5]
    assert table.clear(0) == 6
    assert table.clear(0) == 0
    assert (len(table), table.count(("a",))) == (0, 0)
    assert len(taken(table, ("a",), 5, 9)) == 5


def test_a_table_keeps_what_it_is_made_for(slots_type: type[SlotTable]) -> None:
    table = slots_type(1000, bytes(range(16)))
    assert all(table.take(("key", number), 1) is not None for number in range(1000))
    assert len(table) == 1000


@pytest.mark.parametrize("key", [(), ("é", None, -7, b"\0"), ("x" * 600,), (b"y" * 600, 2**62)])
def test_equal_keys_are_one_however_they_are_made(slots_type: type[SlotTable], key: Key) -> None:
    table = slots_type(10)
    assert len(taken(table, key, 2, 1) + taken(table, tuple(list(key)), 2, 2)) == 2


@pytest.mark.parametrize("limit", [0, -1, MAX_LIMIT + 1])
def test_a_limit_of_no_such_size_is_refused(slots_type: type[SlotTable], limit: int) -> None:
    with pytest.raises(ValueError, match=f"expected a limit from 1 to {MAX_LIMIT}, got {limit}"):
        slots_type(10).take(("a",), limit)


def test_the_widest_limit_fits(slots_type: type[SlotTable]) -> None:
    table = slots_type(1)
    assert len(taken(table, ("a",), MAX_LIMIT, 1000)) == 1000


@pytest.mark.parametrize("max_keys", [0, -1, 2**26 + 1])
def test_a_table_of_no_such_size_is_refused(slots_type: type[SlotTable], max_keys: int) -> None:
    with pytest.raises(ValueError, match="expected max_cells from 1 to 67108864"):
        slots_type(max_keys)


@pytest.mark.parametrize(("place", "holder"), [(-1, None), (10, None), (0, 1), (0, -1)])
def test_there_is_no_such_place_or_holder(slots_type: type[SlotTable], place: int, holder: int | None) -> None:
    table = slots_type(10)
    with pytest.raises(IndexError, match="expected a place below 10 and a holder below 1, got"):
        table.give_back(place, holder)


def test_of_one_process_there_is_one_holder(slots_type: type[SlotTable]) -> None:
    table = slots_type(10)
    with pytest.raises(IndexError):
        table.take(("a",), 1, 1)
    with pytest.raises(IndexError):
        table.clear(1)
    with pytest.raises(RuntimeError, match="one process's own"):
        table.fileno()


def test_the_twin_cannot_be_shared() -> None:
    twin: type[SlotTable] = implementation("slots", "twin").SlotTable
    assert not twin.is_shareable
    with pytest.raises(RuntimeError, match="expected the compiled slots"):
        twin.create(10, 2)
    with pytest.raises(RuntimeError, match="expected the compiled slots"):
        twin.attach(0, 0)
