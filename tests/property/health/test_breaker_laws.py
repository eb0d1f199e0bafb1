"""P18: an open breaker lets one probe through at a time; only faults of the target open it."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headgate.proxy.upstream.health.breaker import Admission, Breaker, BreakerSettings, BreakerState

from .breaker_model import Attempt, BreakerModel

SETTINGS = st.builds(
    BreakerSettings,
    failures=st.integers(1, 3),
    probes_s=st.sampled_from(((10.0, 20.0, 30.0), (5.0,), (1.0, 40.0))),
    ramp=st.sampled_from(((0.1, 0.25, 0.5, 1.0), (0.5,), ())),
    ramp_step_s=st.sampled_from((1.0, 2.0)),
    refusing_s=st.sampled_from((1.0, 4.0)),
)
SLOTS = set(Breaker.__slots__) - {"_settings", "_num_members"}
LOOK_AHEAD = (0, 1, 2, 5, 9, 10, 20, 30, 41)


class Breakers(RuleBasedStateMachine):
    """A breaker beside its model, under any order of asks, reports and time."""

    @initialize(given_settings=SETTINGS)
    def begin(self, given_settings: BreakerSettings) -> None:
        self.now = 100
        self.breaker = Breaker(given_settings)
        self.model = BreakerModel(given_settings)
        self.open: list[Attempt] = []

    @rule(seconds=st.integers(0, 3) | st.integers(0, 45))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def ask(self) -> None:
        expected = self.model.admission_at(self.now)
        self.model.admit(self.now)
        admission = self.breaker.admit(self.now)
        assert admission is expected
        if admission is not Admission.OPEN:
            self.begin_one(admission)
        if admission is Admission.PROBE:
            self.model.probe = self.open[-1]

    @precondition(lambda self: self.model.state is BreakerState.OPEN)
    @rule()
    def wait_for_the_probe(self) -> None:
        self.now = max(self.now, self.model.due)
        self.ask()

    @precondition(lambda self: self.model.probe in self.open)
    @rule(is_well=st.booleans())
    def end_the_probe(self, is_well: bool) -> None:
        end = self.succeed if is_well else self.fail
        end(next(place for place, attempt in enumerate(self.open) if attempt is self.model.probe))

    @precondition(lambda self: self.breaker.peek(self.now) is Admission.OPEN)
    @rule()
    def force(self) -> None:
        self.breaker.forced(self.now)
        self.begin_one(Admission.OPEN)

    def begin_one(self, admission: Admission) -> None:
        self.open.append(Attempt(self.model.period, self.breaker.ticket, admission))
        self.breaker.num_under_way += 1

    def end_one(self, place: int) -> Attempt:
        self.breaker.num_under_way -= 1
        return self.open.pop(place % len(self.open))

    @precondition(lambda self: self.open)
    @rule(place=st.integers(0, 1000))
    def succeed(self, place: int) -> None:
        attempt = self.end_one(place)
        self.breaker.succeeded(self.now, attempt.ticket, is_forced=attempt.admission is Admission.OPEN)
        self.model.succeeded(self.now, attempt)

    @precondition(lambda self: self.open)
    @rule(place=st.integers(0, 1000))
    def fail(self, place: int) -> None:
        attempt = self.end_one(place)
        self.breaker.failed(self.now, attempt.ticket)
        self.model.failed(self.now, attempt)

    @precondition(lambda self: self.open)
    @rule(place=st.integers(0, 1000))
    def refuse(self, place: int) -> None:
        attempt = self.end_one(place)
        self.breaker.refused(self.now, attempt.ticket)
        self.model.refused(self.now, attempt, self.open)

    @precondition(lambda self: self.breaker.state(self.now) is BreakerState.CLOSED)
    @rule(waits=st.lists(st.integers(0, 2), min_size=1, max_size=5))
    def refuse_all(self, waits: list[int]) -> None:
        """What comes now; what is under way stays so."""
        for seconds in waits:
            self.now += seconds
            self.ask()
            if self.breaker.state(self.now) is BreakerState.CLOSED:
                self.refuse(len(self.open) - 1)

    @precondition(lambda self: self.open)
    @rule()
    def answer(self) -> None:
        self.breaker.answers(self.now)
        self.model.answers()

    @precondition(lambda self: self.open)
    @rule(place=st.integers(0, 1000))
    def abandon(self, place: int) -> None:
        attempt = self.end_one(place)
        before = self.breaker.state(self.now)
        self.breaker.abandoned(self.now, attempt.ticket)
        self.model.abandoned(self.now, attempt)
        after = self.breaker.state(self.now)
        assert after is before or (before, after) == (BreakerState.HALF_OPEN, BreakerState.OPEN)

    @invariant()
    def it_is_its_model_now_and_later(self) -> None:
        assert self.breaker.state(self.now) is self.model.state_at(self.now)
        for seconds in LOOK_AHEAD:
            assert self.breaker.peek(self.now + seconds) is self.model.admission_at(self.now + seconds)

    @invariant()
    def while_it_is_calm_it_need_not_be_asked_or_told(self) -> None:
        if not self.breaker.is_calm:
            return
        told = deepcopy(self.breaker)
        assert told.admit(self.now) is Admission.CLOSED
        told.succeeded(self.now, told.ticket)
        assert [getattr(told, name, None) for name in SLOTS] == [getattr(self.breaker, name, None) for name in SLOTS]

    @invariant()
    def at_most_one_probe_is_out(self) -> None:
        """But for those that are thought lost: the next one went after the longest wait."""
        probes = [a for a in self.open if a.admission is Admission.PROBE and a.period == self.model.period]
        assert self.model.probe is None or probes[-1] is self.model.probe
        if self.breaker.state(self.now) is BreakerState.OPEN:
            assert self.model.probe is None


Breakers.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestP18 = Breakers.TestCase


def opened(failures: int = 2) -> Breaker:
    breaker = Breaker(BreakerSettings(failures=failures))
    for _ in range(failures):
        breaker.admit(0.0)
        breaker.failed(0.0, breaker.ticket)
    return breaker


@given(st.lists(st.integers(0, 200), min_size=1, max_size=80))
def test_p18_open_means_no_calls_but_one_probe_an_interval(instants: list[int]) -> None:
    """Every probe fails at once: they are as far apart as the waits say."""
    breaker, probes = opened(), []
    for now in sorted(instants):
        admission = breaker.admit(now)
        assert admission in (Admission.OPEN, Admission.PROBE)
        if admission is Admission.PROBE:
            probes.append(now)
            breaker.failed(now, breaker.ticket)
    waits = [10, 20] + [30] * len(probes)
    assert all(later - sooner >= wait for sooner, later, wait in zip([0, *probes], probes, waits, strict=False))


@given(st.lists(st.floats(0, 30), max_size=100), st.lists(st.floats(0, 30), min_size=1, max_size=100))
def test_late_failures_of_old_attempts_do_not_put_the_probe_off(ends: list[float], asks: list[float]) -> None:
    """Attempts that began before it opened fail whenever they do: the probe goes when it would have gone."""
    breaker = Breaker(BreakerSettings())
    tickets = []
    for _ in range(2 + len(ends)):
        breaker.admit(0.0)
        tickets.append(breaker.ticket)
    breaker.failed(0.0, tickets.pop())
    breaker.failed(0.0, tickets.pop())
    steps = sorted([*((end, False) for end in ends), *((ask, True) for ask in asks)])
    is_probed = False
    for now, is_ask in steps:
        if not is_ask:
            breaker.failed(now, tickets.pop())
            continue
        expected = Admission.PROBE if now >= 10 and not is_probed else Admission.OPEN
        assert breaker.admit(now) is expected
        is_probed = is_probed or expected is Admission.PROBE


@given(st.lists(st.sampled_from(("abandoned", "succeeded")), max_size=60))
def test_p18_nothing_but_failures_opens_it(reports: list[str]) -> None:
    """What is reported as abandoned: 4xx, clients that left, hedges that lost, who says until when it is busy."""
    breaker = Breaker(BreakerSettings(failures=1))
    for report in reports:
        assert breaker.admit(0.0) is Admission.CLOSED
        getattr(breaker, report)(0.0, breaker.ticket)
    assert breaker.state(0.0) is BreakerState.CLOSED


@given(st.lists(st.floats(0, 0.25), min_size=1, max_size=60), st.integers(1, 4))
def test_refusals_open_it_after_a_second_of_nothing_else(gaps_s: list[float], failures: int) -> None:
    breaker, now, since = Breaker(BreakerSettings(failures=failures)), 0.0, 0.0
    for number, gap_s in enumerate(gaps_s):
        now += gap_s
        since = since if number else now
        assert breaker.admit(now) is Admission.CLOSED
        breaker.refused(now, breaker.ticket)
        if number + 1 >= failures and now - since >= 1.0:
            assert breaker.admit(now) is Admission.OPEN
            return
    assert breaker.admit(now) is Admission.CLOSED


@given(st.lists(st.integers(0, 799), min_size=1, max_size=200))
def test_the_ramp_spreads_its_shares_evenly(hundredths: list[int]) -> None:
    """Whatever the pace, what was admitted is never more than one request away from the shares so far."""
    breaker = opened()
    breaker.admit(10.0)
    breaker.succeeded(10.0, breaker.ticket)
    owed, num_admitted = 0.0, 0
    for place in sorted(hundredths):
        owed += (0.1, 0.25, 0.5, 1.0)[place // 200]
        num_admitted += breaker.admit(10 + place / 100) is Admission.RAMPED
        assert abs(num_admitted - owed) < 1 + 1e-6
    assert breaker.admit(18.0) is Admission.CLOSED


@given(st.integers(1, 60), st.integers(0, 60))
def test_a_lone_target_recovers_at_once(num_failures: int, later: int) -> None:
    """Every target of the route is open, so it is tried all the same; the first success closes it, without a ramp."""
    breaker = opened()
    for _ in range(num_failures):
        breaker.forced(1.0)
        breaker.failed(1.0, breaker.ticket)
    breaker.forced(1.0 + later)
    breaker.succeeded(1.0 + later, breaker.ticket)
    assert breaker.admit(1.0 + later) is Admission.CLOSED


def test_one_that_was_made_all_the_same_ends_the_ramp() -> None:
    for is_forced, state in ((True, BreakerState.CLOSED), (False, BreakerState.RAMPING)):
        breaker = opened()
        breaker.admit(10.0)
        breaker.succeeded(10.0, breaker.ticket)
        breaker.forced(10.5)
        if is_forced:
            breaker.succeeded(11.0, breaker.ticket, is_forced=True)
        else:
            breaker.succeeded(11.0, breaker.ticket)
        assert breaker.state(11.0) is state


def test_refusals_count_only_where_they_say_something() -> None:
    """Neither those of attempts that began before, nor those of attempts at a target that is out of order."""
    breaker = Breaker(BreakerSettings(failures=1))
    breaker.admit(0.0)
    stale = breaker.ticket
    breaker.failed(0.0, breaker.ticket)
    breaker.forced(1.0)
    breaker.refused(1.0, breaker.ticket)
    breaker.forced(3.0)
    breaker.refused(3.0, breaker.ticket)
    assert breaker.admit(10.0) is Admission.PROBE, "the wait is the first one"
    breaker.succeeded(10.0, breaker.ticket)
    breaker.refused(18.0, stale)  # the ramp is over
    breaker.refused(20.0, stale)
    assert breaker.state(20.0) is BreakerState.CLOSED
    breaker.refused(20.0, breaker.ticket)
    breaker.refused(21.0, breaker.ticket)
    assert breaker.state(21.0) is BreakerState.OPEN


def test_what_was_taken_before_the_refusals_may_be_refused_itself() -> None:
    breaker = Breaker(BreakerSettings())
    breaker.admit(0.0)
    before = breaker.ticket
    breaker.num_under_way = 1
    breaker.refused(0.0, breaker.ticket)  # of another one that has left
    breaker.num_under_way = 0
    breaker.refused(2.0, before)
    assert breaker.state(2.0) is BreakerState.OPEN
