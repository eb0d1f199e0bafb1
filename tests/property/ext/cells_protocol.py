"""How the compiled limiter cells are changed, one step of memory at a time, so that any order of steps can be tried.

The functions are those of `ext/_limiter_take.pxi`. Each yields before it touches memory that others may have changed;
what runs between two yields is one instruction there. `without` names a guard that is left out.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from headgate.ext._gcra import Limit, admit

CLAIMED = 1 << 63
FREE = (0, 0)
MAX_TRIES = 50

Cell = tuple[int, int]
Steps = Generator[None, None, str]  # in the end: "own", "shared" or "refused"; inside also "forestalled"
GUARDS = frozenset({"look for claims", "look again", "compare what was dropped", "note what is dropped"})


@dataclass(slots=True)
class Table:
    """One row, and one shared cell per limit."""

    row: list[Cell]
    old_claims: int
    shared: dict[Limit, int] = field(default_factory=dict)
    dropped: int = 0
    num_claims: int = 0
    without: str = ""

    def swap(self, place: int, seen: Cell, cell: Cell) -> Cell:
        """Write a cell where it is as it was seen. Return what was there."""
        found = self.row[place]
        if found == seen:
            self.row[place] = cell
        return found


@dataclass(frozen=True, slots=True)
class Ask:
    """Who asks for how much."""

    table: Table
    caller: int
    limit: Limit
    units: int
    now_ns: int

    def decide(self, tat: int) -> int | None:
        after, decision = admit(tat, self.limit, self.units, self.now_ns)
        return after if decision.is_admitted else None


def take(ask: Ask) -> Steps:
    for _ in range(MAX_TRIES):
        cell = yield from _find(ask)
        outcome = yield from (_take_new(ask) if cell is None else _take_own(ask, *cell))
        if outcome != "forestalled":
            return outcome
    return "refused"


def _find(ask: Ask) -> Generator[None, None, tuple[int, Cell] | None]:
    for place in range(len(ask.table.row)):
        yield
        if ask.table.row[place][0] == ask.caller:
            yield
            tat = ask.table.row[place][1]
            if tat < CLAIMED:
                return place, (ask.caller, tat)
    return None


def _take_own(ask: Ask, place: int, seen: Cell) -> Steps:
    for _ in range(MAX_TRIES):
        after = ask.decide(seen[1])
        yield
        if after is None:
            return "refused" if ask.table.row[place][0] == ask.caller else "forestalled"
        found = ask.table.swap(place, seen, (ask.caller, after))
        if found == seen:
            return "own"
        seen = found
        if seen[0] != ask.caller or seen[1] >= CLAIMED:
            break
    return "forestalled"


def _start(ask: Ask) -> Generator[None, None, int]:
    yield
    shared = ask.table.shared.get(ask.limit, 0)
    yield
    return max(shared, ask.table.dropped)


def _take_new(ask: Ask) -> Steps:
    table = ask.table
    if ask.decide((yield from _start(ask))) is None:
        return "refused"
    room = yield from _find_room(ask)
    if room is None:
        return (yield from _take_shared(ask))
    place, seen = room
    if seen != FREE and seen[1] < CLAIMED and table.without != "note what is dropped":
        yield
        table.dropped = max(table.dropped, seen[1])
    yield
    table.num_claims += 1
    claim = (ask.caller, CLAIMED | table.num_claims)
    yield
    if table.swap(place, seen, claim) != seen:
        return "forestalled"
    is_alone = yield from _is_alone(ask, place)
    after = ask.decide((yield from _start(ask))) if is_alone else None
    yield
    if after is None:
        table.swap(place, claim, FREE)
        return "refused" if is_alone else "forestalled"
    return "own" if table.swap(place, claim, (ask.caller, after)) == claim else "forestalled"


def _find_room(ask: Ask) -> Generator[None, None, tuple[int, Cell] | None]:
    yield
    num_claims, least, room = ask.table.num_claims, CLAIMED, None
    for place in range(len(ask.table.row)):
        yield
        caller = ask.table.row[place][0]
        yield
        tat = ask.table.row[place][1]
        if (caller, tat) == FREE:
            return place, FREE
        is_old = tat >= CLAIMED and num_claims - (tat - CLAIMED) >= ask.table.old_claims
        if (tat < least and tat <= ask.now_ns) or (room is None and is_old):
            least, room = tat, (place, (caller, tat))
    return room


def _is_alone(ask: Ask, own: int | None) -> Generator[None, None, bool]:
    if ask.table.without == "look for claims":
        return True
    for place in range(len(ask.table.row)):
        if place == own:
            continue
        yield
        caller = ask.table.row[place][0]
        yield
        seen = (caller, ask.table.row[place][1])
        while seen[0] == ask.caller:
            if seen[1] < CLAIMED:
                return False
            yield
            found = ask.table.swap(place, seen, FREE)
            if found == seen:
                break
            seen = found
    return True


def _take_shared(ask: Ask) -> Steps:
    table = ask.table
    yield
    shared = table.shared.get(ask.limit, 0)
    for _ in range(MAX_TRIES):
        yield
        begin = max(shared, table.dropped)
        after = ask.decide(begin)
        if after is None:
            return "refused"
        yield
        found = table.shared.get(ask.limit, 0)
        if found == shared:
            table.shared[ask.limit] = after
            break
        shared = found
    else:
        return "forestalled"
    if table.without != "look again" and not (yield from _is_alone(ask, None)):
        return "forestalled"
    yield
    is_covered = table.dropped <= max(begin, ask.now_ns) or table.without == "compare what was dropped"
    return "shared" if is_covered else "forestalled"
