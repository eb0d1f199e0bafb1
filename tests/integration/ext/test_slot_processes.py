"""Slots that several processes share: exact together, and those of the dead come back."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import subprocess
import sys
from typing import cast

import pytest

from headgate.ext import implementation
from headgate.ext.slots import SlotTable

from ...meta.tree import ROOT

Compiled = cast(type[SlotTable], implementation("slots", "compiled").SlotTable)


def test_holders_that_are_killed_at_any_moment_lose_no_slot_and_lift_no_limit() -> None:
    command = [sys.executable, "-m", "tests.integration.ext.slots_hammer"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["codes"] == [0] * 4
    assert set(told["ends"]) == {-9} and len(told["ends"]) == 150
    assert told["not_alone"] == 0
    assert min(told["done"]) > 30
    assert told["left"] == [[0, 0, 0, 0]] * 7
    assert told["again"] == [3] * 6


def test_slots_may_be_taken_and_given_back_in_the_name_of_another() -> None:
    mine = Compiled.create(10, 3)
    other = Compiled.attach(mine.fileno(), 2)
    place = mine.take(("a",), 2, 2)
    assert place is not None
    assert mine.shares(("a",)) == [0, 0, 1]
    assert not mine.give_back(place)
    assert other.give_back(place)
    assert other.take(("a",), 2) is not None
    assert mine.give_back(place, 2)
    assert (len(mine), other.clear(2)) == (0, 0)


def test_a_change_that_a_dead_holder_did_not_count_is_counted_by_the_next() -> None:
    """As it is left by one that dies between its two steps."""
    mine = Compiled.create(2, 2)
    other = Compiled.attach(mine.fileno(), 1)
    place = other.take(("a",), 2)
    assert place is not None
    memory = memoryview(mmap.mmap(mine.fileno(), 0))
    own_at = 4096 + 2 * 16 + 8 * (2 + place)
    memory[own_at : own_at + 8] = bytes(8)
    assert mine.shares(("a",)) == [0, 0]
    assert mine.take(("a",), 2) is not None
    assert mine.shares(("a",)) == [1, 1]
    assert mine.take(("a",), 2) is None
    memory.release()


def test_a_table_lives_as_long_as_one_that_looks_at_it() -> None:
    first = Compiled.create(100, 2)
    second = Compiled.attach(first.fileno(), 1)
    first.take(("a",), 1)
    del first
    assert Compiled.attach(second.fileno(), 0).count(("a",)) == 1


@pytest.mark.parametrize("num_holders", [0, 65])
def test_a_number_of_holders_is_refused(num_holders: int) -> None:
    with pytest.raises(ValueError, match=f"expected from 1 to 64 holders, got {num_holders}"):
        Compiled.create(10, num_holders)


def test_what_is_no_table_is_refused_and_leaves_no_descriptor() -> None:
    before = os.listdir("/proc/self/fd")
    made = Compiled.create(10, 2)
    with pytest.raises(ValueError, match="expected a holder below 2, got 2"):
        Compiled.attach(made.fileno(), 2)
    with pytest.raises(PermissionError):
        os.ftruncate(made.fileno(), 0)
    size = os.fstat(made.fileno()).st_size
    other = os.memfd_create("other", os.MFD_ALLOW_SEALING)
    os.ftruncate(other, size)
    with pytest.raises(ValueError, match=f"expected slots made by create, got a file of {size} bytes without"):
        Compiled.attach(other, 0)
    fcntl.fcntl(other, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    with pytest.raises(ValueError, match="expected slots of this version"):
        Compiled.attach(other, 0)
    os.close(other)
    del made
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(("max_keys", "num_cells"), [(10, 10), (16, 16), (17, 80), (32_768, 131_072)])
def test_memory_is_bounded_by_the_number_of_keys_and_holders(max_keys: int, num_cells: int) -> None:
    table = Compiled.create(max_keys, 3)
    assert os.fstat(table.fileno()).st_size == 4096 + num_cells * (16 + 3 * 8)
