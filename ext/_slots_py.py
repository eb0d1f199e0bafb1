"""Slots in pure Python: the specification of the compiled ones."""

from __future__ import annotations

from typing import ClassVar, NoReturn

from ._limiter_cells_py import checked_secret, row_of, shape
from ._limiter_key import Key, encode_key

__all__ = ["SlotTable"]

MAX_LIMIT = (1 << 20) - 1
MAX_HOLDERS = 64


class SlotTable:
    """A bounded table of counts, made for `max_keys` keys that have slots taken at once.

    A key has at most as many slots as its limit; a slot is taken in the name of a holder, a process by its number, and
    what a holder has that died can be given back as one. A key has its place in one row of 16 cells, which its hash
    chooses, four for each of `max_keys` keys; a table for up to 16 is one row of as many. A key without slots needs no
    cell. While all cells of its row have slots of other keys, a key gets none: the limit is never lifted.

    The same key may come with another limit each time: it counts what there is, whoever took it.
    """

    __slots__ = ("_counts", "_num_rows", "_places", "_row_cells", "_secret")

    #: Whether several processes can hold one table. Those of this class live within one process.
    is_shareable: ClassVar[bool] = False

    def __init__(self, max_keys: int, secret: bytes | None = None) -> None:
        """Make a table for this process alone, which is holder 0 of 1. `secret` decides which keys share a row.

        Raises: ValueError for less than one key or more than 2**26, and for a secret that has not 16 bytes.
        """
        self._num_rows, self._row_cells = shape(max_keys)
        self._secret = checked_secret(secret)
        self._places: dict[int, bytes] = {}
        self._counts: dict[int, int] = {}  # of each place; without those that have none

    @classmethod
    def create(cls, max_keys: int, num_holders: int) -> SlotTable:
        """Make a table that so many processes can attach. Raises: RuntimeError where it cannot be shared."""
        _refuse()

    @classmethod
    def attach(cls, fd: int, holder: int) -> SlotTable:
        """Take part, as `holder`, in the table that `create` made in another process; `fd` stays the caller's.

        Raises: RuntimeError where it cannot be shared, ValueError where `fd` is no such table or has no such holder.
        """
        _refuse()

    def fileno(self) -> int:
        """Return the descriptor of a table that `create` or `attach` returned; it lives as long as the table.

        Raises: RuntimeError where the table is this process's alone.
        """
        _refuse()

    def __len__(self) -> int:
        """Count the keys that have slots. Cost: linear in the size of the table."""
        return len(self._counts)

    def take(self, key: Key, limit: int, holder: int | None = None) -> int | None:
        """Take a slot in the name of `holder` (without one: of whoever calls); None where `limit` are taken.

        Returns its place, to be given back. Cost: O(1). Raises: TypeError and ValueError for a key as `encode_key`
        does; ValueError for a limit not from 1 to 2**20 - 1; IndexError where there is no such holder.
        """
        check_limit(limit)
        check_place(0, 1, holder or 0, 1)
        name = encode_key(key)
        place = self._find(name)
        if place is None:
            return None
        count = self._counts.get(place, 0)
        if count >= limit:
            return None
        self._places[place] = name
        self._counts[place] = count + 1
        return place

    def give_back(self, place: int, holder: int | None = None) -> bool:
        """Give back a slot that `holder` (without one: whoever calls) has; tell whether it had one. Cost: O(1).

        Raises: IndexError where there is no such place, or holder.
        """
        check_place(place, self._num_rows * self._row_cells, 0 if holder is None else holder, 1)
        count = self._counts.pop(place, 0)
        if count > 1:
            self._counts[place] = count - 1
        return count > 0

    def count(self, key: Key) -> int:
        """Return how many slots a key has. Cost: O(1). Raises: as `take` for the key."""
        return self.shares(key)[0]

    def shares(self, key: Key) -> list[int]:
        """Return how many slots of a key each holder has. Cost: linear in the holders. Raises: as `take` for the key.

        While others take some, these are not of one moment.
        """
        place = self._find(name := encode_key(key))
        return [self._counts.get(place, 0) if place is not None and self._places.get(place) == name else 0]

    def clear(self, holder: int) -> int:
        """Give back all that a holder has, who is dead; return how many. Cost: linear in the size of the table.

        Raises: IndexError where there is no such holder.
        """
        check_place(0, 1, holder, 1)
        number = sum(self._counts.values())
        self._counts.clear()
        return number

    def _find(self, name: bytes) -> int | None:
        """Return the place of a key: the one that it has, else one that is free."""
        first = row_of(self._secret, name, self._num_rows) * self._row_cells
        row = range(first, first + self._row_cells)
        own = next((place for place in row if self._places.get(place) == name), None)
        return own if own is not None else next((place for place in row if place not in self._counts), None)


def check_limit(limit: int) -> None:
    """Raise ValueError for a limit that is not from 1 to 2**20 - 1."""
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"expected a limit from 1 to {MAX_LIMIT}, got {limit}")


def check_place(place: int, num_places: int, holder: int, num_holders: int) -> None:
    """Raise IndexError for a place, or a holder, that a table does not have."""
    if not 0 <= place < num_places or not 0 <= holder < num_holders:
        raise IndexError(
            f"expected a place below {num_places} and a holder below {num_holders}, got {place} and {holder}"
        )


def check_holders(num_holders: int) -> None:
    """Raise ValueError for a number of holders that is not from 1 to 64."""
    if not 1 <= num_holders <= MAX_HOLDERS:
        raise ValueError(f"expected from 1 to {MAX_HOLDERS} holders, got {num_holders}")


def _refuse() -> NoReturn:
    raise RuntimeError("expected the compiled slots, and a table made by create: this one is one process's own")
