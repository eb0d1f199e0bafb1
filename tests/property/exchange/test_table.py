"""The table is the whole theory: the driver holds every report against it, and everything it lists is reached."""

from __future__ import annotations

from collections import Counter

import pytest

from headgate.proxy.exchange.machine import ExchangeMachine
from headgate.proxy.exchange.plan import Plan, Timeouts
from headgate.proxy.exchange.states import ENDED, TABLE, State

from .soak import CELLS, cells_of, main, table_of
from .world import Cell, Run


def test_every_cell_of_the_table_is_reached(worlds: list[Run]) -> None:
    cells = cells_of(worlds)
    assert not [cell for cell in CELLS if cells[cell] < 3], table_of(cells)


def test_every_state_can_be_left_but_the_ends() -> None:
    assert {state for state, _ in TABLE} == set(State) - ENDED
    assert {end for ends in TABLE.values() for end in ends} == set(State) - {State.IDLE}


def test_the_table_is_printed_with_every_cell() -> None:
    lines = table_of(Counter[Cell]()).splitlines()
    assert len(lines) == len(CELLS)
    assert lines[0].split() == ["idle", "start", "failed", "0"]


def test_a_soak_that_is_too_short_says_what_it_did_not_reach(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["0", "0"]) == 1
    said = capsys.readouterr().out
    assert "500 worlds" in said
    assert "expected each cell at least 100 times; too rare: " in said


@pytest.mark.parametrize("is_gone", (True, False))
def test_a_report_out_of_order_is_refused(is_gone: bool) -> None:
    machine = ExchangeMachine(Plan((Timeouts(),), 30.0, True), lambda: 0.0)
    if is_gone:
        machine.client_gone(0.0)
    else:
        machine.start(0.0)
    before = machine.state
    with pytest.raises(RuntimeError, match=f"expected state idle, got {before}"):
        machine.start(0.0)
    assert machine.state is before


def test_an_ended_exchange_stays_ended() -> None:
    machine = ExchangeMachine(Plan((), 1.0, True), lambda: 0.0)
    machine.client_gone(0.0)
    machine.client_gone(0.0)
    assert machine.state is State.GONE
    failed = ExchangeMachine(Plan((), 1.0, True), lambda: 0.0)
    failed.start(0.0)
    failed.client_gone(0.0)
    assert failed.state is State.FAILED
