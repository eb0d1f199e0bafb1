"""The tables of limits that workers have in common, each under a name."""

from __future__ import annotations

from collections import OrderedDict

from ...ext.limiter_cells import LimiterCells

MAX_TABLES = 256


class Tables:
    """Made when they are first asked for, and kept for workers to come; of too many the one asked for longest ago goes.

    Workers that have a table that is gone keep it; those that ask for it later get a new one.
    """

    def __init__(self) -> None:
        self._tables: OrderedDict[tuple[str, int], LimiterCells] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tables)

    def get(self, name: str, max_cells: int) -> int:
        """Return the descriptor of the table of that name and size."""
        key = (name, max_cells)
        table = self._tables.get(key)
        if table is None:
            table = self._tables[key] = LimiterCells.create(max_cells)
            if len(self._tables) > MAX_TABLES:
                self._tables.popitem(last=False)
        self._tables.move_to_end(key)
        return table.fileno()
