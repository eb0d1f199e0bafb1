"""A ledger of accounts: charged to all or none, in a period that only ever follows an earlier one."""

from __future__ import annotations

import contextlib
import gc
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate.plugins.quota.amounts import Amounts
from headgate.plugins.quota.cells import num_bytes, present
from headgate.plugins.quota.ledger import NO_LIMITS, NOTHING, Ask, Ledger, LedgerFullError
from headgate.plugins.quota.lock import BusyError
from headgate.proxy.counting import own_memory

NOON_S = 1_800_014_400
DAY_S = 86_400
ONE = Amounts(1, 10, 100)


@contextlib.contextmanager
def ledgers(max_accounts: int = 100, number: int = 1) -> Iterator[list[Ledger]]:
    """Yield several openings of one ledger in memory."""
    memory = own_memory("", num_bytes(max_accounts))
    made = [Ledger(memory, max_accounts) for _ in range(number)]
    os.close(memory)
    try:
        yield made
    finally:
        for ledger in made:
            ledger.close()


def day(name: bytes, *limits: int | None) -> Ask:
    first, second, third = limits or NO_LIMITS
    return Ask(name, "day", (first, second, third))


def test_what_is_reserved_is_charged_and_settled_to_what_was_used() -> None:
    with ledgers() as (ledger,):
        decision = ledger.reserve([day(b"a")], ONE, NOON_S)
        assert decision.over == ()
        assert [standing.charged for standing in decision.standings] == [ONE]
        ledger.settle(decision.standings, ONE, Amounts(1, 3, 30))
        assert ledger.charged(b"a", "day", NOON_S) == Amounts(1, 3, 30)
        assert ledger.charged(b"b", "day", NOON_S) == ledger.charged(b"a", "hour", NOON_S) == NOTHING


def test_all_accounts_are_charged_or_none() -> None:
    with ledgers() as (ledger,):
        asks = [day(b"a", 5, None, None), day(b"b", None, 15, 150)]
        assert ledger.reserve(asks, ONE, NOON_S).over == ()
        refused = ledger.reserve(asks, ONE, NOON_S)
        assert refused.over == ((1, 1), (1, 2))
        assert [standing.charged for standing in refused.standings] == [ONE, ONE]
        assert ledger.charged(b"a", "day", NOON_S) == ledger.charged(b"b", "day", NOON_S) == ONE


def test_a_limit_is_reached_exactly() -> None:
    with ledgers() as (ledger,):
        ask = day(b"a", 3, 30, 300)
        assert [bool(ledger.reserve([ask], ONE, NOON_S).over) for _ in range(5)] == [False] * 3 + [True] * 2


def test_use_beyond_the_reservation_is_charged_and_the_account_is_over() -> None:
    with ledgers() as (ledger,):
        ask = day(b"a", None, 50, None)
        decision = ledger.reserve([ask], ONE, NOON_S)
        ledger.settle(decision.standings, ONE, Amounts(1, 70, 700))
        assert ledger.charged(b"a", "day", NOON_S).tokens == 70
        assert ledger.reserve([ask], Amounts(1, 0, 0), NOON_S).over == ((0, 1),)


def test_a_reservation_grows_in_all_its_accounts_or_in_none() -> None:
    with ledgers() as (ledger,):
        asks = [day(b"a", None, 100, None), day(b"b", None, 30, None)]
        standings = ledger.reserve(asks, ONE, NOON_S).standings
        assert ledger.grow(asks, standings, Amounts(0, 20, 5), NOON_S) == ()
        assert ledger.grow(asks, standings, Amounts(0, 1, 5), NOON_S) == ((1, 1),)
        assert ledger.charged(b"a", "day", NOON_S) == ledger.charged(b"b", "day", NOON_S) == (1, 30, 105)


def test_a_limit_that_is_exceeded_already_is_in_the_way_of_what_grows_there_alone() -> None:
    with ledgers() as (ledger,):
        lowered = [day(b"a", 1, None, None)]
        standings, _ = (ledger.reserve([day(b"a")], ONE, NOON_S).standings for _ in range(2))
        assert ledger.grow(lowered, standings, Amounts(0, 5, 0), NOON_S) == ()
        assert ledger.grow(lowered, standings, Amounts(1, 5, 0), NOON_S) == ((0, 0),)


def test_a_refused_newcomer_takes_no_place() -> None:
    with ledgers(1) as (ledger,):
        assert ledger.reserve([day(b"a", 0, None, None)], ONE, NOON_S).over
        assert len(ledger) == 0


def test_a_period_that_is_over_begins_anew_and_takes_no_late_settlement() -> None:
    with ledgers() as (ledger,):
        ask = day(b"a", 1, None, None)
        old = ledger.reserve([ask], ONE, NOON_S)
        assert ledger.reserve([ask], ONE, NOON_S).over
        assert ledger.charged(b"a", "day", NOON_S + DAY_S) == NOTHING
        assert not ledger.reserve([ask], ONE, NOON_S + DAY_S).over
        ledger.settle(old.standings, ONE, NOTHING)
        assert ledger.charged(b"a", "day", NOON_S + DAY_S) == ONE


def test_a_clock_that_goes_back_begins_no_period_twice() -> None:
    with ledgers() as (ledger,):
        ask = day(b"a", 2, None, None)
        assert not ledger.reserve([ask], ONE, NOON_S).over
        assert not ledger.reserve([ask], ONE, NOON_S + DAY_S).over
        back = ledger.reserve([ask], ONE, NOON_S)
        assert back.standings[0].charged.requests == 2  # of tomorrow, which goes on
        assert ledger.reserve([ask], ONE, NOON_S).over
        assert ledger.reserve([ask], ONE, NOON_S + DAY_S).over
        assert not ledger.reserve([ask], ONE, NOON_S + 2 * DAY_S).over


def test_an_account_that_was_forgotten_does_not_begin_its_period_twice() -> None:
    with ledgers(1) as (ledger,):
        ask = day(b"a", 1, None, None)
        first = ledger.reserve([ask], ONE, NOON_S)
        assert not ledger.reserve([day(b"b")], ONE, NOON_S + DAY_S).over  # in its place
        ledger.settle(first.standings, ONE, NOTHING)  # there is nobody whom it could be given back to
        assert ledger.charged(b"b", "day", NOON_S + DAY_S) == ONE
        ledger.settle(ledger.reserve([day(b"b")], ONE, NOON_S + DAY_S).standings, Amounts(2, 20, 200), NOTHING)
        again = ledger.reserve([ask], ONE, NOON_S)  # the clock went back
        assert again.standings[0].number == first.standings[0].number + 1


@pytest.mark.parametrize("num_days", [1, 2, 3])
def test_one_that_was_forgotten_with_nothing_in_its_last_periods_begins_none_before_twice(
    num_days: int,
) -> None:
    with ledgers(1) as (ledger,):
        ledger.reserve([day(b"a")], ONE, NOON_S)
        asked = [(b"a", NOON_S + number * DAY_S) for number in range(1, num_days + 1)]
        for name, now_s in [*asked, (b"b", asked[-1][1])]:  # who failed upstream costs nothing, and then gives way
            decision = ledger.reserve([day(name)], ONE, now_s)
            ledger.settle(decision.standings, ONE, NOTHING)
        decision = ledger.reserve([day(b"a")], ONE, NOON_S)  # the clock went back
        assert decision.standings[0].period > present("day", NOON_S)


def test_accounts_are_bounded_and_those_in_use_stay() -> None:
    with ledgers(10) as (ledger,):
        for number in range(10):
            ledger.reserve([day(b"%d" % number)], ONE, NOON_S)
        for number in range(10, 40):
            with pytest.raises(LedgerFullError):
                ledger.reserve([day(b"0"), day(b"%d" % number)], ONE, NOON_S)
        assert len(ledger) == 10
        assert all(ledger.charged(b"%d" % number, "day", NOON_S) == ONE for number in range(10))
        assert not ledger.reserve([day(b"new")], ONE, NOON_S + DAY_S).over
        assert len(ledger) == 10


def test_two_newcomers_of_one_request_get_places_of_their_own() -> None:
    with ledgers(3) as (ledger,):
        old = ledger.reserve([day(b"a")], ONE, NOON_S)
        asks = [day(b"b"), day(b"c"), day(b"a")]
        decision = ledger.reserve(asks, ONE, NOON_S + DAY_S)
        assert len({standing.place for standing in decision.standings}) == 3
        assert decision.standings[2].place == old.standings[0].place
        assert all(ledger.charged(ask.name, "day", NOON_S + DAY_S) == ONE for ask in asks)


def test_many_names_fill_no_row_of_a_table_that_is_large_enough() -> None:
    with ledgers(2000) as (ledger,):
        for number in range(2000):
            ledger.reserve([day(b"%d" % number)], ONE, NOON_S)
        assert len(ledger) == 2000


def test_several_openings_see_one_ledger() -> None:
    with ledgers(number=2) as (one, two):
        ask = day(b"a", 2, None, None)
        decision = one.reserve([ask], ONE, NOON_S)
        assert not two.reserve([ask], ONE, NOON_S).over
        assert one.reserve([ask], ONE, NOON_S).over
        two.settle(decision.standings, ONE, NOTHING)
        assert one.charged(b"a", "day", NOON_S) == ONE


def test_who_cannot_get_the_lock_says_so_and_charges_nothing() -> None:
    with ledgers(number=2) as (one, two):
        decision = one.reserve([day(b"a")], ONE, NOON_S)
        with two._lock:
            for act in (
                lambda: one.reserve([day(b"a")], ONE, NOON_S),
                lambda: one.settle(decision.standings, ONE, NOTHING),
            ):
                with pytest.raises(BusyError, match="another process holds them"):
                    act()
        assert one.charged(b"a", "day", NOON_S) == ONE


def test_a_file_keeps_the_accounts(tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    ledger = Ledger.open(str(path), 50)
    ledger.reserve([day(b"a")], ONE, NOON_S)
    ledger.close()
    ledger.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size == num_bytes(50) <= path.stat().st_blocks * 512
    again = Ledger.open(str(path), 50)
    assert again.charged(b"a", "day", NOON_S) == ONE
    again.close()


def test_a_file_of_another_kind_or_size_is_refused_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    Ledger.open(str(path), 50).close()
    with pytest.raises(ValueError, match="expected accounts made for max_accounts 60, got some made for 50"):
        Ledger.open(str(path), 60)
    os.truncate(path, num_bytes(50) - 8)
    with pytest.raises(ValueError, match=f"got {num_bytes(50) - 8}: name another file"):
        Ledger.open(str(path), 50)
    for content in (b"a diary", b"diary" * 5000, bytes(num_bytes(50) + 8)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="expected accounts"):
            Ledger.open(str(path), 50)
        assert path.read_bytes() == content


def test_a_file_whose_making_was_cut_short_is_made(tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    for size in (0, 100, 8192):
        path.write_bytes(bytes(size))
        ledger = Ledger.open(str(path), 50)
        assert not ledger.reserve([day(b"a")], ONE, NOON_S).over
        ledger.close()


def test_names_in_common_do_not_meet_in_two_ledgers() -> None:
    """The hash is keyed: who knows one ledger cannot make up names for another."""
    with ledgers() as (one,), ledgers() as (two,):
        accounts = [ledger.reserve([day(b"a")], ONE, NOON_S).standings[0].account for ledger in (one, two)]
        assert accounts[0] != accounts[1]


def test_one_that_nobody_closes_holds_nothing_open(tmp_path: Path) -> None:
    num_before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        Ledger.open(str(tmp_path / "accounts"), 50)
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) == num_before
