"""The breaker by example: every row of its table, late reports, several endpoints."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from headgate.proxy.upstream.health.breaker import Admission, Breaker, BreakerSettings, BreakerState

CLOSED, OPEN, HALF_OPEN, RAMPING = BreakerState


def attempt(breaker: Breaker, now: float) -> int:
    assert breaker.admit(now) is not Admission.OPEN
    return breaker.ticket


def opened(settings: BreakerSettings | None = None, now: float = 0.0) -> Breaker:
    breaker = Breaker(settings or BreakerSettings())
    for _ in range(breaker_failures(settings)):
        breaker.failed(now, attempt(breaker, now))
    assert breaker.state(now) is OPEN
    return breaker


def breaker_failures(settings: BreakerSettings | None) -> int:
    return (settings or BreakerSettings()).failures


def test_two_failures_in_a_row_open_it() -> None:
    breaker = Breaker(BreakerSettings())
    breaker.failed(1.0, attempt(breaker, 0.0))
    breaker.succeeded(2.0, attempt(breaker, 1.0))
    breaker.failed(3.0, attempt(breaker, 2.0))
    assert breaker.admit(3.0) is Admission.CLOSED
    breaker.failed(4.0, breaker.ticket)
    assert (breaker.admit(4.0), breaker.state(4.0)) == (Admission.OPEN, OPEN)


def test_probes_go_after_ten_twenty_and_then_every_thirty_seconds() -> None:
    breaker, now, gone = opened(), 0, []
    while now < 130:
        if breaker.admit(now) is Admission.PROBE:
            gone.append(now)
            breaker.failed(now, breaker.ticket)
        now += 1
    assert gone == [10, 30, 60, 90, 120]


def test_while_a_probe_is_out_nobody_else_goes() -> None:
    breaker = opened()
    probe = attempt(breaker, 12.0)
    assert breaker.state(12.0) is HALF_OPEN
    assert [breaker.admit(12.0 + second) for second in range(30)] == [Admission.OPEN] * 30
    breaker.succeeded(41.9, probe)
    assert breaker.state(41.9) is RAMPING


def test_a_probe_that_never_reports_is_replaced_and_may_still_close_it() -> None:
    breaker = opened()
    lost = attempt(breaker, 10.0)
    assert breaker.admit(39.9) is Admission.OPEN
    second = attempt(breaker, 40.0)
    assert second != lost
    breaker.failed(41.0, lost)
    assert breaker.state(41.0) is HALF_OPEN, "the second one is still to report"
    breaker.succeeded(42.0, lost)
    assert breaker.state(42.0) is CLOSED


def test_a_probe_given_back_is_due_at_once() -> None:
    breaker = opened()
    breaker.abandoned(11.0, attempt(breaker, 10.0))
    assert breaker.peek(11.0) is Admission.PROBE
    breaker.failed(12.0, attempt(breaker, 11.0))
    assert breaker.peek(31.9) is Admission.OPEN, "the failed round counts as the first"
    assert breaker.peek(32.0) is Admission.PROBE


def test_the_ramp_has_four_steps_of_two_seconds() -> None:
    breaker = opened()
    breaker.succeeded(10.0, attempt(breaker, 10.0))
    admitted = []
    for step in range(4):
        answers = [breaker.admit(10.0 + 2 * step + part / 100) for part in range(100)]
        admitted.append(answers.count(Admission.RAMPED))
        assert set(answers) <= {Admission.RAMPED, Admission.OPEN}
    assert admitted == [10, 25, 50, 100]
    assert (breaker.state(17.9), breaker.state(18.0)) == (RAMPING, CLOSED)


def test_a_failure_in_the_ramp_opens_it_again_and_the_others_of_the_ramp_count_no_more() -> None:
    breaker = opened()
    breaker.succeeded(10.0, attempt(breaker, 10.0))
    tickets = [attempt(breaker, 16.0) for _ in range(3)]
    breaker.failed(17.0, tickets[0])
    assert breaker.state(17.0) is OPEN
    breaker.succeeded(18.0, tickets[1])
    breaker.failed(19.0, tickets[2])
    assert (breaker.state(19.0), breaker.peek(26.9), breaker.peek(27.0)) == (OPEN, Admission.OPEN, Admission.PROBE)


def test_a_failure_reported_once_the_ramp_is_over_does_not_open_it_alone() -> None:
    breaker = opened()
    breaker.succeeded(10.0, attempt(breaker, 10.0))
    tickets = [attempt(breaker, 16.0) for _ in range(2)]
    breaker.failed(18.0, tickets[0])
    assert breaker.state(18.0) is CLOSED
    breaker.failed(18.0, tickets[1])
    assert breaker.state(18.0) is OPEN


def test_every_opening_begins_with_the_first_waits_and_an_empty_ramp() -> None:
    breaker = opened()
    breaker.failed(10.0, attempt(breaker, 10.0))
    breaker.succeeded(30.0, attempt(breaker, 30.0))
    assert [breaker.admit(30.0) for _ in range(10)].count(Admission.RAMPED) == 1
    assert [breaker.admit(30.0) for _ in range(9)].count(Admission.RAMPED) == 0, "nine tenths of one are owed"
    breaker.failed(31.0, breaker.ticket)
    assert (breaker.peek(40.9), breaker.peek(41.0)) == (Admission.OPEN, Admission.PROBE)
    breaker.failed(41.0, attempt(breaker, 41.0))
    assert (breaker.peek(60.9), breaker.peek(61.0)) == (Admission.OPEN, Admission.PROBE)
    breaker.succeeded(61.0, attempt(breaker, 61.0))
    assert [breaker.admit(61.0) for _ in range(10)].index(Admission.RAMPED) == 9


def test_without_a_ramp_a_good_probe_closes_it() -> None:
    breaker = opened(BreakerSettings(ramp=()))
    breaker.succeeded(10.0, attempt(breaker, 10.0))
    assert breaker.admit(10.0) is Admission.CLOSED


def test_a_forced_attempt_that_succeeds_closes_it_and_one_that_fails_changes_nothing() -> None:
    breaker = opened()
    breaker.forced(3.0)
    breaker.failed(4.0, breaker.ticket)
    assert (breaker.peek(9.9), breaker.peek(10.0)) == (Admission.OPEN, Admission.PROBE)
    breaker.forced(5.0)
    breaker.succeeded(6.0, breaker.ticket)
    assert breaker.admit(6.0) is Admission.CLOSED


def test_a_forced_attempt_beside_a_probe_is_not_the_probe() -> None:
    breaker = opened()
    probe = attempt(breaker, 10.0)
    breaker.forced(10.0)
    forced = breaker.ticket
    breaker.abandoned(11.0, forced)
    breaker.failed(11.0, forced)
    assert breaker.state(11.0) is HALF_OPEN
    breaker.failed(12.0, probe)
    assert (breaker.peek(31.9), breaker.peek(32.0)) == (Admission.OPEN, Admission.PROBE)


def test_reports_of_an_earlier_state_are_not_counted() -> None:
    breaker = Breaker(BreakerSettings())
    early = [attempt(breaker, 0.0) for _ in range(4)]
    breaker.failed(1.0, early[0])
    breaker.failed(1.0, early[1])
    breaker.succeeded(2.0, early[2])
    assert breaker.state(2.0) is OPEN, "it began before the failures"
    breaker.forced(3.0)
    breaker.succeeded(3.0, breaker.ticket)
    breaker.failed(4.0, early[3])
    breaker.failed(4.0, attempt(breaker, 4.0))
    assert breaker.state(4.0) is CLOSED, "one failure of this state, one of an old one"


def test_reports_without_a_ticket_are_of_the_present_state() -> None:
    breaker = Breaker(BreakerSettings())
    breaker.failed(0.0)
    breaker.failed(0.0)
    assert breaker.admit(10.0) is Admission.PROBE
    breaker.failed(11.0)
    assert breaker.admit(31.0) is Admission.PROBE
    breaker.abandoned(31.0)
    assert breaker.admit(31.0) is Admission.PROBE
    breaker.succeeded(32.0)
    assert breaker.state(32.0) is RAMPING


def test_one_bad_endpoint_among_good_ones_does_not_open_it() -> None:
    breaker = Breaker(BreakerSettings(), lambda now: 3)
    for _ in range(20):
        breaker.failed(0.0, attempt(breaker, 0.0), "a")
    assert breaker.state(0.0) is CLOSED
    breaker.failed(0.0, attempt(breaker, 0.0), "b")
    assert breaker.state(0.0) is OPEN


def test_endpoints_that_failed_before_a_success_are_not_counted() -> None:
    breaker = Breaker(BreakerSettings(), lambda now: 2)
    breaker.failed(0.0, attempt(breaker, 0.0), "a")
    breaker.succeeded(0.0, attempt(breaker, 0.0))
    for _ in range(3):
        breaker.failed(0.0, attempt(breaker, 0.0), "b")
    assert breaker.state(0.0) is CLOSED


def test_endpoints_that_failed_before_it_closed_are_not_counted() -> None:
    breaker = Breaker(BreakerSettings(), lambda now: 2)
    for member in ("a", "b"):
        breaker.failed(0.0, attempt(breaker, 0.0), member)
    breaker.forced(1.0)
    breaker.succeeded(1.0, breaker.ticket)
    for _ in range(3):
        breaker.failed(2.0, attempt(breaker, 2.0), "b")
    assert breaker.state(2.0) is CLOSED


@pytest.mark.parametrize("arguments", [(), (lambda now: 1,)])
def test_the_last_healthy_endpoint_opens_it_alone(arguments: tuple[Callable[[float], int], ...]) -> None:
    breaker = Breaker(BreakerSettings(), *arguments)
    for _ in range(2):
        breaker.failed(0.0, attempt(breaker, 0.0), "a")
    assert breaker.state(0.0) is OPEN


def test_the_numbers_of_its_states_are_those_that_the_metric_is_documented_with() -> None:
    assert [int(state) for state in (CLOSED, OPEN, HALF_OPEN, RAMPING)] == [0, 1, 2, 3]
    assert [state.name for state in BreakerState] == ["CLOSED", "OPEN", "HALF_OPEN", "RAMPING"]


def test_looking_changes_nothing() -> None:
    breaker = opened()
    assert [breaker.peek(10.0) for _ in range(3)] == [Admission.PROBE] * 3
    assert breaker.state(10.0) is OPEN
    assert breaker.admit(10.0) is Admission.PROBE
    breaker.succeeded(10.0, breaker.ticket)
    for now in (10.0, 12.0, 14.0, 16.0, 17.0):
        seen = {breaker.peek(now) for _ in range(3)}
        assert seen == {breaker.admit(now)}
    assert breaker.peek(17.0) is Admission.RAMPED


@pytest.mark.parametrize("settings", [BreakerSettings(failures=0), BreakerSettings(probes_s=())])
def test_senseless_settings_are_refused(settings: BreakerSettings) -> None:
    with pytest.raises(ValueError, match="expected at least one failure and one wait before a probe"):
        Breaker(settings)


def test_it_is_calm_until_something_fails_and_again_after_a_success() -> None:
    breaker = Breaker(BreakerSettings())
    assert breaker.is_calm
    breaker.failed(0.0, attempt(breaker, 0.0))
    assert not breaker.is_calm and breaker.state(0.0) is CLOSED
    breaker.succeeded(1.0, attempt(breaker, 1.0))
    assert breaker.is_calm
    for _ in range(2):
        breaker.failed(2.0, attempt(breaker, 2.0))
    assert breaker.state(2.0) is OPEN and not breaker.is_calm
    breaker.succeeded(12.0, attempt(breaker, 12.0))
    assert breaker.state(12.0) is RAMPING and not breaker.is_calm
    breaker.succeeded(20.0, attempt(breaker, 20.0))
    assert breaker.state(20.0) is CLOSED and breaker.is_calm
