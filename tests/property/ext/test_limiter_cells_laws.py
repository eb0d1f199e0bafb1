"""Laws of the table of limiter cells: no window takes more than it may, and nothing is settled twice or lost."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.ext import IMPLEMENTATIONS, implementation
from headgate.ext._gcra import Limit, admit, charge, give_back
from headgate.ext._limiter_key import Key
from headgate.ext.limiter_cells import Decision, LimiterCells, Reserved

LIMITS = st.builds(Limit, interval_ns=st.integers(1, 50), burst=st.integers(1, 8))
PARTS = st.text(max_size=4) | st.binary(max_size=4) | st.integers(-(2**63), 2**63 - 1) | st.none()
KEYS = st.lists(PARTS, max_size=4).map(tuple)
# Who asks, for how many units, whether to settle later, and how far the clock goes (now and then back).
CALLS = st.lists(
    st.tuples(
        st.integers(0, 11),
        st.integers(0, 4),
        st.booleans(),
        st.integers(-30, 120) | st.integers(0, 3),
        st.integers(0, 6),
    ),
    min_size=1,
    max_size=80,
)
Call = tuple[int, int, bool, int, int]


class Play:
    """Makes calls; every second time that something is to be settled, the oldest reservation is."""

    def __init__(self, cells: LimiterCells, limits: list[Limit], keys: list[Key]) -> None:
        self.cells = cells
        self.limits = limits
        self.keys = keys
        self.now = 500
        self.open: list[tuple[int, Reserved, int]] = []
        self.events: dict[int, list[tuple[int, int]]] = {}  # of each caller, in order: when, and how much was taken

    def call(self, call: Call) -> Decision:
        who, units, is_reserved, step, used = call
        self.now = max(0, self.now + step)
        if len(self.open) > 2 and used % 2:
            self.settle(used)
        limit, key = self.limits[who % len(self.limits)], self.keys[who]
        if is_reserved:
            reserved = self.cells.reserve(key, limit, units, self.now)
            decision = reserved.decision
            if decision.is_admitted:
                self.open.append((who, reserved, units))
        else:
            decision = self.cells.admit(key, limit, units, self.now)
        if decision.is_admitted:
            self.events.setdefault(who, []).append((self.now, units))
        return decision

    def settle(self, used: int) -> None:
        who, reserved, units = self.open.pop(0)
        reserved.settle(used, self.now)
        if used < units:
            self.events[who].append((self.now, used - units))


def assert_no_window_exceeds(limit: Limit, events: list[tuple[int, int]]) -> None:
    """Check burst + T / interval from every admission to every later one, less what was given back between them."""
    for first, (start, units) in enumerate(events):
        if units <= 0:
            continue
        taken = 0
        for end, units in events[first:]:
            taken += units
            if units > 0:
                assert taken <= limit.burst + Fraction(end - start, limit.interval_ns)


@given(limits=st.lists(LIMITS, min_size=1, max_size=2), max_cells=st.integers(1, 40), calls=CALLS)
@settings(max_examples=200, deadline=None)
def test_a_bounded_table_lifts_no_limit(
    cells_type: type[LimiterCells], limits: list[Limit], max_cells: int, calls: list[Call]
) -> None:
    play = Play(cells_type(max_cells), limits, [(number,) for number in range(12)])
    for call in calls:
        play.call(call)
        assert len(play.cells) <= max(max_cells, 12)
    for who, events in play.events.items():
        assert_no_window_exceeds(limits[who % len(limits)], events)


@given(
    limit=LIMITS,
    calls=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 120), st.integers(0, 12)), max_size=60
    ),
)
@settings(max_examples=150, deadline=None)
def test_a_table_with_room_is_as_good_as_a_cell_each(
    cells_type: type[LimiterCells], limit: Limit, calls: list[tuple[int, int, int, int]]
) -> None:
    cells, alone, now = cells_type(6), dict.fromkeys(range(6), 0), 0
    for who, units, step, used in calls:
        now += step
        key: Key = (who, "a caller")
        reserved = cells.reserve(key, limit, units, now)
        tat, decision = admit(alone[who], limit, units, now)
        assert reserved.decision == decision
        if not decision.is_admitted:
            continue
        now += step
        reserved.settle(used, now)
        settle = charge if used > units else give_back
        alone[who] = settle(tat, limit, abs(used - units), now)
        assert cells.admit(key, limit, 0, now) == admit(alone[who], limit, 0, now)[1]


@given(
    limits=st.lists(LIMITS, min_size=1, max_size=3),
    max_cells=st.integers(1, 12) | st.integers(17, 20),
    keys=st.lists(KEYS, min_size=12, max_size=12, unique_by=repr),
    calls=CALLS,
    forgets=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_all_implementations_decide_alike(
    limits: list[Limit], max_cells: int, keys: list[Key], calls: list[Call], forgets: bool
) -> None:
    secret = bytes(range(16))
    twin, *others = [
        Play(implementation("limiter_cells", which).LimiterCells(max_cells, secret, forgets=forgets), limits, keys)
        for which in IMPLEMENTATIONS
    ]
    for call in calls:
        decision = twin.call(call)
        for other in others:
            assert other.call(call) == decision
            assert len(other.cells) == len(twin.cells)


@given(steps=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 45), st.integers(0, 9)), min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_while_no_time_passes_units_are_left_open_or_used(
    cells_type: type[LimiterCells], steps: list[tuple[int, int, int]]
) -> None:
    cells, limit, now = cells_type(3), Limit(10**9, 100), 10**15
    opened: list[tuple[Reserved, int]] = []
    gone = 0
    for units, used, place in steps:
        reserved = cells.reserve(("a",), limit, units, now)
        assert reserved.decision.is_admitted is (gone + units <= 100)
        if reserved.decision.is_admitted:
            opened.append((reserved, units))
            gone += units
        if place < len(opened):
            settled, units = opened.pop(place)
            settled.settle(used, now)
            gone += used - units
        assert cells.admit(("a",), limit, 0, now).remaining == max(0, 100 - gone)
