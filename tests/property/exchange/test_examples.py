"""Single worlds, each for one rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headgate.proxy.exchange.attempt import Attempt, Phase, Purpose
from headgate.proxy.exchange.command import COMMIT, HOLD
from headgate.proxy.exchange.machine import ExchangeMachine
from headgate.proxy.exchange.plan import SILENCES, FallbackRule, HoldRule, Plan, RetryRule, Timeouts

from .examples import GOOD, ONE, RESET, SILENT, TWO, busy, end, starts
from .log import Asked, Given, Heard, Piece
from .scenario import SILENCE, Fate, Scenario
from .world import BEGUN_AT, play


def test_a_busy_target_is_waited_for_once_then_left() -> None:
    run = play(Scenario(TWO, ((busy(2.0, 429),), (GOOD,))))
    assert starts(run) == [(0, Purpose.FIRST, 0.0), (0, Purpose.RETRY, 2.0), (1, Purpose.FIRST, 2.0)]


def test_a_long_retry_after_goes_to_the_next_target_at_once() -> None:
    run = play(Scenario(TWO, ((busy(10.0),), (GOOD,))))
    assert starts(run) == [(0, Purpose.FIRST, 0.0), (1, Purpose.FIRST, 0.0)]


def test_silence_leads_to_the_next_target_after_the_head_timeout() -> None:
    plan = replace(TWO, timeouts=(Timeouts(head_s=5.0), Timeouts()))
    run = play(Scenario(plan, ((SILENT,), (GOOD,))))
    assert starts(run) == [(0, Purpose.FIRST, 0.0), (1, Purpose.FIRST, 5.0)]


def test_silence_is_cut_short_where_the_next_target_would_have_no_time_left() -> None:
    run = play(Scenario(TWO, ((SILENT,), (GOOD,))))
    assert starts(run) == [(0, Purpose.FIRST, 0.0), (1, Purpose.FIRST, 10.0)]


def test_a_stale_connection_is_replaced_by_a_fresh_one_at_once() -> None:
    run = play(Scenario(ONE, ((Fate("head", "stale_connection"), GOOD),), random=0.9))
    assert [(e.starts_at - BEGUN_AT, e.is_fresh) for e in run.log.of(Given)] == [(0.0, False), (0.0, True)]


def test_before_anything_is_asked_the_target_is_the_first() -> None:
    for plan in (TWO, replace(TWO, timeouts=()), replace(TWO, deadline=0.0)):
        machine = ExchangeMachine(plan, lambda: 0.0)
        assert (machine.target, machine.num_attempts) == (0, 0)
        machine.start(0.0)
        assert machine.target == 0


def test_what_fails_at_the_deadline_fails_of_it() -> None:
    for head_s, kind in ((29.999, "reset"), (30.0, "deadline")):
        run = play(Scenario(replace(ONE, retry=RetryRule(1)), ((replace(RESET, head_s=head_s),),)))
        assert end(run) == (kind, head_s)


# -- resume and hold-back


@pytest.mark.parametrize(("status", "held"), ((200, True), (399, True), (400, False), (404, False), (599, False)))
def test_only_an_answer_waits_for_its_first_event_and_is_held_back(status: int, held: bool) -> None:
    plan = replace(ONE, hold=HoldRule(tokens=2))
    for commit in (replace(plan, commit="first_event"), replace(plan, commit="head")):
        machine = ExchangeMachine(commit, lambda: 0.0)
        attempt = machine.start(0.0)
        assert isinstance(attempt, Attempt)
        machine.connected(attempt, 0.0)
        assert machine.answered(attempt, status, 0.0) == (HOLD if held else COMMIT)
        awaits = Phase.AWAITING_EVENT if held and commit.commit == "first_event" else Phase.ANSWERING
        assert attempt.phase is awaits


def test_each_break_has_its_tries_anew_once_the_answer_moved() -> None:
    broken = Fate("body", "reset", num_pieces=1)
    plan = replace(ONE, resume_tries=1)
    run = play(Scenario(plan, ((broken, broken, broken, GOOD),)))
    assert [purpose for _, purpose, _ in starts(run)] == [Purpose.FIRST, *[Purpose.RESUME] * 3]
    assert end(run)[0] == "done"
    assert [piece.position for piece in run.log.of(Piece)] == list(range(9))
    stuck = replace(broken, stage="head")
    assert len(play(Scenario(plan, ((broken, stuck),))).log.of(Given)) == 2


@pytest.mark.parametrize("tries", (1, 2, 3, 4))
def test_pauses_double_up_to_their_ceiling(tries: int) -> None:
    retry = RetryRule(tries, backoff_s=1.0, max_backoff_s=3.0)
    run = play(Scenario(replace(ONE, retry=retry), ((RESET,),), random=0.5))
    assert [at for _, _, at in starts(run)] == [0.0, 0.5, 1.5, 3.0][:tries]


def test_an_open_breaker_moves_its_target_behind_the_others() -> None:
    plan = replace(TWO, timeouts=(Timeouts(),) * 3, retry=RetryRule(1))
    run = play(Scenario(plan, ((GOOD,), (RESET,), (RESET,)), open=frozenset({0})))
    assert [(target, purpose) for target, purpose, _ in starts(run)] == [
        (1, Purpose.FIRST),
        (2, Purpose.FIRST),
        (0, Purpose.FORCED),
    ]


def test_where_every_breaker_is_open_the_first_target_is_asked_if_the_budget_has_it() -> None:
    both = frozenset({0, 1})
    assert starts(play(Scenario(TWO, ((GOOD,), (GOOD,)), both))) == [(0, Purpose.FORCED, 0.0)]
    run = play(Scenario(TWO, ((GOOD,), (GOOD,)), both, budget=0))
    assert end(run)[0] == "unavailable"
    assert len(run.log.of(Asked)) == 4
    assert not run.log.of(Heard)


# -- the time is shared


@pytest.mark.parametrize("silent", (SILENT, Fate("event", SILENCE), Fate("connect", "connect_timeout", connect_s=99.0)))
@pytest.mark.parametrize("count", (1, 2, 3, 4, 5, 6))
@pytest.mark.parametrize("deadline", (0.5, 5.0, 30.0, 59.0, 600.0))
def test_every_target_has_its_turn_before_the_deadline(silent: Fate, count: int, deadline: float) -> None:
    plan = Plan((Timeouts(60.0, 60.0, 60.0),) * count, deadline, True, commit="first_event", retry=RetryRule(1))
    run = play(Scenario(plan, ((silent,),) * count))
    assert [target for target, _, _ in starts(run)] == list(range(count))
    assert all(entry.starts_at < run.plan.deadline for entry in run.log.of(Given))
    last_s = run.plan.deadline - run.log.of(Given)[-1].starts_at
    assert last_s >= deadline / (count + 1) - 1e-9, "the last target has no less than the first had"


def test_the_time_is_shared_where_all_that_silence_may_be_called_leads_on() -> None:
    for on, at in ((SILENCES, 10.0), (SILENCES - {"connect"}, 30.0)):
        plan = replace(TWO, timeouts=(Timeouts(99.0, 99.0, 99.0),) * 2, fallback=FallbackRule(on))
        run = play(Scenario(plan, ((SILENT,), (GOOD,))))
        assert run.log.of(Heard)[0].at == BEGUN_AT + at


@pytest.mark.parametrize(
    ("plan", "begin_by"),
    (
        (TWO, 10.0),
        (replace(TWO, may_resend=False), float("inf")),
        (replace(TWO, fallback=FallbackRule(frozenset({"connect"}))), float("inf")),
    ),
)
def test_who_leaves_nobody_a_share_may_take_any_time_to_begin(plan: Plan, begin_by: float) -> None:
    machine = ExchangeMachine(plan, lambda: 0.0)
    attempt = machine.start(0.0)
    assert isinstance(attempt, Attempt)
    assert machine.begin_by(attempt) == begin_by
