"""One request of a key that is under way."""

from __future__ import annotations

from ...ext.slots import Key, SlotTable
from ...proxy.verdicts import Settlement


class Slot:
    """One request under way. A second release does nothing."""

    __slots__ = ("_place", "_table")

    def __init__(self, table: SlotTable, place: int) -> None:
        self._table: SlotTable | None = table
        self._place = place

    def release(self, settlement: Settlement) -> None:
        """Give the slot back, however the exchange ended."""
        table, self._table = self._table, None
        if table is not None:
            table.give_back(self._place)


def take_slot(table: SlotTable, key: Key, limit: int) -> Slot | None:
    """Return a slot to be released, or None where `limit` requests are under way."""
    place = table.take(key, limit)
    return None if place is None else Slot(table, place)
