"""Where limits are counted: in this process alone, or by all workers together."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ..ext.limiter_cells import LimiterCells
from ..ext.slots import Key, SlotTable

MAX_KEYS = 32_768  # that have something under way at once


class MakeCells(Protocol):
    """Makes or finds the table of a name."""

    def __call__(self, name: str, max_cells: int, *, forgets: bool = False) -> LimiterCells:
        """Return the table for so many callers, which `forgets` or does not. Cost: linear in its size."""


def own_cells(name: str, max_cells: int, *, forgets: bool = False) -> LimiterCells:
    """Return a new table, of this process alone."""
    return LimiterCells(max_cells, forgets=forgets)


def own_slots() -> SlotTable:
    """Return a table of this process alone."""
    return SlotTable(MAX_KEYS)


def own_memory(_: str, num_bytes: int) -> int:
    """Return the descriptor of new memory of this size, all zero, which can be shared and never changes its size.

    Raises: OSError where there is none.
    """
    descriptor = os.memfd_create("headgate-memory", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, num_bytes)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL  # who shrinks it would end all who look
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@dataclass(frozen=True, slots=True)
class Counting:
    """What limits are counted in: `make_cells` makes tables of rates, `slots` holds what is under way.

    `make_memory` returns the descriptor of memory by its name and size, for a plugin's own tables. Whoever takes a slot
    begins its key with what tells its own keys from those of others. What is counted nowhere in common can be divided
    by `num_workers`.
    """

    make_cells: MakeCells = own_cells
    slots: SlotTable = field(default_factory=own_slots)
    num_workers: int = 1
    make_memory: Callable[[str, int], int] = own_memory


class Places:
    """How many connections of one address are open, over all workers."""

    __slots__ = ("_key", "_limit", "_slots")

    def __init__(self, slots: SlotTable, key: Key, limit: int) -> None:
        self._slots = slots
        self._key = key
        self._limit = limit

    def take(self) -> int | None:
        """Return the place of one more connection, None where there is none free."""
        return self._slots.take(self._key, self._limit)

    def give_back(self, place: int) -> None:
        """Let the next one have a place."""
        self._slots.give_back(place)


def listener_key(number: int) -> Key:
    """Return under which key the connections of a listener are counted, by its place in the configuration."""
    return ("listener", number)


def address_table(number: int) -> str:
    """Return the name of the table of a listener's limit by address."""
    return f"addresses of listener {number}"
