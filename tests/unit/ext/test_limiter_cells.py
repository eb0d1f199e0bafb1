"""The bounded table of limiter cells."""

from __future__ import annotations

import pytest

from headgate.ext import implementation
from headgate.ext._limiter_cells_py import row_of, shape
from headgate.ext._limiter_key import encode_key
from headgate.ext.limiter_cells import Decision, Key, Limit, LimiterCells

MS = 1_000_000
TEN_A_SECOND = Limit(100 * MS, 3)
NEVER = Limit(10**15, 3)
SECRET = bytes(range(16))


def left(cells: LimiterCells, key: Key, limit: Limit, now_ns: int) -> int:
    return cells.admit(key, limit, 0, now_ns).remaining


def test_each_key_is_counted_by_itself(cells_type: type[LimiterCells]) -> None:
    cells = cells_type(10)
    decisions = [cells.admit(("a",), TEN_A_SECOND, 1, 0) for _ in range(4)]
    assert all(isinstance(decision, Decision) for decision in decisions)
    assert decisions[3].retry_after_s == 1
    assert decisions[:3] == [(True, 2, 100 * MS, 0), (True, 1, 100 * MS, 0), (True, 0, 100 * MS, 0)]
    assert decisions[3] == (False, 0, 100 * MS, 100 * MS)
    assert cells.admit(("b",), TEN_A_SECOND, 3, 0).is_admitted


def test_a_cost_above_the_burst_is_never_admitted(cells_type: type[LimiterCells]) -> None:
    cells = cells_type(10)
    assert cells.admit(("a",), TEN_A_SECOND, 4, 1000 * MS) == (False, 3, 0, None)
    assert cells.admit(("a",), TEN_A_SECOND, 1 << 62, 1000 * MS) == (False, 3, 0, None)
    assert len(cells) == 0  # refused newcomers take no room


def test_asking_for_nothing_changes_nothing(cells_type: type[LimiterCells]) -> None:
    cells = cells_type(10)
    assert cells.admit(("a",), TEN_A_SECOND, 0, 0) == (True, 3, 0, 0)
    assert len(cells) == 0
    cells.admit(("a",), TEN_A_SECOND, 2, 0)
    assert cells.admit(("a",), TEN_A_SECOND, 0, 130 * MS) == (True, 2, 70 * MS, 0)
    assert cells.admit(("a",), TEN_A_SECOND, 0, 10**12) == (True, 3, 0, 0)
    assert cells.admit(("a",), TEN_A_SECOND, 0, 0) == (True, 1, 100 * MS, 0)  # the clock went back


def test_equal_keys_are_one_however_they_are_made(cells_type: type[LimiterCells]) -> None:
    class Name(str):
        """A str that is none to the letter, which the compiled cells do not write by themselves."""

    cells = cells_type(100)
    keys: list[Key] = [("a" * 600, "b", "é", b"\0", 5, None), ("a" * 600, Name("b"), "é", b"\0", 5, None), ("b", True)]
    decisions = [cells.admit(key, TEN_A_SECOND, 1, 0).remaining for key in (*keys, (Name("b"), 1))]
    assert decisions == [2, 1, 2, 1]


def test_newcomers_take_the_cell_that_is_full_for_longest(cells_type: type[LimiterCells]) -> None:
    cells = cells_type(8)
    for key in range(8):
        cells.admit((key,), TEN_A_SECOND, {3: 2, 5: 1}.get(key, 3), 0)
    assert cells.admit(("late",), TEN_A_SECOND, 3, 200 * MS).is_admitted
    assert len(cells) == 8
    # Key 5 gave way, key 3 did not have to; nobody else's units are forgotten.
    assert cells.admit((3,), TEN_A_SECOND, 3, 200 * MS).is_admitted
    assert not cells.admit((4,), TEN_A_SECOND, 3, 200 * MS).is_admitted
    assert not cells.admit(("late",), TEN_A_SECOND, 1, 200 * MS).is_admitted


def test_a_full_table_lifts_no_limit_and_still_serves_newcomers(cells_type: type[LimiterCells]) -> None:
    cells = cells_type(2)
    for key in ("a", "b"):
        cells.admit((key,), TEN_A_SECOND, 3, 0)
    admitted = sum(cells.admit(("new", number), TEN_A_SECOND, 1, 0).is_admitted for number in range(50))
    assert admitted == 3  # together as much as one caller
    assert len(cells) == 2
    assert not cells.admit(("a",), TEN_A_SECOND, 1, 0).is_admitted
    assert cells.admit(("new", 51), TEN_A_SECOND, 1, 100 * MS).is_admitted


def test_newcomers_under_another_limit_have_a_shared_cell_of_their_own(cells_type: type[LimiterCells]) -> None:
    cells, other = cells_type(1), Limit(MS, 1)
    cells.admit(("a",), TEN_A_SECOND, 3, 0)
    cells.admit(("b",), TEN_A_SECOND, 3, 0)
    assert not cells.admit(("c",), TEN_A_SECOND, 1, 0).is_admitted
    assert cells.admit(("d",), other, 1, 0).is_admitted
    assert not cells.admit(("e",), other, 1, 0).is_admitted


def test_a_newcomer_takes_the_shared_debt_along(cells_type: type[LimiterCells]) -> None:
    cells, long = cells_type(1), Limit(1000 * MS, 3)
    cells.admit(("a",), TEN_A_SECOND, 3, 0)
    assert cells.admit(("b",), long, 3, 0).is_admitted  # through the shared cell
    assert not cells.admit(("b",), long, 1, 500 * MS).is_admitted  # room now, and no second burst
    assert cells.admit(("b",), long, 1, 1000 * MS).is_admitted
    assert left(cells, ("a",), TEN_A_SECOND, 1000 * MS) == 3


def test_a_dropped_debt_is_not_forgotten_when_the_clock_goes_back(cells_type: type[LimiterCells]) -> None:
    cells = cells_type(1)
    cells.admit(("a",), TEN_A_SECOND, 3, 0)
    cells.admit(("b",), TEN_A_SECOND, 1, 400 * MS)
    assert len(cells) == 1
    assert not cells.admit(("a",), TEN_A_SECOND, 1, 0).is_admitted


def test_a_shared_debt_is_not_forgotten_when_the_clock_goes_back(cells_type: type[LimiterCells]) -> None:
    cells = cells_type(1)
    cells.admit(("a",), NEVER, 3, 0)
    assert cells.admit(("b",), TEN_A_SECOND, 3, 0).is_admitted
    cells.admit(("c",), TEN_A_SECOND, 3, 400 * MS)
    assert not cells.admit(("b",), TEN_A_SECOND, 1, 0).is_admitted


def test_a_row_holds_sixteen_callers_and_its_next_ones_share(cells_type: type[LimiterCells]) -> None:
    num_rows, row_cells = shape(17)
    assert (num_rows, row_cells) == (5, 16)
    keys = [(number,) for number in range(2000)]
    row = [key for key in keys if row_of(SECRET, encode_key(key), num_rows) == 3]
    cells = cells_type(17, SECRET)
    for key in row[:16]:
        assert cells.admit(key, NEVER, 3, 0).is_admitted
    assert [cells.admit(key, NEVER, 1, 0).is_admitted for key in row[16:20]] == [True, True, True, False]
    assert len(cells) == 16
    elsewhere = next(key for key in keys if row_of(SECRET, encode_key(key), num_rows) != 3)
    assert not cells.admit(elsewhere, NEVER, 1, 0).is_admitted  # which begins with the shared debt
    assert cells.admit(elsewhere, TEN_A_SECOND, 3, 0).is_admitted
    assert len(cells) == 17


def test_a_table_that_forgets_locks_nobody_out_and_keeps_those_who_owe_most(cells_type: type[LimiterCells]) -> None:
    cells, limit = cells_type(3, forgets=True), Limit(1000, 4)
    for name, cost in (("a", 3), ("b", 1), ("c", 2)):
        assert cells.admit((name,), limit, cost, 0).is_admitted
    assert left(cells, ("d",), limit, 0) == 4
    assert cells.admit(("d",), limit, 4, 0).is_admitted  # in the place of b
    assert len(cells) == 3
    assert [left(cells, (name,), limit, 0) for name in "abcd"] == [1, 4, 2, 0]
    assert cells.admit(("e",), limit, 1, 10_000).is_admitted  # in the place of c: all are full
    assert left(cells, ("f",), limit, 1000) == 3  # where the clock goes back the debt of c is not forgotten


def test_memory_is_bounded(cells_type: type[LimiterCells]) -> None:
    cells = cells_type(100)
    for number in range(5000):
        cells.admit((number,), TEN_A_SECOND, 1, number * MS)
    assert len(cells) == 25 * 16


def test_a_table_keeps_what_it_is_made_for(cells_type: type[LimiterCells]) -> None:
    cells = cells_type(1000)
    for number in range(1000):
        assert cells.admit((number,), NEVER, 2, 0).is_admitted
    assert len(cells) == 1000
    assert [left(cells, (number,), NEVER, 0) for number in range(1000)] == [1] * 1000


# -- reservations


def test_what_was_not_used_is_given_back(cells_type: type[LimiterCells]) -> None:
    cells = cells_type(10)
    first = cells.reserve(("a",), NEVER, 2, 0)
    second = cells.reserve(("a",), NEVER, 1, 0)
    assert (first.decision, second.decision.remaining) == ((True, 1, 10**15, 0), 0)
    first.settle(0, 0)
    assert left(cells, ("a",), NEVER, 0) == 2
    second.settle(1, 0)
    assert left(cells, ("a",), NEVER, 0) == 2


def test_what_was_used_beyond_is_owed(cells_type: type[LimiterCells]) -> None:
    cells = cells_type(10)
    cells.reserve(("a",), TEN_A_SECOND, 3, 0).settle(5, 0)
    assert cells.admit(("a",), TEN_A_SECOND, 1, 0) == (False, 0, 300 * MS, 300 * MS)
    cells.reserve(("b",), TEN_A_SECOND, 0, 0).settle(2, 0)
    assert left(cells, ("b",), TEN_A_SECOND, 0) == 1
    cells.reserve(("c",), TEN_A_SECOND, 1, 0).settle(1 << 62, 0)
    assert cells.admit(("c",), TEN_A_SECOND, 1, 0).retry_after_ns == (1 << 62) - 200 * MS


def test_it_is_settled_once(cells_type: type[LimiterCells]) -> None:
    cells = cells_type(10)
    reserved = cells.reserve(("a",), NEVER, 2, 0)
    reserved.settle(1, 0)
    with pytest.raises(RuntimeError, match="expected a reservation to settle, got one that was settled before"):
        reserved.settle(0, 0)
    assert left(cells, ("a",), NEVER, 0) == 2
    refused = cells.reserve(("a",), NEVER, 3, 0)
    assert not refused.decision.is_admitted
    with pytest.raises(RuntimeError, match="settled before, or refused"):
        refused.settle(0, 0)
    assert left(cells, ("a",), NEVER, 0) == 2


def test_units_of_the_shared_cell_are_not_given_back(cells_type: type[LimiterCells]) -> None:
    cells = cells_type(1)
    cells.admit(("a",), NEVER, 1, 0)
    shared = cells.reserve(("b",), TEN_A_SECOND, 3, 0)
    shared.settle(0, 0)
    assert not cells.admit(("c",), TEN_A_SECOND, 1, 0).is_admitted
    cells.reserve(("d",), TEN_A_SECOND, 1, 100 * MS).settle(3, 100 * MS)
    assert cells.admit(("e",), TEN_A_SECOND, 1, 100 * MS).retry_after_ns == 300 * MS


def test_a_cell_that_gave_way_gets_nothing_back(cells_type: type[LimiterCells]) -> None:
    cells = cells_type(1)
    reserved = cells.reserve(("a",), TEN_A_SECOND, 3, 0)
    cells.admit(("b",), TEN_A_SECOND, 1, 300 * MS)
    reserved.settle(0, 300 * MS)
    assert left(cells, ("b",), TEN_A_SECOND, 300 * MS) == 2
    assert len(cells) == 1


# -- what is refused


@pytest.mark.parametrize("max_cells", [0, -1, (1 << 26) + 1])
def test_a_table_of_no_such_size_is_refused(cells_type: type[LimiterCells], max_cells: int) -> None:
    with pytest.raises(ValueError, match=f"expected max_cells from 1 to 67108864, got {max_cells}"):
        cells_type(max_cells)


def test_a_secret_of_another_size_is_refused(cells_type: type[LimiterCells]) -> None:
    with pytest.raises(ValueError, match="expected a secret of 16 bytes, got 3"):
        cells_type(10, b"abc")


@pytest.mark.parametrize(
    ("units", "now_ns", "message"),
    [(-1, 0, "units from 0 to"), ((1 << 62) + 1, 0, "units from 0 to"), (1, -1, "instant"), (1, 1 << 62, "instant")],
)
def test_units_and_instants_out_of_range_are_refused(
    cells_type: type[LimiterCells], units: int, now_ns: int, message: str
) -> None:
    cells = cells_type(10)
    reserved = cells.reserve(("a",), TEN_A_SECOND, 1, 0)
    for call in (
        lambda: cells.admit(("a",), TEN_A_SECOND, units, now_ns),
        lambda: cells.reserve(("a",), TEN_A_SECOND, units, now_ns),
        lambda: reserved.settle(units, now_ns),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    reserved.settle(0, 0)
    assert left(cells, ("a",), TEN_A_SECOND, 0) == 3


def test_the_widest_limits_fit(cells_type: type[LimiterCells]) -> None:
    now = (1 << 62) - 1
    for limit in (Limit(1, 1 << 62), Limit(1 << 62, 1)):
        cells = cells_type(10)
        assert cells.admit(("a",), limit, limit.burst, now) == (True, 0, limit.interval_ns, 0)
        assert cells.admit(("a",), limit, limit.burst, now).retry_after_ns == 1 << 62
        cells.reserve(("b",), limit, limit.burst, now).settle(1 << 62, now)
        assert cells.admit(("b",), limit, 1, now).retry_after_ns == limit.interval_ns


def test_a_table_of_one_process_has_no_descriptor(cells_type: type[LimiterCells]) -> None:
    with pytest.raises(RuntimeError, match="one process's own"):
        cells_type(10).fileno()


def test_the_twin_cannot_be_shared() -> None:
    twin: type[LimiterCells] = implementation("limiter_cells", "twin").LimiterCells
    assert not twin.is_shareable
    with pytest.raises(RuntimeError, match="expected the compiled limiter cells"):
        twin.create(10)
    with pytest.raises(RuntimeError, match="expected the compiled limiter cells"):
        twin.attach(0)
