"""The cache core by example: each policy, expiry, reasons, bounds on work and memory, and callers that misbehave."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from typing import Any

import pytest

from headgate.ext.cache_core import MAX_BYTES, MAX_STEPS, POLICIES, CacheCore, Policy, Reason

Core = CacheCore[Any, Any]
every_policy = pytest.mark.parametrize("policy", POLICIES)
FOREVER = float("inf")


class Told:
    """Collects what a core tells."""

    def __init__(self) -> None:
        self.news: list[tuple[Any, Any, Reason]] = []

    def __call__(self, key: Any, value: Any, reason: Reason) -> None:
        self.news.append((key, value, reason))


def fill(core: Core, keys: str | range, size_bytes: int = 1) -> None:
    for key in keys:
        assert core.put(key, f"value {key}", size_bytes, FOREVER, 0.0)


def use(core: Core, keys: str | range) -> None:
    for key in keys:
        assert core.get(key, 0.0) == f"value {key}"


def leavers(core_type: type[Core], policy: Policy, max_bytes: int, *steps: tuple[str, str]) -> str:
    """Return who left, in order, while keys were put and used."""
    told = Told()
    core = core_type(max_bytes, policy, told)
    for put, used in steps:
        fill(core, put)
        use(core, used)
    return "".join(key for key, _, _ in told.news)


def test_lru_gives_up_the_least_recently_used(core_type: type[Core]) -> None:
    assert leavers(core_type, "lru", 4, ("abcd", "ab"), ("ef", "a"), ("g", "")) == "cdb"


def test_sieve_leaves_the_used_in_place_and_goes_on_where_it_stopped(core_type: type[Core]) -> None:
    steps = [("abcdefg", "abg"), ("hi", "e"), ("jk", "")]
    assert leavers(core_type, "sieve", 7, *steps) == "cdfh"
    # The hand passed a, b, e and g, and gives the new ones up before it comes round to them.
    assert leavers(core_type, "sieve", 7, *steps, ("lmno", "")) == "cdfhijkl"


def test_s3fifo_gives_up_the_new_before_those_that_were_used_twice(core_type: type[Core]) -> None:
    core = core_type(10, "s3fifo")
    fill(core, "abcdefghij")
    use(core, "aab")
    fill(core, "k")
    assert list(core) == [*"cdefghijk", "a"]


def test_s3fifo_takes_what_comes_again_into_the_main_queue(core_type: type[Core]) -> None:
    core = core_type(10, "s3fifo")
    fill(core, "abcdefghij")
    fill(core, "k")
    assert "a" not in core
    fill(core, "a")
    assert list(core) == [*"cdefghijk", "a"]


@pytest.mark.parametrize(("uses", "left"), [("b", "b"), ("aab", "a"), ("bbb" + 9 * "a", "b")])
def test_s3fifo_counts_three_uses_at_most_and_each_earns_a_round(core_type: type[Core], uses: str, left: str) -> None:
    core = core_type(10, "s3fifo")
    fill(core, "abcdefghij")
    use(core, "abab")
    fill(core, "k")  # c leaves; a and b are in the main queue, in this order, without uses
    use(core, uses)
    for key in "defghijk":
        core.delete(key)
    core.reserve(9, 0.0)
    assert list(core) == [left]


@every_policy
def test_an_entry_is_there_until_its_expiry(core_type: type[Core], policy: Policy) -> None:
    told = Told()
    core = core_type(100, policy, told)
    assert core.put("a", 1, 10, 5.0, 0.0)
    assert core.get("a", 4.999) == 1
    assert core.get("a", 5.0) is None
    assert told.news == [("a", 1, Reason.EXPIRED)]
    assert (len(core), core.used_bytes, core.num_left(Reason.EXPIRED)) == (0, 0, 1)


@every_policy
def test_a_look_is_no_use_and_minds_no_expiry(core_type: type[Core], policy: Policy) -> None:
    core = core_type(2, policy)
    fill(core, "ab")
    for _ in range(3):
        assert core.peek("a") == "value a" and "a" in core
    fill(core, "c")
    assert "a" not in core and core.peek("a") is None
    core.put("d", 1, 1, 5.0, 0.0)
    assert core.peek("d") == 1


@every_policy
def test_a_new_value_of_a_key_takes_the_place_of_the_old_one(core_type: type[Core], policy: Policy) -> None:
    told = Told()
    core = core_type(10, policy, told)
    core.put("a", 1, 9, FOREVER, 0.0)
    core.put("a", 2, 10, FOREVER, 0.0)
    assert core.get("a", 0.0) == 2
    assert told.news == [("a", 1, Reason.REPLACED)]


@every_policy
@pytest.mark.parametrize(("size_bytes", "expires_at"), [(11, FOREVER), (1, 0.0), (1, -1.0), (1, float("nan"))])
def test_what_cannot_be_stored_still_ends_the_old_value(
    core_type: type[Core], policy: Policy, size_bytes: int, expires_at: float
) -> None:
    core = core_type(10, policy)
    fill(core, "ab")
    assert not core.put("a", 2, size_bytes, expires_at, 0.0)
    assert list(core) == ["b"]


@every_policy
def test_reserved_bytes_are_no_room(core_type: type[Core], policy: Policy) -> None:
    core = core_type(10, policy)
    fill(core, "abcdefghij")
    assert core.reserve(4, 0.0)
    assert (len(core), core.used_bytes, core.reserved_bytes) == (6, 10, 4)
    assert not core.reserve(7, 0.0)
    assert not core.put("k", 1, 7, FOREVER, 0.0)
    assert (len(core), core.num_left(Reason.SIZE)) == (6, 4)
    core.release(4)
    assert core.put("k", 1, 10, FOREVER, 0.0)
    assert list(core) == ["k"]


@every_policy
def test_what_is_evicted_and_expired_counts_as_expired(core_type: type[Core], policy: Policy) -> None:
    told = Told()
    core = core_type(10, policy, told)
    core.put("a", 1, 5, 1.0, 0.0)
    core.put("b", 2, 5, 100.0, 0.0)
    core.reserve(6, 2.0)
    assert told.news == [("a", 1, Reason.EXPIRED), ("b", 2, Reason.SIZE)]


def test_deleting_names_its_reason(core_type: type[Core]) -> None:
    told = Told()
    core = core_type(10, "lru", told)
    fill(core, "ab")
    assert core.delete("a") and core.delete("b", Reason.REPLACED) and not core.delete("a")
    assert [reason for _, _, reason in told.news] == [Reason.INVALIDATED, Reason.REPLACED]


@pytest.mark.parametrize("reason", [-1, 4])
def test_a_reason_that_is_none_is_refused_before_anything_leaves(core_type: type[Core], reason: Any) -> None:
    core = core_type(10, "lru")
    fill(core, "a")
    with pytest.raises(ValueError):
        core.delete("a", reason)
    with pytest.raises(ValueError):
        core.num_left(reason)
    assert "a" in core


@pytest.mark.parametrize("size_bytes", [0, -1, MAX_BYTES + 1, 1 << 80])
def test_sizes_out_of_range_are_refused(core_type: type[Core], size_bytes: int) -> None:
    core = core_type(10, "lru")
    fill(core, "a")
    with pytest.raises(ValueError):
        core_type(size_bytes, "lru")
    with pytest.raises(ValueError):
        core.resize(size_bytes)
    with pytest.raises(ValueError):
        core.put("a", 1, size_bytes, FOREVER, 0.0)
    with pytest.raises(ValueError):
        core.reserve(size_bytes or -1, 0.0)
    with pytest.raises(ValueError):
        core.release(size_bytes or -1)
    assert (list(core), core.max_bytes, core.used_bytes) == (["a"], 10, 1)


def test_the_largest_sizes_do_not_overflow(core_type: type[Core]) -> None:
    for policy in POLICIES:
        core = core_type(MAX_BYTES, policy)
        assert core.put("a", 1, MAX_BYTES, FOREVER, 0.0)
        assert core.put("b", 1, MAX_BYTES, FOREVER, 0.0)
        assert core.reserve(MAX_BYTES, 0.0)
        assert not core.put("c", 1, MAX_BYTES, FOREVER, 0.0)
        assert (len(core), core.used_bytes) == (0, MAX_BYTES)


def test_a_policy_that_is_none_is_refused(core_type: type[Core]) -> None:
    wrong: Any = "lfu"
    with pytest.raises(ValueError, match="lru, sieve, s3fifo"):
        core_type(10, wrong)


@pytest.mark.parametrize("policy", ["sieve", "s3fifo"])
def test_the_search_for_one_victim_is_bounded(core_type: type[Core], policy: Policy) -> None:
    """Where all were used, the search ends after MAX_STEPS, and who is there goes."""
    told = Told()
    num = 4 * MAX_STEPS
    core = core_type(num, policy, told)
    fill(core, range(num))
    for _ in range(3):
        use(core, range(num))
    fill(core, range(num, num + 1))
    assert [key for key, _, _ in told.news] == [MAX_STEPS]


@every_policy
def test_an_entry_costs_little_itself(core_type: type[Core], policy: Policy) -> None:
    """Ghosts included, and however many have passed through."""
    core = core_type(1000, policy)
    keys = range(10**6, 10**6 + 5_000)
    gc.collect()
    tracemalloc.start()
    try:
        for key in keys:
            core.put(key, None, 1, FOREVER, 0.0)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 1000 * 600
        for key in core:
            core.delete(key)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 1000 * 200  # tables as large as they had to be
    finally:
        tracemalloc.stop()


@every_policy
def test_an_error_of_the_listener_comes_out_and_nothing_is_half_done(core_type: type[Core], policy: Policy) -> None:
    def refuse(key: Any, value: Any, reason: Reason) -> None:
        raise RuntimeError(f"no farewell to {key}")

    core = core_type(3, policy, refuse)
    fill(core, "abc")
    with pytest.raises(RuntimeError, match="no farewell to a"):
        core.put("d", 1, 1, FOREVER, 0.0)
    assert (list(core), core.used_bytes, core.num_left(Reason.SIZE)) == (["b", "c"], 2, 1)
    assert core.put("d", 1, 1, FOREVER, 0.0)


class Awkward:
    """A key that equals nothing, loudly."""

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")


@every_policy
def test_a_key_that_cannot_be_compared_leaves_the_core_as_it_was(core_type: type[Core], policy: Policy) -> None:
    core = core_type(3, policy)
    fill(core, "a")
    first = Awkward()
    core.put(first, 1, 1, FOREVER, 0.0)
    with pytest.raises(RuntimeError, match="not to be compared"):
        core.get(Awkward(), 0.0)
    with pytest.raises(RuntimeError, match="not to be compared"):
        core.put(Awkward(), 2, 1, FOREVER, 0.0)
    with pytest.raises(TypeError, match="unhashable"):
        core.put([], 1, 1, FOREVER, 0.0)
    assert (len(core), core.used_bytes) == (2, 2)
    assert core.get(first, 0.0) == 1


@every_policy
def test_a_ring_through_the_core_is_collected(core_type: type[Core], policy: Policy) -> None:
    class Box:
        def __init__(self) -> None:
            self.core = core_type(3, policy, self.leave)
            self.core.put("a", self, 1, FOREVER, 0.0)

        def leave(self, *what: object) -> None:
            pass

    box = Box()
    seen = weakref.ref(box)
    del box
    gc.collect()
    assert seen() is None


@every_policy
def test_what_left_is_let_go(core_type: type[Core], policy: Policy) -> None:
    class Box:
        pass

    core = core_type(3, policy)
    boxes = [Box() for _ in range(9)]
    seen = [weakref.ref(box) for box in boxes]
    for number in range(9):
        core.put(number, boxes[number], 1, FOREVER, 0.0)
    boxes.clear()
    gc.collect()
    assert [number for number, box in enumerate(seen) if box() is not None] == sorted(core)
