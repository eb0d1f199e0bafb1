"""The accounts of a ledger as they lie in memory, and the order in which their words change.

Each is a word for its name and two sides of four words: a period, and what was charged in it. The side of the later
period is in force. Every word changes by one store, and no order of them forgets a charge, wherever it ends.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, overload

from .amounts import MOST, Amounts
from .periods import PERS, Per, period_at

WORD_BYTES = 8
HEADER_WORDS = 512
MAX_ACCOUNTS = 1_000_000

_MAGIC = 0x314154_4F555148  # HQUOTA1: another layout has another number
_AT_MAGIC, _AT_MAX_ACCOUNTS, _AT_SECRET, _AT_FLOORS = 0, 1, 2, 8
_SECRET_WORDS = 2
_SIDE_WORDS = 4
_CELL_WORDS = 2 * _SIDE_WORDS
# As many accounts as a table is made for fill a quarter of it: that a row overflows before is no thing to happen.
_ROW_CELLS = 16
_ROW_ACCOUNTS = 4
_TAGS = 8  # a period's word is its number and its kind
_TAG_OF = {per: tag for tag, per in enumerate(PERS)}
_MOST_CHARGED = 2 * MOST
_NONE = Amounts(0, 0, 0)


def num_bytes(max_accounts: int) -> int:
    """Return how much memory so many accounts take."""
    num_rows, row_cells = _shape(max_accounts)
    return WORD_BYTES * (HEADER_WORDS + num_rows * row_cells * (1 + _CELL_WORDS))


def present(per: Per, now_s: float) -> int:
    """Return the word of the period that an instant lies in."""
    return period_at(per, now_s).number * _TAGS + _TAG_OF[per]


def number_of(period: int) -> int:
    """Return the number of a period by its word."""
    return period // _TAGS


class Words(Protocol):
    """Memory, as signed words of 64 bits, each of which is read and written as one."""

    @overload
    def __getitem__(self, at: int, /) -> int: ...
    @overload
    def __getitem__(self, at: slice, /) -> Sequence[int]: ...
    def __getitem__(self, at: int | slice, /) -> int | Sequence[int]:
        """Read a word, or some in a row."""

    def __setitem__(self, at: int, word: int, /) -> None:
        """Write a word."""


class Cells:
    """A table of accounts in words of 64 bits. Whoever calls it holds the lock of the memory."""

    __slots__ = ("_first_cell", "_num_rows", "_row_cells", "_words", "secret")

    def __init__(self, words: Words, max_accounts: int, drawn: Sequence[int]) -> None:
        """Begin a table in words that are all 0, with a secret of two words; or go on with the one that is there.

        Raises: ValueError where another one is there.
        """
        if words[_AT_MAGIC] == 0:
            words[_AT_MAX_ACCOUNTS] = max_accounts
            for at in range(_SECRET_WORDS):
                words[_AT_SECRET + at] = drawn[at]
            words[_AT_MAGIC] = _MAGIC
        if words[_AT_MAGIC] != _MAGIC:
            raise ValueError("expected accounts of this version, got something else: name another file")
        if words[_AT_MAX_ACCOUNTS] != max_accounts:
            raise ValueError(
                f"expected accounts made for max_accounts {max_accounts}, got some made for "
                f"{words[_AT_MAX_ACCOUNTS]}: set that number, or name another file"
            )
        self._words = words
        self._num_rows, self._row_cells = _shape(max_accounts)
        self._first_cell = HEADER_WORDS + self._num_rows * self._row_cells
        self.secret = b"".join(
            words[_AT_SECRET + at].to_bytes(WORD_BYTES, "little", signed=True) for at in range(_SECRET_WORDS)
        )

    def __len__(self) -> int:
        """Count the places that accounts have, those included whose period is over. Cost: linear in the table."""
        rows = range(HEADER_WORDS, self._first_cell, self._row_cells)
        return sum(self._row_cells - list(self._words[first : first + self._row_cells]).count(0) for first in rows)

    def find(self, account: int) -> int | None:
        """Return the place of an account, None where it has none."""
        first = self._row(account)
        row = list(self._words[first : first + self._row_cells])
        return first + row.index(account) if account in row else None

    def room(self, account: int, now_s: float, without: Collection[int]) -> int | None:
        """Return a place for a newcomer, None where all it could have are in use in their periods."""
        first = self._row(account)
        places = [place for place in range(first, first + self._row_cells) if place not in without]
        empty = next((place for place in places if self._words[place] == 0), None)
        if empty is not None:
            return empty
        presents = [present(per, now_s) for per in PERS]
        return next((place for place in places if self._is_idle(place, presents)), None)

    def is_of(self, place: int, account: int) -> bool:
        """Whether an account is (still) at a place."""
        return self._words[place] == account

    def period(self, place: int) -> int:
        """Return the period of the account at a place."""
        return self._words[self._side(place)]

    def first_period(self, now: int) -> int:
        """Return in which period a newcomer begins: no earlier than one that was forgotten would."""
        return max(now, self._words[_AT_FLOORS + now % _TAGS])

    def charged(self, place: int) -> Amounts:
        """Return what is charged to the account at a place in its period."""
        side = self._side(place)
        return Amounts._make(self._words[side + 1 : side + _SIDE_WORDS])

    def charge(self, place: int, by: Sequence[int]) -> None:
        """Add to what is charged to the account at a place; what is below 0 is given back. It is never below 0."""
        at, words = self._side(place), self._words
        for amount in by:
            at += 1
            if amount:
                charged = words[at] + amount
                words[at] = charged if 0 <= charged <= _MOST_CHARGED else 0 if charged < 0 else _MOST_CHARGED

    def turn(self, place: int, period: int) -> None:
        """Begin a later period: it is in force once its word stands there, the last of all."""
        first = self._cell(place)
        side = first + _SIDE_WORDS if self._side(place) == first else first
        self._note(side)
        for at in range(side + 1, side + _SIDE_WORDS):
            self._words[at] = 0
        self._words[side] = period

    def give(self, place: int, account: int, period: int) -> None:
        """Let a newcomer have a place. From when on whoever had it may come anew is noted before it is forgotten."""
        first = self._cell(place)
        if self._words[place]:
            self._note(first)
            self._note(first + _SIDE_WORDS)
        self._words[place] = 0
        for at in range(first, first + _CELL_WORDS):
            self._words[at] = 0
        self._words[first] = period
        self._words[place] = account

    def _note(self, side: int) -> None:
        """Note what is about to be forgotten: whoever comes anew begins behind a period with a charge."""
        if any(self._words[side + 1 : side + _SIDE_WORDS]):
            gone = self._words[side]
            floor = _AT_FLOORS + gone % _TAGS
            self._words[floor] = max(self._words[floor], gone + _TAGS)

    def _is_idle(self, place: int, presents: Sequence[int]) -> bool:
        period = self.period(place)
        return period < presents[period % _TAGS] or self.charged(place) == _NONE

    def _row(self, account: int) -> int:
        return HEADER_WORDS + (account % (1 << 64) * self._num_rows >> 64) * self._row_cells

    def _cell(self, place: int) -> int:
        return self._first_cell + (place - HEADER_WORDS) * _CELL_WORDS

    def _side(self, place: int) -> int:
        first = self._cell(place)
        return first if self._words[first] >= self._words[first + _SIDE_WORDS] else first + _SIDE_WORDS


def _shape(max_accounts: int) -> tuple[int, int]:
    """Return how many rows a table for so many accounts has, and of how many cells each."""
    return (1, max_accounts) if max_accounts <= _ROW_CELLS else (-(-max_accounts // _ROW_ACCOUNTS), _ROW_CELLS)
