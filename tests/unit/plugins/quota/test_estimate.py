"""What a request took, by how it ended."""

from __future__ import annotations

import pytest

from headgate.plugins.quota.amounts import Amounts, Price, money
from headgate.plugins.quota.estimate import Estimate, used
from headgate.proxy.verdicts import Settlement

TOLD = Estimate(10, 100, Price(1_000_000, 2_000_000))  # millionths for a token
STREAMED = TOLD._replace(is_stream=True)
RESERVED = Amounts(1, 110, 210)
NOTHING, ONE_REQUEST = Amounts(0, 0, 0), Amounts(1, 0, 0)


def ended(
    status: int,
    error: str | None = None,
    usage: tuple[int | None, int | None] = (None, None),
    events: int | None = None,
    *,
    is_sent: bool = True,
    is_hit: bool = False,
) -> Settlement:
    return Settlement(status, error, *usage, error == "client_gone", is_hit, is_sent, events)


CASES = [
    # what the service told
    (TOLD, ended(200, usage=(8, 20)), Amounts(1, 28, 48)),
    (TOLD, ended(200, usage=(8, 2000)), Amounts(1, 2008, 4008)),
    (TOLD, ended(200, usage=(8, None)), Amounts(1, 8, 8)),
    (TOLD, ended(200, usage=(None, 20)), Amounts(1, 30, 50)),
    (STREAMED, ended(200, "truncated", (8, 20), 19), Amounts(1, 28, 48)),
    # streams without usage
    (STREAMED, ended(200, events=12), Amounts(1, 22, 34)),
    (STREAMED, ended(200, "client_gone", events=3), Amounts(1, 13, 16)),
    (STREAMED, ended(0, "client_gone"), Amounts(1, 10, 10)),
    (STREAMED, ended(504, "deadline"), Amounts(1, 10, 10)),
    # nobody knows
    (TOLD, ended(200), RESERVED),
    (TOLD, ended(0, "client_gone"), RESERVED),
    (TOLD, ended(504, "deadline"), RESERVED),
    (TOLD, ended(200, "truncated"), RESERVED),
    # services that refused or failed
    (TOLD, ended(422), ONE_REQUEST),
    (TOLD, ended(429), NOTHING),
    (TOLD, ended(500), NOTHING),
    (TOLD, ended(502, "reset"), NOTHING),
    (STREAMED, ended(502, "error_event", events=0), NOTHING),
    # no service was asked
    (TOLD, ended(200, usage=(8, 20), is_hit=True, is_sent=False), ONE_REQUEST),
    (TOLD, ended(200, is_sent=False), ONE_REQUEST),
    (TOLD, ended(404, "route_not_found", is_sent=False), NOTHING),
    (TOLD, ended(429, "rate_limited", is_sent=False), NOTHING),
    (TOLD, ended(502, "connect_failed", is_sent=False), NOTHING),
    (TOLD, ended(0, "client_gone", is_sent=False), NOTHING),
]


@pytest.mark.parametrize(("told", "settlement", "expected"), CASES)
def test_what_was_used(told: Estimate, settlement: Settlement, expected: Amounts) -> None:
    assert told.amounts == RESERVED
    assert used(told, settlement) == expected


@pytest.mark.parametrize(("micros", "text"), [(0, "0"), (1, "0.000001"), (2_500_000, "2.5"), (10_000_000, "10")])
def test_money_is_written_as_a_decimal(micros: int, text: str) -> None:
    assert money(micros) == text
