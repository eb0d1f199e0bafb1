"""The tables of limits that workers have in common, each under a name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from ...ext.limiter_cells import LimiterCells

MAX_TABLES = 256


class Tables:
    """Made when they are first asked for, and kept for workers to come; of too many the one asked for longest ago goes.

    Workers that have a table that is gone keep it; those that ask for it later get a new one. Those of the names that
    are `lasting` never go.
    """

    def __init__(self, lasting: Iterable[str] = ()) -> None:
        self._lasting = frozenset(lasting)
        self._kept: dict[tuple[str, int, bool], LimiterCells] = {}
        self._tables: OrderedDict[tuple[str, int, bool], LimiterCells] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tables) + len(self._kept)

    def get(self, name: str, max_cells: int, *, forgets: bool = False) -> int:
        """Return the descriptor of the table of that name, size and kind."""
        key = (name, max_cells, forgets)
        tables = self._kept if name in self._lasting else self._tables
        if key not in tables:
            tables[key] = LimiterCells.create(max_cells, forgets=forgets)
        if tables is self._tables:
            self._tables.move_to_end(key)
            if len(self._tables) > MAX_TABLES:
                self._tables.popitem(last=False)
        return tables[key].fileno()
