"""The store's bounds, and that its sizes are those of the process."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest

from headgate.plugins.cache.entry import Entry
from headgate.plugins.cache.key import Key, Uri
from headgate.plugins.cache.memory import Memory
from headgate.plugins.cache.vary import Selector
from headgate.proxy.exchange.fields import Fields

ANY = Selector(Fields(), ())


def new_entry(
    number: int, *, kind: str | None = None, body_bytes: int = 0, num_fields: int = 0, num_vary: int = 0
) -> Entry:
    key = Key(Uri("https", f"host{number}", f"/path/{number:09}"), "main", f"tenant{number}", ())
    vary = tuple((f"name-{n}", f"value-{number + n}") for n in range(num_vary)) if kind is None else (("kind", kind),)
    fields = tuple((b"X-Field-%d-%d" % (number, n), b"value %d" % (number + n)) for n in range(num_fields))
    return Entry(key, vary, 200, fields, bytes(body_bytes), number * 1.5, 0.5 + number, 61.5 + number)


def of_kind(kind: str) -> Selector:
    return Selector(Fields([(b"kind", kind.encode())]), ())


@pytest.mark.parametrize(
    "shape", [{}, {"num_fields": 12}, {"num_vary": 4}, {"num_fields": 5, "num_vary": 1, "body_bytes": 5000}]
)
def test_accounted_bytes_are_not_less_than_the_real_ones(shape: dict[str, Any]) -> None:
    memory = Memory(1 << 40, 4)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(400):
            memory.put(new_entry(number, **shape), ANY)
        gc.collect()
        real = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert real <= memory.used_bytes <= 2 * real


def test_least_recently_used_is_given_up_first() -> None:
    entries = [new_entry(number) for number in range(3)]
    memory = Memory(sum(entry.size_bytes for entry in entries), 4)
    for entry in entries:
        assert memory.put(entry, ANY)
    memory.touch(entries[0])
    memory.put(new_entry(3), ANY)
    assert memory.select(entries[0].key, ANY) is entries[0]
    assert memory.select(entries[1].key, ANY) is None
    assert memory.num_evicted == 1


def test_entry_above_the_whole_budget_is_refused_and_costs_none() -> None:
    memory = Memory(5_000, 4)
    small = new_entry(0)
    memory.put(small, ANY)
    assert not memory.put(new_entry(1, body_bytes=5_000), ANY)
    assert list(memory) == [small]


def test_entry_of_exactly_the_budget_is_kept() -> None:
    entry = new_entry(0)
    assert Memory(entry.size_bytes, 4).put(entry, ANY)
    assert not Memory(entry.size_bytes - 1, 4).put(entry, ANY)


def test_oldest_variant_is_pushed_out() -> None:
    memory = Memory(1 << 20, 2)
    for kind in ("a", "b", "c"):
        memory.put(new_entry(0, kind=kind), of_kind(kind))
    assert len(memory) == 2
    assert memory.select(new_entry(0).key, of_kind("a")) is None
    assert memory.select(new_entry(0).key, of_kind("b")) is not None


def test_newer_answer_replaces_all_that_its_request_selects() -> None:
    memory = Memory(1 << 20, 4)
    memory.put(new_entry(0), ANY)
    varying = new_entry(0, kind="a")
    memory.put(varying, of_kind("a"))
    assert list(memory) == [varying]
    whole = new_entry(0)
    memory.put(whole, of_kind("b"))
    assert memory.select(whole.key, of_kind("a")) is whole


def test_reserving_makes_room_and_has_a_bound() -> None:
    memory = Memory(8_000, 4)
    for number in range(6):
        memory.put(new_entry(number), ANY)
    before = len(memory)
    assert memory.reserve(2_000)
    assert memory.used_bytes <= 8_000
    assert len(memory) < before
    assert not memory.reserve(1)
    memory.release(2_000)
    assert memory.reserved_bytes == 0


def test_nothing_is_left_of_what_is_invalidated() -> None:
    memory = Memory(1 << 20, 4)
    entry = new_entry(0, kind="a")
    memory.put(entry, of_kind("a"))
    memory.put(new_entry(0, kind="b"), of_kind("b"))
    assert memory.invalidate(entry.key.uri) == 2
    assert memory.invalidate(entry.key.uri) == 0
    memory.remove(entry)
    assert (len(memory), memory.used_bytes, memory.newest(entry.key)) == (0, 0, None)


def test_emptied_store_keeps_no_memory() -> None:
    memory = Memory(1 << 30, 4)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(2_000):
            entry = new_entry(number)
            memory.put(entry, ANY)
            memory.remove(entry)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 20_000
    finally:
        tracemalloc.stop()
