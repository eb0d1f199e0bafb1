"""What a reservation is told at its end."""

from __future__ import annotations

import pytest

from headgate.ext.sse import EventScanner
from headgate.proxy.exchange.progress import Progress
from headgate.proxy.record import Record
from headgate.proxy.verdicts import Reservation, Settlement


def settlement_of(record: Record) -> Settlement:
    told: list[Settlement] = []
    record.reserve(Reservation(told.append))
    record.release()
    record.release()
    (settlement,) = told
    return settlement


def test_without_an_attempt_no_service_has_seen_the_request() -> None:
    settlement = settlement_of(Record(0.0))
    assert (settlement.is_sent, settlement.is_hit, settlement.num_events) == (False, False, None)


@pytest.mark.parametrize(
    ("ends", "is_sent"),
    [
        (["connect_failed"], False),
        (["connect_timeout", "tls_failed", "pool_full", "unavailable"], False),
        (["answered"], True),
        (["abandoned"], True),
        (["connect_failed", "silent"], True),
        (["status 503"], True),
    ],
)
def test_an_attempt_that_got_through_may_have_been_seen(ends: list[str], is_sent: bool) -> None:
    record = Record(0.0)
    record.served.ends = {number: ("target", how) for number, how in enumerate(ends)}
    assert settlement_of(record).is_sent is is_sent


def test_a_target_that_an_aggregate_asked_may_have_seen_it() -> None:
    record = Record(0.0)
    record.has_called = True
    assert settlement_of(record).is_sent


def test_events_are_counted_up_to_the_end() -> None:
    record = Record(0.0)
    record.num_events = 4
    assert settlement_of(record).num_events == 4
    record = Record(0.0)
    record.served.progress = progress = Progress()
    progress.take(EventScanner().feed(b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n' * 3))
    assert settlement_of(record).num_events == 3
