"""A plan for another request is the same but for its deadline."""

from __future__ import annotations

from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from headgate.proxy.exchange.plan import BUSY_STATUSES, FallbackRule, Plan, RetryRule, Timeouts

from .scenario import draw_plan, drawn

PLANS = drawn(lambda pick: draw_plan(pick, "any", False))


@given(PLANS, st.floats(0, 1e9))
def test_at_another_deadline_everything_else_is_the_same(plan: Plan, deadline: float) -> None:
    before = replace(plan)
    other = plan.at(deadline)
    assert other == replace(plan, deadline=deadline)
    assert all(getattr(other, name) == getattr(plan, name) for name in NAMES - {"deadline"})
    assert plan == before, "the one it was made from stays as it was"


NAMES = {field.name for field in fields(Plan)}


@given(PLANS, st.integers(100, 599))
def test_faults_are_the_statuses_that_some_rule_names(plan: Plan, status: int) -> None:
    is_busy = status in BUSY_STATUSES
    is_named = status in plan.retry.statuses or status in plan.fallback.statuses
    assert plan.fault_of(status) == ("busy" if is_busy else "unhealthy_status" if is_named else None)
    assert (status in plan.faults) is (is_busy or is_named)


def test_only_who_could_be_asked_after_silence_counts_as_another() -> None:
    plan = Plan((Timeouts(),) * 4, 1.0, True)
    assert plan.max_fallbacks == 3
    assert replace(plan, max_attempts=2).max_fallbacks == 1
    assert replace(plan, is_fallback_allowed=False).max_fallbacks == 0
    assert replace(plan, fallback=FallbackRule(frozenset({"connect", "silent"}))).max_fallbacks == 0
    assert replace(plan, retry=RetryRule(statuses=frozenset({418}))).faults >= {418, 429, 503}
