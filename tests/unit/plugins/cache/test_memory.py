"""The store's bounds, and that its sizes are those of the process."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest

from headgate.ext.cache_core import POLICIES, Policy, Reason
from headgate.plugins.cache.entry import Entry, Staleness
from headgate.plugins.cache.key import Key, Uri
from headgate.plugins.cache.memory import Memory
from headgate.plugins.cache.vary import Selector
from headgate.proxy.exchange.fields import Fields

ANY = Selector(Fields(), ())
every_policy = pytest.mark.parametrize("policy", POLICIES)


def new_entry(
    number: int, *, kind: str | None = None, body_bytes: int = 0, num_fields: int = 0, num_vary: int = 0
) -> Entry:
    key = Key(Uri("https", f"host{number}", f"/path/{number:09}"), "main", f"tenant{number}", ())
    vary = tuple((f"name-{n}", f"value-{number + n}") for n in range(num_vary)) if kind is None else (("kind", kind),)
    fields = tuple((b"X-Field-%d-%d" % (number, n), b"value %d" % (number + n)) for n in range(num_fields))
    staleness = Staleness(0.0 * number, 0.125 + number, 0.75 + number)  # floats of its own
    times = number * 1.5, 0.5 + number, 61.5 + number
    return Entry(key, vary, 200, fields, bytes(body_bytes), *times, staleness, 0.25 + number)


def of_kind(kind: str) -> Selector:
    return Selector(Fields([(b"kind", kind.encode())]), ())


@pytest.mark.parametrize(
    "shape", [{}, {"num_fields": 12}, {"num_vary": 4}, {"num_fields": 5, "num_vary": 1, "body_bytes": 5000}]
)
def test_accounted_bytes_are_not_less_than_the_real_ones(shape: dict[str, Any]) -> None:
    memory = Memory(1 << 40, 4, "lru")
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(400):
            memory.put(new_entry(number, **shape), 0.0)
        gc.collect()
        real = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert real <= memory.used_bytes <= 2 * real


@every_policy
def test_accounted_bytes_are_not_less_than_the_real_ones_of_a_full_store(policy: Policy) -> None:
    memory = Memory(400 * new_entry(0).size_bytes, 4, policy)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(2_000):
            memory.put(new_entry(number), 0.0)
        gc.collect()
        real = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert real <= memory.used_bytes


def test_least_recently_used_is_given_up_first() -> None:
    entries = [new_entry(number) for number in range(3)]
    memory = Memory(sum(entry.size_bytes for entry in entries), 4, "lru")
    for entry in entries:
        assert memory.put(entry, 0.0)
    memory.touch(entries[0], 0.0)
    memory.put(new_entry(3), 0.0)
    assert memory.select(entries[0].key, ANY) is entries[0]
    assert memory.select(entries[1].key, ANY) is None
    assert memory.num_left(Reason.SIZE) == 1


def test_entry_above_the_whole_budget_is_refused_and_costs_none() -> None:
    memory = Memory(5_000, 4, "lru")
    small = new_entry(0)
    memory.put(small, 0.0)
    assert not memory.put(new_entry(1, body_bytes=5_000), 0.0)
    assert list(memory) == [small]


def test_entry_of_exactly_the_budget_is_kept() -> None:
    entry = new_entry(0)
    assert Memory(entry.size_bytes, 4, "lru").put(entry, 0.0)
    assert not Memory(entry.size_bytes - 1, 4, "lru").put(entry, 0.0)


def test_oldest_variant_is_pushed_out() -> None:
    memory = Memory(1 << 20, 2, "lru")
    for kind in ("a", "b", "c"):
        memory.put(new_entry(0, kind=kind), 0.0)
    assert len(memory) == 2
    assert memory.select(new_entry(0).key, of_kind("a")) is None
    assert memory.select(new_entry(0).key, of_kind("b")) is not None


def test_newer_answer_replaces_all_that_its_request_selects() -> None:
    memory = Memory(1 << 20, 4, "lru")
    memory.put(new_entry(0), 0.0)
    varying = new_entry(0, kind="a")
    memory.put(varying, 0.0)
    assert list(memory) == [varying]
    whole = new_entry(0)
    memory.put(whole, 0.0)
    assert memory.select(whole.key, of_kind("a")) is whole


def test_newer_answer_leaves_none_beside_it_that_a_request_could_select() -> None:
    memory = Memory(1 << 20, 4, "lru")
    for kind in ("a", "b"):
        memory.put(new_entry(0, kind=kind), 0.0)
    whole = new_entry(0)
    memory.put(whole, 0.0)
    assert list(memory) == [whole]
    assert memory.num_left(Reason.REPLACED) == 2


@every_policy
def test_what_has_expired_makes_room_first(policy: Policy) -> None:
    stale, fresh = new_entry(0), new_entry(1)
    memory = Memory(stale.size_bytes + fresh.size_bytes, 4, policy)
    memory.put(fresh, 0.0)
    memory.put(stale, 0.0)
    assert stale.expires_at < fresh.expires_at
    memory.put(new_entry(2), stale.expires_at)
    assert (memory.newest(stale.key), memory.newest(fresh.key)) == (None, fresh)
    assert (memory.num_left(Reason.EXPIRED), memory.num_left(Reason.SIZE)) == (1, 0)


def test_answer_that_is_no_longer_fresh_is_not_stored() -> None:
    memory = Memory(1 << 20, 4, "lru")
    entry = new_entry(0)
    assert not memory.put(entry, entry.expires_at)
    assert (len(memory), memory.newest(entry.key)) == (0, None)


def test_two_answers_in_one_place_do_no_harm() -> None:
    memory = Memory(1 << 20, 4, "lru")
    one, other = new_entry(0), new_entry(1)
    object.__setattr__(other, "place", one.place)
    memory.put(one, 0.0)
    memory.put(other, 0.0)
    memory.remove(one)
    assert (memory.newest(one.key), memory.newest(other.key), list(memory)) == (None, other, [other])
    assert memory.invalidate(other.key.uri) == 1


def test_variants_pushed_out_and_what_is_removed_count_by_reason() -> None:
    memory = Memory(1 << 20, 1, "s3fifo")
    for kind in ("a", "b"):
        memory.put(new_entry(0, kind=kind), 0.0)
    for entry in memory:
        memory.remove(entry)
    assert [memory.num_left(reason) for reason in Reason] == [1, 0, 0, 1]


@pytest.mark.parametrize("after", POLICIES)
@every_policy
def test_another_order_keeps_the_entries_what_is_reserved_and_the_counts(policy: Policy, after: Policy) -> None:
    memory = Memory(6 * new_entry(0).size_bytes, 4, policy)
    for number in range(8):
        memory.put(new_entry(number), 0.0)
    assert memory.reserve(100, 0.0)
    entries, left = set(memory), memory.num_left(Reason.SIZE)
    memory.rebound(memory.max_bytes, 4, after)
    assert (set(memory), memory.eviction, memory.reserved_bytes) == (entries, after, 100)
    assert memory.num_left(Reason.SIZE) == left == 3
    memory.rebound(memory.max_bytes // 3, 4, policy)
    assert (len(memory), memory.num_left(Reason.SIZE)) == (1, 7)
    memory.release(100)
    assert [memory.newest(entry.key) for entry in memory] == list(memory)


def test_reserving_makes_room_and_has_a_bound() -> None:
    memory = Memory(8_000, 4, "lru")
    for number in range(6):
        memory.put(new_entry(number), 0.0)
    before = len(memory)
    assert memory.reserve(2_000, 0.0)
    assert memory.used_bytes <= 8_000
    assert len(memory) < before
    assert not memory.reserve(1, 0.0)
    memory.release(2_000)
    assert memory.reserved_bytes == 0


def test_nothing_is_left_of_what_is_invalidated() -> None:
    memory = Memory(1 << 20, 4, "lru")
    entry = new_entry(0, kind="a")
    memory.put(entry, 0.0)
    memory.put(new_entry(0, kind="b"), 0.0)
    assert memory.invalidate(entry.key.uri) == 2
    assert memory.invalidate(entry.key.uri) == 0
    memory.remove(entry)
    assert (len(memory), memory.used_bytes, memory.newest(entry.key)) == (0, 0, None)


def test_emptied_store_keeps_no_memory() -> None:
    memory = Memory(1 << 30, 4, "lru")
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(2_000):
            entry = new_entry(number)
            memory.put(entry, 0.0)
            memory.remove(entry)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 20_000
    finally:
        tracemalloc.stop()
