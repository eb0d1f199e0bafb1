"""Limiter cells in pure Python: the specification of the compiled ones."""

from __future__ import annotations

import os
from typing import ClassVar, NoReturn

from ._gcra import MAX_REFILL_NS, Decision, Limit, admit, charge, give_back
from ._limiter_key import SECRET_BYTES, Key, encode_key, siphash128

__all__ = ["LimiterCells", "Reserved"]

ROW_CELLS = 16
# As many callers as a table is made for fill a quarter of it: that a given row has to take in more than it holds then
# happens once in a million times.
ROW_CALLERS = 4
NUM_SHARED = 4096
MAX_UNITS = 1 << 62
MAX_CELLS = 1 << 26
_MASK = (1 << 64) - 1


class LimiterCells:
    """A bounded table of cells that never lifts a limit, made for `max_cells` callers at once.

    A key has its place in one row of 16 cells, which its hash chooses; a table for up to 16 callers is one row of as
    many. A cell whose bucket is full is the same as none: a newcomer takes a free cell of its row, or else that which
    is full for longest. While all cells of a row are in use, its newcomers are charged to one more cell per limit,
    which the newcomers of all rows share: they are served, together no faster than one caller, and the memory stays
    bounded. Evicting a cell in use would hand its caller a full bucket, and whoever can invent callers could have it
    done. A newcomer that later gets a cell of its own starts with the debt of the shared one.
    In any window of T ns, the units charged to a key less those given back in it are at most burst + T / interval,
    whatever the clock did; only what `settle` finds used beyond the estimate comes on top, and is owed.

    Instants come from the caller: CLOCK_MONOTONIC in ns, which all processes of a machine share. A key must come with
    the same limit always: put what tells limits apart into it.

    A table that `forgets` decides otherwise where all cells of a row are in use: that of the caller whose bucket will
    be full the soonest gives way, and the newcomer begins with a full one. A crowd then keeps nobody out, but it lifts
    limits.
    """

    __slots__ = ("_dropped_ns", "_forgets", "_num_rows", "_row_cells", "_rows", "_secret", "_shared", "_tats")

    #: Whether several processes can hold one table. Those of this class live within one process.
    is_shareable: ClassVar[bool] = False

    def __init__(self, max_cells: int, secret: bytes | None = None, *, forgets: bool = False) -> None:
        """Make a table for this process alone. `secret` decides which keys share a row; without it one is drawn.

        Raises: ValueError for less than one cell or more than 2**26, and for a secret that has not 16 bytes.
        """
        self._num_rows, self._row_cells = shape(max_cells)
        self._secret = checked_secret(secret)
        self._forgets = forgets
        self._tats: dict[bytes, int] = {}
        self._rows: dict[int, list[bytes]] = {}
        self._shared: dict[int, int] = {}
        self._dropped_ns = 0

    @classmethod
    def create(cls, max_cells: int, *, forgets: bool = False) -> LimiterCells:
        """Make a table that other processes can attach. Raises: RuntimeError where cells cannot be shared."""
        _refuse()

    @classmethod
    def attach(cls, fd: int) -> LimiterCells:
        """Take part in the table that `create` made in another process; `fd` stays the caller's.

        Raises: RuntimeError where cells cannot be shared, ValueError where `fd` is no such table.
        """
        _refuse()

    def fileno(self) -> int:
        """Return the descriptor of a table that `create` or `attach` returned; it lives as long as the table.

        Raises: RuntimeError where the table is this process's alone.
        """
        _refuse()

    def __len__(self) -> int:
        """Count the cells that are taken, full ones included. Cost: linear in the size of the table."""
        return len(self._tats)

    def admit(self, key: Key, limit: Limit, cost: int, now_ns: int) -> Decision:
        """Ask `limit` for `cost` units in the name of `key`; for 0 units it only tells. Cost: O(1).

        Raises: TypeError and ValueError for a key as `encode_key` does; ValueError for a cost or an instant that is
        below 0, or above 2**62 (OverflowError where 64 bits do not hold it).
        """
        return self._take(encode_key(key), limit, cost, now_ns)[0]

    def reserve(self, key: Key, limit: Limit, units: int, now_ns: int) -> Reserved:
        """Ask for as many units as something may use, to settle later. Cost: O(1). Raises: as `admit`."""
        name = encode_key(key)
        return Reserved(self, name, limit, units, self._take(name, limit, units, now_ns))

    def _take(self, name: bytes, limit: Limit, units: int, now_ns: int) -> tuple[Decision, bool]:
        """Return what `limit` decides, and whether the units were charged to the cell that newcomers share."""
        check(units, now_ns)
        tat, decision = admit(self._tat(name, limit), limit, units, now_ns)
        return decision, decision.is_admitted and units > 0 and self._put(name, limit, tat, now_ns)

    def _settle(self, name: bytes, limit: Limit, units: int, now_ns: int, is_shared: bool) -> None:
        """Charge units, or give them back where their number is below 0."""
        if units > 0:
            self._put(name, limit, charge(self._tat(name, limit), limit, units, now_ns), now_ns)
        elif name in self._tats and not is_shared:
            self._tats[name] = give_back(self._tats[name], limit, -units, now_ns)

    def _tat(self, name: bytes, limit: Limit) -> int:
        """Return the cell of a caller; that of a newcomer is what it would start with."""
        tat = self._tats.get(name)
        # A dropped cell ended before now, unless the clock went back: then its debt is not forgotten either.
        return max(self._shared.get(shared_place(limit), 0), self._dropped_ns) if tat is None else tat

    def _put(self, name: bytes, limit: Limit, tat: int, now_ns: int) -> bool:
        """Write a cell. Returns whether it is the shared one, since there is no room for another."""
        if name in self._tats or self._make_room(name, now_ns):
            self._tats[name] = tat
            return False
        self._shared[shared_place(limit)] = tat
        return True

    def _make_room(self, name: bytes, now_ns: int) -> bool:
        """Put a newcomer into its row: into a free cell, or else into that which is full for longest, or will be."""
        row = self._rows.setdefault(row_of(self._secret, name, self._num_rows), [])
        if len(row) < self._row_cells:
            row.append(name)
            return True
        tats = [self._tats[each] for each in row]
        least = min(tats)
        if least > now_ns and not self._forgets:
            return False
        place = tats.index(least)
        del self._tats[row[place]]
        row[place] = name
        if least <= now_ns:
            self._dropped_ns = max(self._dropped_ns, least)
        return True


class Reserved:
    """Units that were asked for something that may use them, to be settled once it is known how many it did.

    One that is never settled, since its process died, stays charged as estimated.
    """

    __slots__ = ("_cells", "_is_open", "_is_shared", "_limit", "_name", "_units", "decision")

    def __init__(
        self, cells: LimiterCells, name: bytes, limit: Limit, units: int, taken: tuple[Decision, bool]
    ) -> None:
        """Only a table makes one; `taken` is what it decided, and whether it charged the shared cell."""
        self._cells = cells
        self._name = name
        self._limit = limit
        self._units = units
        self.decision, self._is_shared = taken
        self._is_open = self.decision.is_admitted

    def settle(self, units: int, now_ns: int) -> None:
        """Tell how many units were used: the rest is given back, what is above the estimate is owed. Cost: O(1).

        Nothing is given back where the units came from the cell that newcomers share: others would get them.
        Raises: RuntimeError where it was settled before, or refused; ValueError for units or an instant as of `admit`.
        """
        check(units, now_ns)
        if not self._is_open:
            raise RuntimeError("expected a reservation to settle, got one that was settled before, or refused")
        self._is_open = False
        self._cells._settle(self._name, self._limit, units - self._units, now_ns, self._is_shared)


def shape(max_cells: int) -> tuple[int, int]:
    """Return how many rows a table for so many callers has, and of how many cells each."""
    if not 1 <= max_cells <= MAX_CELLS:
        raise ValueError(f"expected max_cells from 1 to {MAX_CELLS}, got {max_cells}")
    return (1, max_cells) if max_cells <= ROW_CELLS else (-(-max_cells // ROW_CALLERS), ROW_CELLS)


def checked_secret(secret: bytes | None) -> bytes:
    """Return a secret that has the right size, drawn where none is given."""
    if secret is None:
        return os.urandom(SECRET_BYTES)
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"expected a secret of {SECRET_BYTES} bytes, got {len(secret)}")
    return secret


def check(units: int, now_ns: int) -> None:
    """Raise ValueError for a number of units, or an instant, that is not from 0 to 2**62."""
    if not 0 <= units <= MAX_UNITS:
        raise ValueError(f"expected units from 0 to {MAX_UNITS}, got {units}")
    if not 0 <= now_ns < MAX_REFILL_NS:
        raise ValueError(f"expected an instant from 0 to {MAX_REFILL_NS - 1} ns, got {now_ns}")


def row_of(secret: bytes, name: bytes, num_rows: int) -> int:
    """Return the row of a name."""
    return 0 if num_rows == 1 else siphash128(secret, name)[1] * num_rows >> 64


def shared_place(limit: Limit) -> int:
    """Return which of the 4,096 shared cells is that of a limit. Where two limits meet, their newcomers share it."""
    mixed = limit.interval_ns * 0x9E3779B97F4A7C15 + limit.burst * 0xC2B2AE3D27D4EB4F
    return (mixed & _MASK) * NUM_SHARED >> 64


def _refuse() -> NoReturn:
    raise RuntimeError("expected the compiled limiter cells, and a table made by create: this one is one process's own")
