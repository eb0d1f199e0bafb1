"""The lock of a ledger: waited for a while, and not again while nobody lets go."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

import pytest

from headgate.plugins.quota.lock import PATIENCE_S, BusyError, FileLock
from headgate.proxy.counting import own_memory


@pytest.fixture
def openings() -> Iterator[tuple[int, int]]:
    """Two openings of one memory."""
    memory = own_memory("", 4096)
    other = os.open(f"/proc/self/fd/{memory}", os.O_RDWR)
    yield memory, other
    os.close(memory)
    os.close(other)


def test_one_opening_has_it_at_a_time(openings: tuple[int, int]) -> None:
    one, other = (FileLock(opening) for opening in openings)
    with one, pytest.raises(BusyError), other:
        pass
    with other:
        pass


def test_it_is_waited_for_and_got_once_it_is_free(openings: tuple[int, int]) -> None:
    one = FileLock(openings[0])

    def now() -> Iterator[float]:
        for instant in count():
            if instant == 5:
                one.__exit__(None, None, None)
            yield instant * PATIENCE_S / 100

    other = FileLock(openings[1], now().__next__)
    one.__enter__()
    with other:
        pass


def test_who_waited_in_vain_does_not_wait_again_until_it_got_it(openings: tuple[int, int]) -> None:
    looks: list[float] = []

    def now() -> float:
        looks.append(len(looks) * PATIENCE_S / 8)
        return looks[-1]

    one, other = FileLock(openings[0]), FileLock(openings[1], now)
    with one:
        with pytest.raises(BusyError, match="is it stopped"), other:
            pass
        num_looks = len(looks)
        assert num_looks == 9
        for _ in range(3):
            with pytest.raises(BusyError), other:
                pass
        assert len(looks) == num_looks
    with other:
        pass
    with one, pytest.raises(BusyError), other:
        pass
    assert len(looks) == 2 * num_looks


def test_it_is_free_after_an_error_inside(openings: tuple[int, int]) -> None:
    one, other = (FileLock(opening) for opening in openings)
    with pytest.raises(ZeroDivisionError), one:
        raise ZeroDivisionError
    with other:
        pass
