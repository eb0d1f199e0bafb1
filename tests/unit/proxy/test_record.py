"""What an exchange has cost: its answer, and the calls of an aggregate, added once."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from headgate.proxy.record import Record
from headgate.proxy.verdicts import Reservation, Settlement


@dataclass
class Spent:
    prompt_tokens: int | None
    completion_tokens: int | None


CASES = [
    ((None, None), [], (None, None)),
    ((1, 2), [], (1, 2)),
    ((None, None), [(3, 4), (5, None), (None, 6)], (8, 10)),
    ((1, 2), [(3, 4)], (4, 6)),  # an aggregate called, and left the answer to dispatch
    ((None, None), [(None, None)], (None, None)),
]


@pytest.mark.parametrize(("own", "calls", "together"), CASES)
def test_settlement_and_outcome_have_the_tokens_of_all_calls(
    own: tuple[int | None, int | None],
    calls: list[tuple[int | None, int | None]],
    together: tuple[int | None, int | None],
) -> None:
    record = Record(0.0)
    settlements: list[Settlement] = []
    record.reserve(Reservation(settlements.append))
    record.prompt_tokens, record.completion_tokens = own
    record.usages = [Spent(*call) for call in calls]
    record.release()
    outcome = record.outcome(1.0, None, {})
    (settlement,) = settlements
    assert (settlement.prompt_tokens, settlement.completion_tokens) == together
    assert (outcome.prompt_tokens, outcome.completion_tokens) == together
