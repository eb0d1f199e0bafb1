"""Limiter cells that several processes share: exact together, and unharmed by those that die."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.ext import implementation
from headgate.ext.limiter_cells import Key, Limit, LimiterCells

from ...meta.tree import ROOT
from .memory import CELLS_AT, CLAIMED, Memory

Compiled = cast(type[LimiterCells], implementation("limiter_cells", "compiled").LimiterCells)
LIMIT = Limit(10**9, 3)
NEVER = Limit(10**15, 3)
KEYS = st.lists(
    st.text(max_size=80) | st.binary(max_size=600) | st.integers(-(2**63), 2**63 - 1) | st.none(), max_size=5
).map(tuple)


def hammer(*arguments: str, pass_fds: tuple[int, ...] = ()) -> Any:
    """Run a scenario in a process of its own. Returns what it printed."""
    command = [sys.executable, "-m", "tests.integration.ext.hammer", *arguments]
    done = subprocess.run(command, cwd=ROOT, pass_fds=pass_fds, capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# -- several processes


def test_one_key_is_counted_exactly_over_processes() -> None:
    told = hammer("one_key")
    assert told["codes"] == [0] * 4
    assert told["used"] + told["left"] == 20_000
    assert told["left"] <= 1  # the last one may be reserved for two that were refused, and then given back


def test_many_keys_get_no_more_together_than_they_would_in_one_process() -> None:
    told = hammer("many_keys")
    assert told["codes"] == [0] * 4
    assert told["cells"] == 8
    assert told["counts"][:8] == [50] * 8  # whose cells they are
    assert 0 < sum(told["counts"][8:]) <= 50  # all others, in one shared cell


def test_processes_that_are_killed_at_any_moment_lift_no_limit_and_hold_up_nobody() -> None:
    told = hammer("killed")
    assert told["codes"] == [0, 0]
    assert set(told["ends"]) == {-9} and len(told["ends"]) == 150
    assert min(told["survived"]) > 100
    assert told["worst_ns"] <= 0
    assert told["served"] == 7  # all six cells are in use again, and the shared one


def test_a_process_that_attaches_counts_on() -> None:
    cells, limit = Compiled.create(1000), Limit(10**12, 100)
    for _ in range(40):
        assert cells.admit(("é", 7, b"\0", None), limit, 1, 10**15).is_admitted
    assert hammer("attached", str(cells.fileno()), pass_fds=(cells.fileno(),)) == {"admitted": 60}
    assert not cells.admit(("é", 7, b"\0", None), limit, 1, 10**15).is_admitted
    assert len(cells) == 1


# -- one memory


def test_a_table_lives_as_long_as_one_that_looks_at_it() -> None:
    first = Compiled.create(100)
    second = Compiled.attach(first.fileno())
    assert second.fileno() != first.fileno()
    first.admit(("a",), NEVER, 2, 0)
    del first
    third = Compiled.attach(second.fileno())
    assert third.admit(("a",), NEVER, 0, 0).remaining == 1


def test_no_descriptor_is_left_behind() -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(10):
        made = Compiled.create(10)
        Compiled.attach(made.fileno())
        del made
    assert os.listdir("/proc/self/fd") == before


def test_nobody_can_take_the_memory_away() -> None:
    cells = Compiled.create(10)
    with pytest.raises(PermissionError):
        os.ftruncate(cells.fileno(), 0)
    assert not os.get_inheritable(cells.fileno())


@pytest.mark.parametrize(("max_cells", "num_cells"), [(10, 10), (16, 16), (17, 80), (100_000, 400_000)])
def test_memory_is_bounded_by_the_number_of_cells(max_cells: int, num_cells: int) -> None:
    assert len(Memory(Compiled.create(max_cells), max_cells)) == CELLS_AT + 16 * num_cells


def test_what_is_no_table_is_refused() -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="Bad file descriptor"):
        Compiled.attach(10**6)
    other = os.memfd_create("other", os.MFD_ALLOW_SEALING)
    with pytest.raises(ValueError, match="expected limiter cells made by create, got a file of 0 bytes"):
        Compiled.attach(other)
    os.ftruncate(other, len(Memory(Compiled.create(10), 10)))
    with pytest.raises(ValueError, match="expected limiter cells made by create, got a file of 37024 bytes without"):
        Compiled.attach(other)
    fcntl.fcntl(other, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    with pytest.raises(ValueError, match="expected limiter cells of this version"):
        Compiled.attach(other)
    os.close(other)
    assert os.listdir("/proc/self/fd") == before


@given(keys=st.lists(KEYS, min_size=1, max_size=5, unique_by=repr))
@settings(max_examples=100, deadline=None)
def test_a_cell_is_where_the_hash_of_its_key_says(keys: list[Key]) -> None:
    cells = Compiled.create(10_000)
    memory = Memory(cells, 10_000)
    for number, key in enumerate(keys):
        cells.admit(key, NEVER, 1, number)
        row = [memory.read(memory.place_of(key) + place) for place in range(16)]
        assert (memory.id_of(key), number + NEVER.interval_ns) in row
    assert len(cells) == len(keys)


# -- what dead processes leave


def test_a_claim_of_the_same_caller_is_taken_over() -> None:
    cells = Compiled.create(4)
    memory = Memory(cells, 4)
    memory.claim(0, ("a",))
    memory.claim(2, ("a",))
    assert [cells.admit(("a",), LIMIT, 1, 0).is_admitted for _ in range(4)] == [True, True, True, False]
    assert [memory.read(place)[0] for place in range(4)].count(memory.id_of(("a",))) == 1
    assert not any(memory.read(place)[1] & CLAIMED for place in range(4))


def test_a_claim_of_the_same_caller_does_not_keep_it_from_the_shared_cell() -> None:
    cells = Compiled.create(2)
    memory = Memory(cells, 2)
    cells.admit(("b",), NEVER, 3, 0)
    memory.claim(1, ("a",))
    assert cells.admit(("a",), LIMIT, 3, 0).is_admitted
    assert not cells.admit(("a",), LIMIT, 1, 0).is_admitted


def test_claims_are_left_alone_until_they_are_old() -> None:
    """A living process may have made them; meanwhile newcomers share."""
    cells = Compiled.create(2)
    memory = Memory(cells, 2)
    memory.claim(0, ("dead",))
    memory.claim(1, ("dead too",))
    assert [cells.admit((number,), NEVER, 1, 0).is_admitted for number in range(5)] == [True] * 3 + [False] * 2
    for _ in range(998):
        memory.claim(1, ("dead too",))
    assert not cells.admit(("new",), NEVER, 1, 0).is_admitted
    memory.claim(1, ("dead too",))
    assert cells.admit(("new",), LIMIT, 3, 0).is_admitted
    assert memory.read(0) == (memory.id_of(("new",)), 3 * LIMIT.interval_ns)
    assert not cells.admit(("new",), LIMIT, 1, 0).is_admitted


def test_a_full_cell_goes_before_an_old_claim() -> None:
    cells = Compiled.create(2)
    memory = Memory(cells, 2)
    for _ in range(1001):
        memory.claim(0, ("dead",))
    memory.claim(0, ("dead",))
    cells.admit(("a",), LIMIT, 1, 0)
    for _ in range(1001):
        memory.claim(0, ("dead",))
    assert cells.admit(("b",), LIMIT, 1, 10**10).is_admitted
    assert memory.read(1)[0] == memory.id_of(("b",))


def test_a_note_too_many_lifts_no_limit() -> None:
    cells = Compiled.create(2)
    memory = Memory(cells, 2)
    memory.note_dropped(2 * LIMIT.interval_ns)
    assert cells.admit(("a",), LIMIT, 1, 0).is_admitted
    assert not cells.admit(("a",), LIMIT, 1, 0).is_admitted
    assert cells.admit(("b",), LIMIT, 3, 2 * LIMIT.interval_ns).is_admitted


def test_a_reservation_of_the_dead_stays_charged() -> None:
    cells = Compiled.create(2)
    Compiled.attach(cells.fileno()).reserve(("a",), LIMIT, 2, 0)
    assert cells.admit(("a",), LIMIT, 0, 0).remaining == 1
