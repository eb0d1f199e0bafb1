"""The law of the limit by address: bounded, and the idle most is forgotten."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.ext.limiter_cells import Limit, admit
from headgate.proxy.address_limit import AddressLimit


@given(
    max_addresses=st.integers(1, 5),
    calls=st.lists(st.tuples(st.integers(1, 8), st.integers(0, 40)), min_size=1, max_size=80),
)
@settings(max_examples=150, deadline=None)
def test_the_address_table_is_bounded_and_forgets_the_idle_most(
    max_addresses: int, calls: list[tuple[int, int]]
) -> None:
    limit = Limit.of(8, 1.0, 2)
    table, now = AddressLimit(limit, max_addresses), 0
    model: list[tuple[int, int]] = []  # address and cell, the idle-most first
    for last, step in calls:
        now += step
        tat = next((tat for address, tat in model if address == last), 0)
        tat, decision = admit(tat, limit, 1, now * 15_625_000)
        model = [*(item for item in model if item[0] != last), (last, tat)][-max_addresses:]
        wait_s = table.take(f"192.0.2.{last}", now / 64)
        assert wait_s == (decision.retry_after_ns or 0) / 1e9
        assert len(table) == len(model) <= max_addresses
