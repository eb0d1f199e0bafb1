"""How the compiled slots are changed, one step of memory at a time, so that any order of steps can be tried.

The functions are those of `ext/_slots_take.pxi`. Each yields before it touches memory that others may have changed;
what runs between two yields is one instruction there. `without` names a guard that is left out.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_TRIES = 50
GUARDS = frozenset({"count the last change", "see that it is the last", "look for another cell"})


class Word(NamedTuple):
    """How many slots are taken, and the last change: what, whose, and its number."""

    total: int = 0
    what: str = ""
    holder: int = 0
    number: int = 0

    def changed(self, total: int, what: str, holder: int) -> Word:
        return Word(total, what, holder, self.number + 1)


Cell = tuple[int, Word]  # whose it is, 0: nobody's
Own = tuple[int, int]  # the number of the change that was counted last, and how many slots


@dataclass(slots=True)
class Table:
    """One row, and what each holder has in its places."""

    row: list[Cell]
    num_holders: int
    owns: dict[tuple[int, int], Own] = field(default_factory=dict)
    without: str = ""

    def own(self, place: int, holder: int) -> Own:
        return self.owns.get((place, holder), (0, 0))

    def swap(self, place: int, seen: Cell, cell: Cell) -> bool:
        is_same = self.row[place] == seen
        if is_same:
            self.row[place] = cell
        return is_same

    def held(self, key: int) -> int:
        return sum(word.total for owner, word in self.row if owner == key)


def _look(table: Table, place: int) -> Generator[None, None, Cell]:
    while True:
        yield
        word = table.row[place][1]
        yield
        key = table.row[place][0]
        yield
        if table.row[place][1] == word:
            return key, word


def _count_in(table: Table, place: int, word: Word) -> Generator[None, None, bool]:
    yield
    told = table.own(place, word.holder)
    if not word.what or told[0] == word.number:
        return True
    yield
    if table.without != "see that it is the last" and table.row[place][1] != word:
        return False
    number = {"taken": told[1] + 1, "given": told[1] - 1, "cleared": 0}[word.what]
    yield
    if table.own(place, word.holder) == told:
        table.owns[place, word.holder] = word.number, number
    return True


def _find(table: Table, key: int) -> Generator[None, None, tuple[int, Cell] | None]:
    found, best = None, 0
    for place in range(len(table.row)):
        cell = yield from _look(table, place)
        rank = (3 if cell[1].total else 2) if cell[0] == key else 0 if cell[1].total else 1
        if rank > best:
            best, found = rank, (place, cell)
    return found


def take(table: Table, key: int, limit: int, holder: int) -> Generator[None, None, int | None]:
    for _ in range(MAX_TRIES):
        found = yield from _find(table, key)
        if found is None or found[1][1].total >= limit:
            return None
        place, seen = found
        if table.without != "count the last change" and not (yield from _count_in(table, place, seen[1])):
            continue
        word = seen[1].changed(seen[1].total + 1, "taken", holder)
        yield
        if not table.swap(place, seen, (key, word)):
            continue
        yield from _count_in(table, place, word)
        if (yield from _is_only(table, key, place)):
            return place
        yield from leave(table, place, holder, "given")
    return None


def _is_only(table: Table, key: int, own: int) -> Generator[None, None, bool]:
    if table.without == "look for another cell":
        return True
    for place in range(len(table.row)):
        if place == own:
            continue
        yield
        if table.row[place][0] == key:
            seen = yield from _look(table, place)
            if seen[0] == key and seen[1].total:
                return False
    return True


def leave(table: Table, place: int, holder: int, what: str) -> Generator[None, None, int]:
    while True:
        seen = yield from _look(table, place)
        if table.without != "count the last change" and not (yield from _count_in(table, place, seen[1])):
            continue
        yield
        number = table.own(place, holder)[1]
        if number == 0:
            return 0
        number = 1 if what == "given" else number
        word = seen[1].changed(seen[1].total - number, what, holder)
        yield
        if table.swap(place, seen, (seen[0], word)):
            yield from _count_in(table, place, word)
            return number


def clear(table: Table, holder: int) -> Generator[None, None, None]:
    for place in range(len(table.row)):
        yield
        if table.row[place][0]:
            yield from leave(table, place, holder, "cleared")
