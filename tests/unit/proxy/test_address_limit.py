"""The limit on requests by client address."""

from __future__ import annotations

import pytest

from headgate.ext.limiter_cells import Limit, LimiterCells
from headgate.proxy.address_limit import AddressLimit, address_group

TWO_AT_ONCE = Limit.of(10, 1.0, 2)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("2001:db8:1:2::1", "2001:0DB8:0001:0002:0:0:0:1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::2%eth1"),
        ("unknown", "_hidden"),
        ("", "unix:"),
        ("192.0.2.256", "1.2.3"),
        ("010.0.0.1", "a\0b"),
        ("192.0.2.1\u00e9", "unknown"),
    ],
)
def test_these_are_one_client(one: str, other: str) -> None:
    assert address_group(one) == address_group(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.1", "192.0.2.2"),
        ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ("192.0.2.1", "::c000:201"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("unknown", "0.0.0.0"),
        ("unknown", "fe80::1%eth0"),
        ("unknown", "::"),
    ],
)
def test_these_are_two(one: str, other: str) -> None:
    assert address_group(one) != address_group(other)


def test_each_address_has_its_own_bucket_and_hears_how_long_to_wait() -> None:
    limit = AddressLimit(TWO_AT_ONCE, LimiterCells(10, forgets=True))
    assert [limit.take("192.0.2.1", 50.0) for _ in range(2)] == [0.0, 0.0]
    assert limit.take("192.0.2.1", 50.0) == pytest.approx(0.1)
    assert limit.take("192.0.2.2", 50.0) == 0.0
    assert limit.take("192.0.2.1", 50.05) == pytest.approx(0.05)
    assert limit.take("192.0.2.1", 50.125) == 0.0


def test_a_whole_ipv6_network_of_one_site_is_one_client() -> None:
    cells = LimiterCells(10, forgets=True)
    limit = AddressLimit(TWO_AT_ONCE, cells)
    waits = [limit.take(f"2001:db8::{number:x}", 1.0) for number in range(20)]
    assert waits.count(0.0) == 2
    assert len(cells) == 1


def test_the_address_that_is_nearest_to_its_whole_burst_gives_way() -> None:
    cells = LimiterCells(3, forgets=True)
    limit = AddressLimit(Limit.of(1, 3600.0, 1), cells)
    for now, last in enumerate((1, 2, 3)):
        assert limit.take(f"192.0.2.{last}", float(now)) == 0.0
    assert limit.take("192.0.2.1", 3.0) > 0
    assert limit.take("192.0.2.4", 4.0) == 0.0  # 1 gives way
    assert len(cells) == 3
    assert limit.take("192.0.2.2", 5.0) > 0
    assert limit.take("192.0.2.3", 5.0) > 0
    assert limit.take("192.0.2.4", 5.0) > 0
    assert limit.take("192.0.2.1", 5.0) == 0.0


def test_the_table_never_grows_past_its_bound_and_locks_nobody_out() -> None:
    cells = LimiterCells(100, forgets=True)
    limit = AddressLimit(Limit.of(1, 3600.0, 1), cells)
    for number in range(5000):
        assert limit.take(f"10.0.{number // 250}.{number % 250}", number / 100) == 0.0
    assert len(cells) <= 400


def test_who_has_the_same_table_counts_on() -> None:
    cells = LimiterCells(10, forgets=True)
    one, other = AddressLimit(TWO_AT_ONCE, cells), AddressLimit(TWO_AT_ONCE, cells)
    assert [limit.take("192.0.2.1", 50.0) > 0 for limit in (one, other, one, other)] == [False, False, True, True]
