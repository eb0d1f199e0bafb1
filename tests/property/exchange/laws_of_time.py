"""Laws of time: deadlines, timers, hedges, and how long an answer is held back."""

from __future__ import annotations

from headgate.proxy.exchange.attempt import Purpose

from .law import law
from .log import Asked, Began, Committed, Ended, Given, Heard, Held, Started, Told
from .timing import due_at
from .world import NEVER, Run


@law
def nothing_starts_at_the_deadline(run: Run) -> None:
    """P2: no attempt starts at or after the deadline, none before it was given out, none before the exchange."""
    for given in run.log.of(Given):
        assert run.begun_at <= given.at <= given.starts_at < run.plan.deadline
    starts = {entry.number: entry.starts_at for entry in run.log.of(Given)}
    assert all(started.at == starts[started.number] for started in run.log.of(Started))


@law
def over_by_the_deadline(run: Run) -> None:
    """P3: whoever is silent, and for however long: the exchange is over by its deadline, and no timer is left."""
    (end,) = run.log.of(Ended)
    assert end.at <= max(run.plan.deadline, run.begun_at)


@law
def hedges_are_bounded_and_late(run: Run) -> None:
    """P15: at most so many hedges, none before its delay, each beside an attempt at the same target that may be sent
    again; whoever begins first is the one that is committed, and the others are given up."""
    rule, entries = run.plan.hedge, run.log.entries
    hedges = [entry for entry in run.log.of(Given) if entry.purpose is Purpose.HEDGE]
    assert len(hedges) <= (rule.max_hedges if rule is not None else 0)
    for hedge in hedges:
        assert rule is not None
        assert run.plan.may_resend
        assert run.scenario.is_ready
        before = entries[: entries.index(hedge)]
        over = {e.number for e in before if isinstance(e, Told)}
        assert not any(isinstance(entry, Committed | Began) and entry.number not in over for entry in before)
        beside = [e for e in before if isinstance(e, Given) and e.number not in over]
        assert beside
        assert {entry.target for entry in beside} == {hedge.target}
        assert hedge.at >= max(entry.starts_at for entry in beside) + rule.delay_s
        assert hedge.starts_at == hedge.at


@law
def a_due_hedge_is_asked_for(run: Run) -> None:
    """P15: a hedge that the plan has is asked for when it is due, and one that was denied is not asked for again."""
    rule, plan = run.plan.hedge, run.plan
    asked = [entry for entry in run.log.of(Asked) if entry.purpose is Purpose.HEDGE]
    assert all(entry.is_granted for entry in asked[:-1])
    if rule is None or not plan.may_resend or not run.scenario.is_ready or run.scenario.is_large:
        return
    running: dict[int, Given] = {}
    num_given = num_asked = 0
    changed_at = run.begun_at
    for entry in run.log.entries:
        if isinstance(entry, Committed | Ended) or (isinstance(entry, Heard) and entry.retry_after_s is not None):
            return
        due_at = max((given.starts_at for given in running.values()), default=NEVER) + rule.delay_s
        if num_asked < rule.max_hedges and num_given < plan.max_attempts and due_at < plan.deadline:
            assert entry.at <= max(due_at, changed_at), f"a hedge was due at {due_at}"
        if isinstance(entry, Given):
            running[entry.number], changed_at = entry, entry.at
            num_given += 1
        elif isinstance(entry, Told):
            running.pop(entry.number, None)
            changed_at = entry.at
        elif isinstance(entry, Began):
            running = {}
        elif isinstance(entry, Asked) and entry.purpose is Purpose.HEDGE:
            num_asked = num_asked + 1 if entry.is_granted else rule.max_hedges


@law
def hold_back_keeps_its_rule(run: Run) -> None:
    """Of what is held back nothing is committed before the rule says so, and nothing is kept once it does."""
    rule, began_at = run.plan.hold, {entry.number: entry.at for entry in run.log.of(Began)}
    for entry in run.log.of(Held):
        assert rule is not None
        due_at = began_at[entry.number] + rule.span_s if rule.span_s and not rule.is_whole else NEVER
        is_reached = 0 < rule.tokens <= entry.num_tokens or entry.size_bytes >= rule.cap_bytes
        assert entry.is_enough is (is_reached or entry.at >= due_at)
        assert entry.at <= due_at
    if rule is not None:
        first = next((e for e in run.log.of(Committed)), None)
        enough = [entry.number for entry in run.log.of(Held) if entry.is_enough]
        assert first is None or first.status >= 400 or enough == [first.number]


@law
def timers_fire_when_due(run: Run) -> None:
    """P3, shares: silence ends an attempt at its timeout, at its share of the time, or at the deadline, what is first:
    at its share only where another attempt could still follow."""
    entries = run.log.entries
    for index, heard in enumerate(entries):
        if isinstance(heard, Heard) and heard.is_by_timer:
            at, kinds = due_at(run, entries[:index], heard)
            assert heard.at == max(at, entries[index - 1].at), f"{heard.kind} at {heard.at}, expected at {at}"
            assert heard.kind in kinds
