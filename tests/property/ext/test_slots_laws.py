"""Laws of slots: nobody gets more than the limit, whoever may get one does, and the dead keep none."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.ext import IMPLEMENTATIONS, implementation
from headgate.ext.slots import SlotTable

# Who does what: takes a slot of a key under a limit, gives the oldest or newest back, or dies.
CALLS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["take", "take", "take", "oldest", "newest", "die"]),
        st.integers(0, 5),
        st.integers(1, 4),
    ),
    max_size=120,
)
Call = tuple[int, str, int, int]


class Play:
    """Makes calls, and knows what should come of them: what each holder has, as key and place."""

    def __init__(self, tables: list[SlotTable], room: int) -> None:
        self.tables = tables
        self.room = room
        self.has: list[list[tuple[int, int]]] = [[] for _ in tables]

    def call(self, call: Call) -> object:
        holder, what, key, limit = call
        holder %= len(self.tables)
        table, has = self.tables[holder], self.has[holder]
        if what == "die":
            assert self.tables[0].clear(holder) == len(has)
            has.clear()
        elif what != "take":
            return not has or table.give_back(has.pop(0 if what == "oldest" else -1)[1])
        else:
            counts = self.counts()
            is_due = counts[key] < limit and (key in counts or len(counts) < self.room)
            place = table.take((key, "a key"), limit)
            assert (place is not None) == is_due
            if place is not None:
                has.append((key, place))
            return place is not None
        return None

    def counts(self) -> Counter[int]:
        return Counter(key for has in self.has for key, _ in has)

    def check(self) -> None:
        counts = self.counts()
        for table in self.tables:
            assert len(table) == len(counts)
            for key in range(6):
                assert table.count((key, "a key")) == counts[key]
                assert table.shares((key, "a key")) == [sum(k == key for k, _ in has) for has in self.has]


@given(max_keys=st.integers(1, 8), calls=CALLS)
@settings(max_examples=150, deadline=None)
def test_one_process_counts_exactly(slots_type: type[SlotTable], max_keys: int, calls: list[Call]) -> None:
    play = Play([slots_type(max_keys)], max_keys)
    for call in calls:
        assert play.call(call) is not None or call[1] == "die"
        play.check()


if "compiled" in IMPLEMENTATIONS:

    @given(max_keys=st.integers(1, 8), calls=CALLS)
    @settings(max_examples=150, deadline=None)
    def test_several_holders_count_exactly_together(max_keys: int, calls: list[Call]) -> None:
        kind: type[SlotTable] = implementation("slots", "compiled").SlotTable
        first = kind.create(max_keys, 3)
        play = Play([first, *(kind.attach(first.fileno(), holder) for holder in (1, 2))], max_keys)
        for call in calls:
            play.call(call)
            play.check()


@given(max_keys=st.integers(17, 20), calls=st.lists(st.tuples(st.integers(0, 99), st.booleans()), max_size=250))
@settings(max_examples=100, deadline=None)
def test_all_implementations_decide_alike_where_rows_are_full(max_keys: int, calls: list[tuple[int, bool]]) -> None:
    tables = [implementation("slots", which).SlotTable(max_keys, bytes(range(16))) for which in IMPLEMENTATIONS]
    places: list[list[int]] = [[] for _ in tables]
    for key, is_last_back in calls:
        if is_last_back and places[0]:
            assert all(table.give_back(has.pop()) for table, has in zip(tables, places, strict=True))
        taken = [table.take((key,), 2) for table in tables]
        assert len({place is None for place in taken}) == 1
        for has, place in zip(places, taken, strict=True):
            if place is not None:
                has.append(place)
        assert len({len(table) for table in tables}) == 1
