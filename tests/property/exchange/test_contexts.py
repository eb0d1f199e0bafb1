"""Prompts that are too long: who is asked next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headgate.proxy.exchange.attempt import Purpose
from headgate.proxy.exchange.gate import Report
from headgate.proxy.exchange.plan import HedgeRule, Plan, RetryRule, Timeouts

from .examples import GOOD, RESET, SILENT, end, starts
from .log import Aborted, Told
from .scenario import Fate, Scenario
from .world import play

TOO_LONG = Fate(status=400, is_too_long=True)
GROWING = Plan((Timeouts(),) * 4, 30.0, True, contexts=(4096, None, 8192, 32768), retry=RetryRule(1))


def test_a_prompt_that_is_too_long_goes_on_to_the_next_larger_context_once() -> None:
    run = play(Scenario(GROWING, ((TOO_LONG,), (GOOD,), (GOOD,), (GOOD,))))
    assert [target for target, _, _ in starts(run)] == [0, 2]
    assert [entry.report for entry in run.log.of(Told)] == [Report.NEUTRAL, Report.OK]
    again = play(Scenario(GROWING, ((TOO_LONG,), (GOOD,), (TOO_LONG,), (GOOD,))))
    assert [target for target, _, _ in starts(again)] == [0, 2]
    assert end(again)[0] == "done", "the client gets the second target's own words"


def test_whoever_took_over_a_long_prompt_is_followed_by_larger_contexts_only() -> None:
    plan = replace(GROWING, contexts=(4096, 32768, None, 2048))
    run = play(Scenario(plan, ((TOO_LONG,), (RESET,), (GOOD,), (GOOD,))))
    assert [target for target, _, _ in starts(run)] == [0, 1]
    run = play(Scenario(plan, ((TOO_LONG,), (GOOD,), (GOOD,), (GOOD,)), open=frozenset({1})))
    assert [(target, purpose) for target, purpose, _ in starts(run)] == [(0, Purpose.FIRST), (1, Purpose.FORCED)]


@pytest.mark.parametrize(
    "plan",
    (
        replace(GROWING, may_resend=False),
        replace(GROWING, max_attempts=1),
        replace(GROWING, is_fallback_allowed=False),
        replace(GROWING, contexts=()),
        replace(GROWING, contexts=(4096,)),
        replace(GROWING, contexts=(4096, None, 4096, 2048)),
        replace(GROWING, contexts=(None, 8192, 8192, 8192)),
    ),
)
def test_without_leave_or_a_larger_context_the_refusal_is_passed_on(plan: Plan) -> None:
    run = play(Scenario(plan, ((TOO_LONG,), (GOOD,), (GOOD,), (GOOD,))))
    assert [target for target, _, _ in starts(run)] == [0]
    assert end(run)[0] == "done"
    assert [entry.report for entry in run.log.of(Told)] == [Report.OK]


def test_a_target_that_was_passed_over_may_take_the_long_prompt() -> None:
    plan = replace(GROWING, contexts=(32768, 4096, 2048, 8192))
    run = play(Scenario(plan, ((GOOD,), (TOO_LONG,), (GOOD,), (RESET,)), open=frozenset({0})))
    assert [(target, purpose) for target, purpose, _ in starts(run)] == [
        (1, Purpose.FIRST),
        (3, Purpose.FIRST),
        (0, Purpose.FORCED),
    ]


def test_a_long_prompt_takes_its_hedge_along() -> None:
    plan = replace(GROWING, hedge=HedgeRule(0.4))
    slow = replace(TOO_LONG, head_s=1.0)
    run = play(Scenario(plan, ((slow, SILENT), (GOOD,), (GOOD,), (GOOD,))))
    assert [(target, purpose) for target, purpose, _ in starts(run)] == [
        (0, Purpose.FIRST),
        (0, Purpose.HEDGE),
        (2, Purpose.FIRST),
    ]
    assert [entry.number for entry in run.log.of(Aborted)] == [2]


def test_a_smaller_context_is_not_asked_for_a_long_prompt_even_where_nobody_else_is_left() -> None:
    plan = replace(GROWING, timeouts=(Timeouts(),) * 3, contexts=(2048, 4096, 8192))
    run = play(Scenario(plan, ((GOOD,), (TOO_LONG,), (RESET,)), open=frozenset({0})))
    assert [target for target, _, _ in starts(run)] == [1, 2]
