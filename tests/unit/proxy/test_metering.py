"""A stream goes on as far as those allow it who have reserved for it."""

from __future__ import annotations

import pytest

from headgate.ext.sse import Event, EventScanner
from headgate.proxy.metering import Metering
from headgate.proxy.record import Record
from headgate.proxy.verdicts import Reject, Reservation, StreamUsage

PIECE = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'
USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 7}}\n\n'
DONE = b"data: [DONE]\n\n"


def events(data: bytes) -> list[Event]:
    return EventScanner().feed(data)


def test_a_meter_sees_the_count_with_each_event_as_a_settlement_has_it() -> None:
    seen: list[tuple[int, int | None, int | None]] = []

    def meter(usage: StreamUsage) -> None:
        seen.append((usage.num_events, usage.prompt_tokens, usage.completion_tokens))

    metering = Metering([meter])
    first, second = events(PIECE + b": ping\n\n" + PIECE), events(USAGE + DONE)
    assert metering.allowed(first) == (first, None)
    assert metering.allowed(second) == (second, None)
    assert seen == [(1, None, None), (1, None, None), (2, None, None), (2, 3, 7), (2, 3, 7)]


def test_of_one_portion_what_comes_before_the_refusal_is_passed_on() -> None:
    def meter(usage: StreamUsage) -> Reject | None:
        return Reject("quota_exceeded", "no more", "two are enough") if usage.num_events > 2 else None

    found = events(PIECE * 4)
    passed, error = Metering([lambda usage: None, meter]).allowed(found)
    assert list(passed) == found[:2] and error is not None
    assert (error.kind.name, error.public, error.detail) == ("quota_exceeded", "no more", "two are enough")


def fails(usage: StreamUsage) -> Reject | None:
    raise RuntimeError("planted")


def answers_nonsense(usage: StreamUsage) -> Reject | None:
    return "no"  # type: ignore[return-value]


def refuses_by_no_name(usage: StreamUsage) -> Reject | None:
    return Reject("no_such_error")


@pytest.mark.parametrize("meter", [fails, answers_nonsense, refuses_by_no_name])
def test_who_cannot_count_an_answer_does_not_let_it_go_on(meter: object) -> None:
    passed, error = Metering([meter]).allowed(events(PIECE))  # type: ignore[list-item]
    assert not passed and error is not None
    assert error.kind.name == "stage_unavailable"


def test_a_reservation_without_a_meter_adds_none() -> None:
    record = Record(0.0)
    record.reserve(Reservation(lambda settlement: None))
    assert not record.meters
    record.reserve(Reservation(meter=fails))
    assert record.meters == (fails,)
