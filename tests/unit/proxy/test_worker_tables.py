"""The tables that workers have in common."""

from __future__ import annotations

import os

from headgate.ext.limiter_cells import Limit, LimiterCells
from headgate.proxy.workers.tables import MAX_TABLES, Tables

LIMIT = Limit(10**9, 3)


def test_a_name_and_a_size_have_one_table() -> None:
    tables = Tables()
    first, again, other = tables.get("a", 8), tables.get("a", 8), tables.get("a", 16)
    assert first == again != other
    one, two = LimiterCells.attach(first), LimiterCells.attach(again)
    admitted = [cells.admit(("key",), LIMIT, 1, 10**9).is_admitted for cells in (one, two, one, two)]
    assert admitted == [True, True, True, False]


def test_tables_of_two_kinds_are_two() -> None:
    tables = Tables()
    forgetting, other = tables.get("a", 2, forgets=True), tables.get("a", 2)
    assert forgetting != other
    served = [
        [LimiterCells.attach(each).admit((number,), LIMIT, 3, 0).is_admitted for number in range(5)]
        for each in (forgetting, other)
    ]
    assert served == [[True] * 5, [True] * 3 + [False] * 2]


def test_those_that_last_are_never_given_up() -> None:
    tables = Tables(["lasting"])
    inode = os.fstat(tables.get("lasting", 8)).st_ino
    for number in range(2 * MAX_TABLES):
        tables.get(f"table {number}", 8)
    assert os.fstat(tables.get("lasting", 8)).st_ino == inode
    assert len(tables) == MAX_TABLES + 1


def test_they_are_bounded_and_those_in_use_stay() -> None:
    tables = Tables()
    kept = tables.get("kept", 8)
    inode = os.fstat(kept).st_ino
    for number in range(2 * MAX_TABLES):
        tables.get(f"table {number}", 8)
        assert os.fstat(tables.get("kept", 8)).st_ino == inode
    assert len(tables) == MAX_TABLES
