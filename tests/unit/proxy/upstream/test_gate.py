"""The gate by example: what attempts take, and what their ends change."""

from __future__ import annotations

import random

import pytest

from headgate.proxy.exchange.attempt import Attempt, Purpose
from headgate.proxy.exchange.gate import Report
from headgate.proxy.upstream.cluster import Cluster, ClusterSettings
from headgate.proxy.upstream.endpoint import Endpoint
from headgate.proxy.upstream.gate import ClusterGate, Ticket
from headgate.proxy.upstream.health.breaker import Admission, BreakerState
from headgate.proxy.verdicts import Target


class Stand:
    """A gate to one target, of so many endpoints."""

    def __init__(self, num_endpoints: int = 1, *, is_hurried: bool = False) -> None:
        endpoints = tuple(Endpoint("127.0.0.1", 1000 + place) for place in range(num_endpoints))
        self.cluster = Cluster(ClusterSettings("c", endpoints), random.Random(1).random)
        self.breaker = self.cluster.breaker(None)
        self.gate = ClusterGate((Target("c"),), {"c": self.cluster}, is_hurried=is_hurried)

    def begin(self, now: float, purpose: Purpose = Purpose.FIRST) -> Attempt | None:
        ticket = self.gate.admit(0, purpose, now)
        if ticket is None:
            return None
        ticket.member = self.cluster.pick((), now)
        return Attempt(1, 0, now, purpose, ticket)

    def run(self, report: Report, now: float, purpose: Purpose = Purpose.FIRST) -> bool:
        """Make an attempt, if it may be made, that ends so. Returns whether it was."""
        attempt = self.begin(now, purpose)
        if attempt is not None:
            self.gate.ended(attempt, report, now)
        return attempt is not None


def test_an_exchange_that_goes_well_changes_nothing_but_the_first_attempts() -> None:
    stand = Stand()
    for _ in range(50):
        assert stand.run(Report.OK, 1.0)
    assert stand.breaker.is_calm and stand.breaker.ticket == 0
    assert stand.cluster.budget.remaining(1.0) == 100 + 10
    assert stand.cluster.hedges.remaining(1.0) == 10 + 5


def test_a_success_makes_good_what_failed_before() -> None:
    stand = Stand(2)
    for _ in range(20):
        stand.run(Report.FAILED, 1.0)
        assert not stand.breaker.is_calm
        assert sum(member.num_failures for member in stand.cluster.members) == 1
        while not stand.breaker.is_calm or any(member.num_failures for member in stand.cluster.members):
            assert stand.run(Report.OK, 1.0)
    assert stand.breaker.state(1.0) is BreakerState.CLOSED


@pytest.mark.parametrize("report", [Report.FAILED, Report.SILENT])
def test_two_failures_in_a_row_open_the_breaker_and_a_probe_closes_it(report: Report) -> None:
    stand = Stand()
    assert [stand.run(report, 1.0) for _ in range(3)] == [True, True, False]
    probe = stand.begin(11.0)
    assert probe is not None and isinstance(probe.ticket, Ticket) and probe.ticket.is_probe
    assert stand.begin(11.0) is None, "one probe at a time"
    stand.gate.began(probe, 11.5)
    assert stand.breaker.state(11.5) is BreakerState.RAMPING
    assert [stand.run(Report.OK, 11.5) for _ in range(20)].count(True) == 2, "a tenth of the traffic"
    stand.gate.ended(probe, Report.OK, 12.0)
    assert not stand.breaker.is_calm
    assert stand.run(Report.OK, 20.0)
    assert stand.breaker.is_calm and stand.breaker.admit(20.0) is Admission.CLOSED


@pytest.mark.parametrize(("report", "num_failures"), [(Report.DOWN, 0), (Report.NEUTRAL, 0), (Report.FAILED, 1)])
def test_what_says_nothing_of_the_endpoint_does_not_count_against_it(report: Report, num_failures: int) -> None:
    stand = Stand()
    stand.run(report, 1.0)
    assert stand.cluster.members[0].num_failures == num_failures
    assert stand.breaker.is_calm is (report is Report.NEUTRAL)


def test_silence_counts_only_where_the_client_gave_as_much_time_as_the_route() -> None:
    hurried, patient = Stand(is_hurried=True), Stand()
    for stand in (hurried, patient):
        stand.run(Report.SILENT, 1.0)
    assert hurried.breaker.is_calm and not patient.breaker.is_calm


def test_a_probe_that_says_nothing_is_given_back() -> None:
    stand = Stand()
    assert [stand.run(Report.FAILED, 1.0) for _ in range(2)] == [True, True]
    assert stand.run(Report.NEUTRAL, 11.0)
    assert stand.run(Report.NEUTRAL, 11.0), "another one is due at once"


def test_hedges_are_made_only_at_a_target_that_is_well() -> None:
    stand = Stand()
    assert stand.begin(1.0, Purpose.HEDGE) is not None
    for _ in range(2):
        stand.run(Report.FAILED, 1.0)
    assert stand.begin(1.0, Purpose.HEDGE) is None
    assert stand.begin(1.0, Purpose.RETRY) is None
    assert stand.begin(1.0, Purpose.FORCED) is not None
    assert stand.begin(1.0, Purpose.RETRY) is not None, "as one was forced"


def test_a_denied_resume_leaves_nothing_behind() -> None:
    cluster = Stand().cluster
    gate = ClusterGate((Target("c", "m"),), {"c": cluster})
    gate.continuing = ()
    assert gate.admit(0, Purpose.RESUME, 1.0) is None
    assert [name for name, _ in cluster.breakers()] == ["c"]


def test_the_beginning_of_an_answer_is_a_sample_where_there_is_a_choice() -> None:
    for count, latency_s in ((1, 0.0), (2, 0.25)):
        stand = Stand(count)
        attempt = stand.begin(1.0)
        assert attempt is not None
        stand.gate.began(attempt, 1.25)
        assert max(member.latency_s for member in stand.cluster.members) == latency_s


def test_retries_do_not_use_up_what_finds_out_that_a_target_is_well_again() -> None:
    stand = Stand()
    now = 1.0
    while stand.breaker.state(now) is BreakerState.CLOSED:
        stand.run(Report.FAILED, now)
    while stand.cluster.budget.withdraw(now):
        pass
    assert stand.begin(now, Purpose.RETRY) is None
    assert stand.run(Report.OK, now, Purpose.FORCED)
    assert stand.begin(now) is not None


def test_a_target_out_of_order_is_asked_a_bounded_number_of_times_a_second() -> None:
    stand = Stand()
    now = 1.0
    while stand.breaker.state(now) is BreakerState.CLOSED:
        stand.run(Report.FAILED, now)
    while stand.cluster.budget.withdraw(now):
        pass
    asked = [stand.run(Report.FAILED, now + place / 100, Purpose.FORCED) for place in range(300)]
    assert 20 <= sum(asked) <= 30  # ten a second, as the budget's floor says


def test_a_stream_that_begins_again_makes_nothing_good_before_it_is_whole() -> None:
    stand = Stand()
    assert stand.run(Report.FAILED, 1.0)  # a stream that broke
    resume = stand.begin(1.0, Purpose.RESUME)
    assert resume is not None
    stand.gate.began(resume, 1.0)
    assert stand.breaker.state(1.0) is BreakerState.CLOSED
    stand.gate.ended(resume, Report.FAILED, 1.0)
    assert stand.breaker.state(1.0) is BreakerState.OPEN


def test_a_resume_that_begins_does_not_shorten_a_ramp() -> None:
    stand = Stand()
    while stand.breaker.state(1.0) is BreakerState.CLOSED:
        stand.run(Report.FAILED, 1.0)
    probe = stand.begin(11.0)
    assert probe is not None
    stand.gate.began(probe, 11.0)
    stand.gate.ended(probe, Report.OK, 11.0)
    resume = stand.begin(11.0, Purpose.RESUME)
    assert resume is not None
    stand.gate.began(resume, 11.0)
    assert stand.breaker.state(11.0) is BreakerState.RAMPING


def test_a_forced_attempt_that_begins_shows_that_a_target_is_well() -> None:
    stand = Stand()
    while stand.breaker.state(1.0) is BreakerState.CLOSED:
        stand.run(Report.FAILED, 1.0)
    forced = stand.begin(1.0, Purpose.FORCED)
    assert forced is not None
    stand.gate.began(forced, 1.0)
    assert stand.breaker.state(1.0) is BreakerState.CLOSED
