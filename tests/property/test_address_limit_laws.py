"""The law of the limit by address: bounded, and who would be forgotten soonest anyway is forgotten first."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.ext.limiter_cells import Limit, LimiterCells, admit
from headgate.proxy.address_limit import AddressLimit


@given(
    max_addresses=st.integers(1, 5),
    calls=st.lists(st.tuples(st.integers(1, 8), st.integers(0, 40)), min_size=1, max_size=80),
)
@settings(max_examples=150, deadline=None)
def test_the_address_table_is_bounded_and_forgets_who_is_nearest_to_the_whole_burst(
    max_addresses: int, calls: list[tuple[int, int]]
) -> None:
    limit, cells, now = Limit.of(8, 1.0, 2), LimiterCells(max_addresses, forgets=True), 0
    table = AddressLimit(limit, cells)
    model: list[tuple[int, int]] = []  # address and cell, each in its place
    for last, step in calls:
        now += step
        place = next((place for place, (address, _) in enumerate(model) if address == last), None)
        tat, decision = admit(model[place][1] if place is not None else 0, limit, 1, now * 15_625_000)
        if place is None and len(model) == max_addresses:
            place = min(range(max_addresses), key=lambda each: model[each][1])
        if place is None:
            model.append((last, tat))
        else:
            model[place] = last, tat
        wait_s = table.take(f"192.0.2.{last}", now / 64)
        assert wait_s == (decision.retry_after_ns or 0) / 1e9
        assert len(cells) == len(model) <= max_addresses
