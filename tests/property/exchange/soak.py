"""Seeded worlds by the thousand, each held to every law; counts how often each cell of the table was reached.

`python -m tests.property.exchange.soak [seconds] [first seed]` runs for that long (default 300) and fails where a law
does, or where a cell was reached fewer than a hundred times.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable
from itertools import count

from headgate.proxy.exchange.states import TABLE

from .laws import LAWS
from .scenario import seeded
from .world import Cell, Run, play

CELLS: frozenset[Cell] = frozenset((*cell, after) for cell, ends in TABLE.items() for after in ends)
AT_LEAST = 100


def held(seed: int) -> Run:
    """Play the world of a seed and hold it to every law. Raises: AssertionError, with the seed."""
    try:
        run = play(seeded(seed))
        for law in LAWS.values():
            law(run)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error
    return run


def cells_of(runs: Iterable[Run]) -> Counter[Cell]:
    """Return how often each cell was reached."""
    cells: Counter[Cell] = Counter()
    for run in runs:
        cells.update(run.cells)
    return cells


def table_of(cells: Counter[Cell]) -> str:
    """Return the counts as a table, one line for what a state takes and may become."""
    rows = sorted(CELLS, key=lambda cell: (list(TABLE).index(cell[:2]), cell[2]))
    return "\n".join(f"{cell[0]:<10} {cell[1]:<12} {cell[2]:<10} {cells[cell]:>9}" for cell in rows)


def main(arguments: list[str]) -> int:
    """Run until the time is up; print the table, and the worlds played in a second."""
    span_s = float(arguments[0]) if arguments else 300.0
    first = int(arguments[1]) if len(arguments) > 1 else 1_000_000
    begun_at = time.monotonic()
    cells: Counter[Cell] = Counter()
    number = 0
    for start in count(first, 500):
        cells += cells_of(map(held, range(start, start + 500)))
        number += 500
        if time.monotonic() - begun_at >= span_s:
            break
    print(table_of(cells))
    print(f"{number} worlds, {number / (time.monotonic() - begun_at):.0f} a second")
    rare = [cell for cell in CELLS if cells[cell] < AT_LEAST]
    if rare:
        print(f"expected each cell at least {AT_LEAST} times; too rare: {', '.join(map(' '.join, sorted(rare)))}")
    return 1 if rare else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
