"""Single worlds, each for a mistake that was made once, or that a mutant made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headgate.proxy.exchange.attempt import Attempt, Phase, Purpose
from headgate.proxy.exchange.command import COMMIT, HOLD, WAIT, Break, GiveUp
from headgate.proxy.exchange.gate import Report
from headgate.proxy.exchange.machine import ExchangeMachine
from headgate.proxy.exchange.plan import SILENCES, FallbackRule, HedgeRule, HoldRule, RetryRule, Timeouts
from headgate.proxy.exchange.states import State

from .examples import GOOD, ONE, RESET, SILENT, TWO, busy, end, starts
from .log import Asked, Given, Told
from .scenario import Fate, Scenario
from .world import play


def test_a_lone_busy_target_is_not_asked_before_the_instant_it_named() -> None:
    """It was, after the pause of a retry: a Retry-After longer than the wait was taken for none."""
    assert starts(play(Scenario(ONE, ((busy(10.0), GOOD),)))) == [(0, Purpose.FIRST, 0.0)]
    assert len(play(Scenario(ONE, ((busy(None), GOOD),))).log.of(Given)) == 2
    for rule in (RetryRule(on=frozenset({"connect"})), RetryRule(statuses=frozenset({502}))):
        assert len(play(Scenario(replace(ONE, retry=rule), ((busy(None), GOOD),))).log.of(Given)) == 1


@pytest.mark.parametrize("statuses", [{503}, {500}])
def test_a_busy_target_is_left_for_another_one_as_busy_alone(statuses: set[int]) -> None:
    """Whether its status is among those that fall back makes no difference."""
    for on, num_attempts in (({"status"}, 1), ({"busy"}, 2)):
        plan = replace(TWO, fallback=FallbackRule(frozenset(on), frozenset(statuses)), retry=RetryRule(1))
        assert len(play(Scenario(plan, ((busy(None),), (GOOD,)))).log.of(Given)) == num_attempts


def test_without_a_wait_for_busy_targets_none_is_asked_again_for_what_it_named() -> None:
    """One that named no time at all was: the worst case knew nothing of that attempt."""
    for wait_s, num_attempts in ((0.0, 1), (0.001, 2)):
        plan = replace(ONE, busy_wait_s=wait_s, retry=RetryRule(1))
        assert len(play(Scenario(plan, ((busy(0.0), GOOD),))).log.of(Given)) == num_attempts


def test_a_hedges_failure_does_not_make_a_busy_target_be_asked_too_early() -> None:
    plan = replace(ONE, hedge=HedgeRule(0.4))
    run = play(Scenario(plan, ((busy(61.0, head_s=1.0), replace(RESET, head_s=1.0), GOOD),)))
    assert [purpose for _, purpose, _ in starts(run)] == [Purpose.FIRST, Purpose.HEDGE]
    assert end(run) == ("reset", 1.4)


def test_no_hedge_is_sent_where_the_body_is_gone() -> None:
    plan = replace(ONE, hedge=HedgeRule(0.4))
    assert len(play(Scenario(plan, ((SILENT,),), is_large=True)).log.of(Given)) == 1


@pytest.mark.parametrize("is_ready", (True, False))
def test_a_hedge_waits_for_no_body(is_ready: bool) -> None:
    plan = replace(ONE, hedge=HedgeRule(0.4, 2))
    run = play(Scenario(plan, ((SILENT,),), is_ready=is_ready))
    assert len(run.log.of(Given)) == (3 if is_ready else 1)


def test_a_hedge_that_cannot_be_is_not_due_again() -> None:
    """It was, in the same instant, for ever: by then all attempts were used up."""
    machine = ExchangeMachine(replace(ONE, hedge=HedgeRule(0.4, 2), max_attempts=1), lambda: 0.0)
    machine.start(0.0)
    assert machine.hedge_due_at() == 0.4
    assert machine.hedge_due(0.3) is None
    assert machine.hedge_due_at() == 0.4
    assert machine.hedge_due(0.4) is None
    assert machine.hedge_due_at() == float("inf")


def test_silence_is_not_cut_short_where_no_attempt_is_left() -> None:
    """It was: nobody else was asked afterwards, and an answer that came in time was lost."""
    slow = Fate(head_s=20.0)
    assert end(play(Scenario(replace(TWO, max_attempts=1), ((slow,), (GOOD,))))) == ("done", 20.0)
    plan = replace(TWO, fallback=FallbackRule(frozenset({"silent"})))
    late = Fate(event_s=20.0)
    assert end(play(Scenario(replace(plan, commit="first_event"), ((late,), (GOOD,))))) == ("done", 20.0)
    assert end(play(Scenario(TWO, ((slow,), (GOOD,)), is_large=True))) == ("done", 20.0)


def test_the_last_resume_is_not_cut_short() -> None:
    fates = (Fate("body", "reset", num_pieces=0), Fate(head_s=12.0))
    assert end(play(Scenario(replace(ONE, resume_tries=1), (fates,)))) == ("done", 12.0)
    assert end(play(Scenario(replace(ONE, resume_tries=2), (fates,), random=0.0))) == ("done", 22.0)


def test_a_request_that_may_not_be_sent_twice_is_not_sent_to_resume() -> None:
    plan = replace(ONE, may_resend=False, resume_tries=2)
    run = play(Scenario(plan, ((Fate("body", "reset"), GOOD),)))
    assert len(run.log.of(Given)) == 1
    assert end(run)[0] == "reset"


@pytest.mark.parametrize(
    ("status", "report", "num_attempts", "kind"),
    (
        (503, Report.DOWN, 4, "busy"),
        (429, Report.NEUTRAL, 4, "busy"),
        (500, Report.FAILED, 4, "unhealthy_status"),
        (400, Report.NEUTRAL, 2, "unhealthy_status"),
        (409, Report.NEUTRAL, 2, "unhealthy_status"),
        (499, Report.NEUTRAL, 2, "unhealthy_status"),
        (204, Report.NEUTRAL, 2, "unhealthy_status"),
    ),
)
def test_a_resume_that_is_refused_says_of_its_target_what_the_status_says(
    status: int, report: Report, num_attempts: int, kind: str
) -> None:
    """Every status counted as the target's failure, and the request's own fault was sent again."""
    run = play(Scenario(replace(ONE, resume_tries=3), ((Fate("body", "reset"), Fate(status=status)),)))
    told = [entry.report for entry in run.log.of(Told)]
    assert told == [Report.FAILED, *[report] * (num_attempts - 1)]
    assert end(run)[0] == kind


def test_a_busy_target_is_resumed_when_it_said_so() -> None:
    fates = (Fate("body", "reset"), busy(2.0), busy(3.1), GOOD)
    run = play(Scenario(replace(ONE, resume_tries=3), (fates,), random=0.0))
    assert starts(run)[1:] == [(0, Purpose.RESUME, 0.0), (0, Purpose.RESUME, 2.0)]
    assert end(run) == ("busy", 2.0)


def test_what_was_given_up_changes_nothing() -> None:
    """Its last report committed what another attempt held back, or ended an exchange that the client had left."""
    hold = HoldRule(tokens=5)
    machine = ExchangeMachine(replace(TWO, hold=hold), lambda: 0.0)
    first = machine.start(0.0)
    assert isinstance(first, Attempt)
    machine.connected(first, 0.0)
    assert machine.answered(first, 200, 0.0) == HOLD
    second = machine.failed(first, "stalled", 1.0, has_sent=True)
    assert isinstance(second, Attempt)
    machine.connected(first, 1.0)
    assert first.phase is Phase.OVER
    assert machine.held(first, 9, 9, 1.0) == WAIT
    machine.connected(second, 1.0)
    assert machine.answered(second, 200, 1.0) == HOLD
    assert machine.held(first, 9, 9, 1.0) == WAIT
    assert (str(machine.state), second.phase) == ("holding", Phase.ANSWERING)
    machine.finished(first, 1.0)
    assert machine.running == [second]
    assert machine.held(second, 5, 9, 1.0) == COMMIT
    assert machine.held(first, 5, 9, 1.0) == WAIT
    assert machine.held(second, 6, 9, 1.0) == COMMIT
    machine.client_gone(2.0)
    machine.finished(second, 2.0)
    assert machine.held(second, 9, 9, 2.0) == WAIT
    assert machine.failed(second, "reset", 2.0, has_sent=True) == GiveUp("reset")
    assert machine.state is State.GONE


def test_a_break_is_final_unless_the_driver_says_that_it_can_be_continued() -> None:
    machine = ExchangeMachine(replace(ONE, resume_tries=2), lambda: 0.0)
    attempt = machine.start(0.0)
    assert isinstance(attempt, Attempt)
    machine.answered(attempt, 200, 0.0)
    assert machine.failed(attempt, "reset", 0.0, has_sent=True) == Break("reset")


def test_nothing_is_held_back_before_it_began() -> None:
    machine = ExchangeMachine(replace(ONE, hold=HoldRule(tokens=5)), lambda: 0.0)
    attempt = machine.start(0.0)
    assert isinstance(attempt, Attempt)
    assert machine.held(attempt, 1, 9, 0.0) == WAIT


def test_nothing_is_finished_before_it_began() -> None:
    machine = ExchangeMachine(ONE, lambda: 0.0)
    attempt = machine.start(0.0)
    assert isinstance(attempt, Attempt)
    with pytest.raises(RuntimeError, match="expected state committed or holding, got opening"):
        machine.finished(attempt, 0.0)
    assert machine.running == [attempt]


def test_a_committed_answer_is_never_exchanged_for_a_larger_context() -> None:
    plan = replace(TWO, contexts=(4096, 8192), resume_tries=1)
    machine = ExchangeMachine(plan, lambda: 0.0)
    first = machine.start(0.0)
    assert isinstance(first, Attempt)
    machine.answered(first, 200, 0.0)
    again = machine.failed(first, "reset", 0.0, has_sent=True, can_resume=True)
    assert isinstance(again, Attempt)
    assert machine.answered(again, 200, 0.0, is_too_long=True) == COMMIT
    assert machine.failed(again, "reset", 0.0, has_sent=True) == Break("reset")


def test_a_busy_target_may_be_hedged_from_the_instant_on_that_it_named() -> None:
    for retry_after_s, is_hedged in ((0.25, True), (0.3, False)):
        machine = ExchangeMachine(replace(ONE, hedge=HedgeRule(0.5, 2)), lambda: 0.0)
        first = machine.start(0.0)
        assert isinstance(first, Attempt)
        hedge = machine.hedge_due(0.5)
        assert hedge is not None
        assert machine.answered(first, 503, 0.75, retry_after_s) == WAIT
        assert machine.hedge_due_at() == 1.0
        assert (machine.hedge_due(1.0) is not None) is is_hedged


def test_what_a_busy_target_said_does_not_bind_the_next() -> None:
    machine = ExchangeMachine(TWO, lambda: 0.0)
    first = machine.start(0.0)
    assert isinstance(first, Attempt)
    second = machine.answered(first, 503, 0.0, 10.0)
    assert isinstance(second, Attempt)
    again = machine.failed(second, "reset", 0.0, has_sent=True)
    assert isinstance(again, Attempt)
    assert (again.target, again.purpose, again.at) == (1, Purpose.RETRY, 0.0)


def test_no_resume_starts_at_the_deadline() -> None:
    for deadline, is_resumed in ((1.0, False), (1.25, True)):
        retry = RetryRule(backoff_s=1.0)
        machine = ExchangeMachine(replace(ONE, deadline=deadline, retry=retry, resume_tries=2), lambda: 0.5)
        attempt = machine.start(0.0)
        assert isinstance(attempt, Attempt)
        machine.answered(attempt, 200, 0.0)
        again = machine.failed(attempt, "reset", 0.5, has_sent=True, can_resume=True)
        assert isinstance(again, Attempt)
        last = machine.failed(again, "reset", 0.5, has_sent=True, can_resume=True)
        assert isinstance(last, Attempt) is is_resumed


@pytest.mark.parametrize("late_s", (0.0, 1.0))
def test_no_fallback_starts_at_the_deadline(late_s: float) -> None:
    machine = ExchangeMachine(TWO, lambda: 0.0)
    first = machine.start(0.0)
    assert isinstance(first, Attempt)
    assert machine.failed(first, "reset", TWO.deadline + late_s, has_sent=True) == GiveUp("deadline")


def test_nothing_waits_up_to_the_deadline_itself() -> None:
    for deadline, num_attempts in ((2.0, 1), (2.5, 2)):
        plan = replace(ONE, deadline=deadline)
        assert len(play(Scenario(plan, ((busy(2.0), GOOD),))).log.of(Given)) == num_attempts
        late = replace(RESET, head_s=1.5)
        pausing = replace(plan, retry=RetryRule(backoff_s=1.0))
        assert len(play(Scenario(pausing, ((late, GOOD),), random=0.5)).log.of(Given)) == num_attempts


def test_a_retry_that_was_denied_is_not_asked_for_twice() -> None:
    run = play(Scenario(ONE, ((Fate(status=502), GOOD),), budget=0))
    assert [entry.purpose for entry in run.log.of(Asked)] == [Purpose.FIRST, Purpose.RETRY]


@pytest.mark.parametrize("is_resumable", (True, False))
def test_a_slow_answer_that_cannot_be_continued_has_all_of_its_time(is_resumable: bool) -> None:
    """It was cut after a third of the time that was left, to leave time for what could not be."""
    machine = ExchangeMachine(replace(ONE, commit="first_event", resume_tries=3), lambda: 0.0)
    if is_resumable:
        machine.is_resumable = True  # by its driver; until then it is not
    attempt = machine.start(0.0)
    assert isinstance(attempt, Attempt)
    machine.connected(attempt, 0.0)
    machine.answered(attempt, 200, 0.0)
    machine.began(attempt, 0.0)
    assert machine.timer_of(attempt) == ((10.0, "stalled") if is_resumable else (30.0, "deadline"))
    assert machine.begin_by(attempt) == (10.0 if is_resumable else float("inf"))


@pytest.mark.parametrize(
    ("on", "begin_by"), ((SILENCES, 12.0), (SILENCES - {"silent"}, float("inf")), (SILENCES | {"reset"}, 12.0))
)
def test_those_who_are_asked_later_leave_a_share_where_all_silence_leads_on(
    on: frozenset[str], begin_by: float
) -> None:
    plan = replace(TWO, timeouts=(Timeouts(),) * 3, retry=RetryRule(1), fallback=FallbackRule(on))
    machine = ExchangeMachine(plan, lambda: 0.0)
    first = machine.start(0.0)
    assert isinstance(first, Attempt)
    second = machine.failed(first, "connect_timeout", 3.0, has_sent=False)
    assert isinstance(second, Attempt)
    assert machine.begin_by(second) == begin_by
