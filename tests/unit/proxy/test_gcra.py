"""The rate limiter's cell, and the bounded table of cells."""

from __future__ import annotations

import pytest

from headgate.proxy.gcra import MAX_REFILL_NS, SWEPT_CELLS, Cells, Limit, admit

MS = 1_000_000
TEN_A_SECOND = Limit(100 * MS, 3)


def test_a_new_caller_has_the_whole_burst_and_then_the_rate() -> None:
    now, tat, remaining = 5000 * MS, 0, []
    for _ in range(3):
        tat, decision = admit(tat, TEN_A_SECOND, 1, now)
        assert decision.is_admitted
        remaining.append(decision.remaining)
    assert remaining == [2, 1, 0]
    same, refusal = admit(tat, TEN_A_SECOND, 1, now)
    assert (same, refusal) == (tat, (False, 0, 100 * MS, 100 * MS))
    assert not admit(tat, TEN_A_SECOND, 1, now + 100 * MS - 1)[1].is_admitted
    assert admit(tat, TEN_A_SECOND, 1, now + 100 * MS)[1].is_admitted


def test_next_unit_tells_when_one_more_is_there() -> None:
    tat, decision = admit(0, TEN_A_SECOND, 3, 1000 * MS)
    assert (decision.remaining, decision.next_unit_ns) == (0, 100 * MS)
    _, later = admit(tat, TEN_A_SECOND, 0, 1130 * MS)
    assert (later.remaining, later.next_unit_ns) == (1, 70 * MS)
    _, full = admit(tat, TEN_A_SECOND, 0, 1300 * MS)
    assert (full.remaining, full.next_unit_ns) == (3, 0)


def test_a_cost_above_the_burst_is_never_admitted_and_says_so() -> None:
    _, decision = admit(0, TEN_A_SECOND, 4, 1000 * MS)
    assert (decision.is_admitted, decision.retry_after_ns, decision.retry_after_s) == (False, None, None)


def test_seconds_are_rounded_up() -> None:
    limit = Limit(1500 * MS, 1)
    tat, decision = admit(0, limit, 1, 0)
    assert decision.next_unit_s == 2
    assert admit(tat, limit, 1, 499 * MS)[1].retry_after_s == 2
    assert admit(tat, limit, 1, 500 * MS)[1].retry_after_s == 1


@pytest.mark.parametrize(
    ("amount", "per_s", "interval_ns"),
    [
        (10, 1.0, 100 * MS),
        (3, 1.0, 333_333_334),
        (1, 3600.0, 3600 * 1000 * MS),
        (1_000_000_000, 1.0, 1),
        (7, 60.0, 8_571_428_572),
    ],
)
def test_a_rate_is_never_rounded_up(amount: int, per_s: float, interval_ns: int) -> None:
    limit = Limit.of(amount, per_s, 1)
    assert limit.interval_ns == interval_ns
    assert limit.interval_ns * amount >= per_s * 1e9


@pytest.mark.parametrize(
    ("amount", "per_s", "burst", "message"),
    [(0, 1.0, 1, "rate of at least 1"), (1, 1.0, 0, "burst of at least 1"), (1, 3600.0, MAX_REFILL_NS, "146 years")],
)
def test_a_limit_that_cannot_be_is_refused(amount: int, per_s: float, burst: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Limit.of(amount, per_s, burst)


def test_the_table_counts_each_key_by_itself() -> None:
    cells = Cells(10)
    for _ in range(3):
        assert cells.admit("a", TEN_A_SECOND, 1, 0).is_admitted
    assert not cells.admit("a", TEN_A_SECOND, 1, 0).is_admitted
    assert cells.admit("b", TEN_A_SECOND, 1, 0).is_admitted


def test_the_table_drops_full_buckets_first() -> None:
    cells = Cells(SWEPT_CELLS)
    for key in range(SWEPT_CELLS):
        cells.admit(key, TEN_A_SECOND, 1 if key == 5 else 3, 0)
    assert cells.admit("late", TEN_A_SECOND, 3, 100 * MS).is_admitted
    assert len(cells) == SWEPT_CELLS
    # Key 5 was full again and gave way; the others are still remembered.
    assert not cells.admit(4, TEN_A_SECOND, 3, 100 * MS).is_admitted
    assert not cells.admit("late", TEN_A_SECOND, 1, 100 * MS).is_admitted


def test_a_full_table_lifts_no_limit_and_still_serves_newcomers() -> None:
    cells = Cells(2)
    for key in ("a", "b"):
        cells.admit(key, TEN_A_SECOND, 3, 0)
    admitted = sum(cells.admit(f"new {number}", TEN_A_SECOND, 1, 0).is_admitted for number in range(50))
    assert admitted == 3  # together as much as one caller
    assert len(cells) == 2
    assert not cells.admit("a", TEN_A_SECOND, 1, 0).is_admitted
    assert cells.admit("new 51", TEN_A_SECOND, 1, 100 * MS).is_admitted


def test_newcomers_under_another_limit_have_a_shared_cell_of_their_own() -> None:
    cells, other = Cells(1), Limit(MS, 1)
    cells.admit("a", TEN_A_SECOND, 3, 0)
    cells.admit("b", TEN_A_SECOND, 3, 0)
    assert not cells.admit("c", TEN_A_SECOND, 1, 0).is_admitted
    assert cells.admit("d", other, 1, 0).is_admitted
    assert not cells.admit("e", other, 1, 0).is_admitted


def test_a_newcomer_takes_the_shared_debt_along() -> None:
    cells, long = Cells(1), Limit(1000 * MS, 3)
    cells.admit("a", TEN_A_SECOND, 3, 0)
    assert cells.admit("b", long, 3, 0).is_admitted  # through the shared cell
    assert not cells.admit("b", long, 1, 500 * MS).is_admitted  # room now, and no second burst
    assert cells.admit("b", long, 1, 1000 * MS).is_admitted


def test_refused_newcomers_take_no_room() -> None:
    cells = Cells(10)
    assert not cells.admit("a", TEN_A_SECOND, 4, 0).is_admitted
    assert len(cells) == 0


def test_the_table_shrinks_when_callers_leave() -> None:
    cells = Cells(1000)
    for key in range(500):
        cells.admit(key, TEN_A_SECOND, 1, 0)
    assert len(cells) == 500
    for number in range(500):
        cells.admit(("later", number), TEN_A_SECOND, 3, 200 * MS + number)
    assert len(cells) <= 500 + SWEPT_CELLS  # the first 500 are gone


def test_buckets_that_fill_are_found_behind_those_that_do_not() -> None:
    cells, slow = Cells(2 * SWEPT_CELLS), Limit(10**12, 3)
    for key in range(SWEPT_CELLS):
        cells.admit(key, slow, 3, 0)
    for key in range(SWEPT_CELLS, 2 * SWEPT_CELLS):
        cells.admit(key, TEN_A_SECOND, 3, 0)
    for number in range(4):
        assert cells.admit(("late", number), TEN_A_SECOND, 3, 300 * MS).is_admitted
    assert len(cells) == SWEPT_CELLS + 4


def test_a_dropped_debt_is_not_forgotten_when_the_clock_goes_back() -> None:
    cells = Cells(10)
    cells.admit("a", TEN_A_SECOND, 3, 0)
    cells.admit("b", TEN_A_SECOND, 1, 400 * MS)
    assert len(cells) == 1
    assert not cells.admit("a", TEN_A_SECOND, 1, 0).is_admitted


def test_a_dropped_shared_debt_is_not_forgotten_when_the_clock_goes_back() -> None:
    cells = Cells(1)
    cells.admit("a", Limit(10**12, 3), 3, 0)
    assert cells.admit("b", TEN_A_SECOND, 3, 0).is_admitted
    cells.admit("c", TEN_A_SECOND, 4, 400 * MS)
    assert not cells.admit("b", TEN_A_SECOND, 1, 0).is_admitted


def test_shared_cells_are_dropped_too() -> None:
    cells = Cells(1)
    cells.admit("a", Limit(10**15, 3), 3, 0)
    for number in range(1, 100):
        assert cells.admit("b", Limit(MS, number), number, number * 1000 * MS).is_admitted
        assert len(cells._shared) == 1
