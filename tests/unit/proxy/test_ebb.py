"""When memory is given back: after a flood, once."""

from __future__ import annotations

import pytest

from headgate.proxy.ebb import FEW, GROWN_BYTES, Ebb

START = 50 << 20


@pytest.mark.parametrize(
    ("most", "left", "grown_bytes", "expected"),
    [
        (100, 0, GROWN_BYTES, True),
        (100, 100 // FEW, GROWN_BYTES, True),
        (100, 100 // FEW + 1, GROWN_BYTES, False),
        (100, 0, GROWN_BYTES - 1, False),
        (1, 1, 10 * GROWN_BYTES, False),
        (0, 0, GROWN_BYTES, True),  # all of it came and went between two looks
    ],
)
def test_it_takes_growth_and_few_exchanges(most: int, left: int, grown_bytes: int, expected: bool) -> None:
    ebb = Ebb(START)
    assert not ebb.has_come(most, START)
    assert ebb.has_come(left, START + grown_bytes) is expected


def test_what_is_still_in_use_is_not_asked_for_again() -> None:
    ebb = Ebb(START)
    assert ebb.has_come(0, START + GROWN_BYTES)
    ebb.gave_back(0, START + GROWN_BYTES)
    assert not ebb.has_come(0, START + GROWN_BYTES)
    assert ebb.has_come(0, START + 2 * GROWN_BYTES)


def test_growth_counts_from_the_least() -> None:
    ebb = Ebb(START)
    assert not ebb.has_come(0, START - GROWN_BYTES)
    assert ebb.has_come(0, START)


def test_what_there_was_before_it_gave_back_is_no_flood_any_more() -> None:
    ebb = Ebb(START)
    assert not ebb.has_come(100, START)
    ebb.gave_back(10, START)
    assert not ebb.has_come(10, START + GROWN_BYTES)
