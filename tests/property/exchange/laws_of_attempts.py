"""Laws of the attempts of an exchange: who is asked, why, how often, and in which order."""

from __future__ import annotations

from collections import Counter

from headgate.proxy.exchange.attempt import Purpose
from headgate.proxy.exchange.plan import CAUSES
from headgate.proxy.exchange.states import State

from .law import law
from .log import Asked, Committed, Given, Heard, Told
from .reckoning import BUSY, Reckoning, kind_of
from .scenario import PASSED_ON
from .world import Run


@law
def fallback_only_for_cause(run: Run) -> None:
    """P4: another target is asked only after a failure that the plan names as a cause, or for a larger context."""
    for given in run.log.of(Given):
        heard = given.after
        if heard is None or heard.target == given.target:
            continue
        assert run.plan.is_fallback_allowed
        kind = kind_of(run.plan, heard)
        if kind:
            assert CAUSES[kind] in run.plan.fallback.on
            assert kind != "unhealthy_status" or heard.status in run.plan.fallback.statuses
        else:
            assert heard.is_too_long


@law
def retry_only_for_cause(run: Run) -> None:
    """P4: the same target is asked again only after a failure that the plan names, or when it said so itself."""
    for given in run.log.of(Given):
        heard = given.after
        if given.purpose is not Purpose.RETRY:
            continue
        assert heard is not None
        assert heard.target == given.target
        if heard.retry_after_s is not None and 0 < run.plan.busy_wait_s >= heard.retry_after_s:
            continue
        if heard.status:
            assert "status" in run.plan.retry.on
            assert heard.status in run.plan.retry.statuses
        else:
            assert CAUSES[heard.kind] in run.plan.retry.on


@law
def attempts_are_bounded(run: Run) -> None:
    """P5: attempts are bounded for the exchange, and for each target."""
    plan, given = run.plan, run.log.of(Given)
    assert len(given) <= plan.max_attempts
    assert run.machine.num_attempts == len(given) == sum(asked.is_granted for asked in run.log.of(Asked))
    assert [entry.number for entry in given] == list(range(1, len(given) + 1))
    assert len(run.machine.failures) <= len(given) + 1  # a status that is passed on may break off as well
    for target in range(len(plan.timeouts)):
        purposes = Counter(entry.purpose for entry in given if entry.target == target)
        assert purposes[Purpose.FIRST] + purposes[Purpose.FORCED] <= 1
        assert purposes[Purpose.RETRY] <= plan.retry.tries_per_target  # one of them after a wait that was asked for


@law
def targets_in_order(run: Run) -> None:
    """P5: breakers are asked in the plan's order, each once; who was refused is asked all the same after the others."""
    firsts = [entry.target for entry in run.log.of(Asked) if entry.purpose is Purpose.FIRST]
    assert firsts == sorted(set(firsts))
    assert not firsts or firsts[0] == 0
    refused = [e.target for e in run.log.of(Asked) if e.purpose is Purpose.FIRST and not e.is_granted]
    forced = [entry.target for entry in run.log.of(Asked) if entry.purpose is Purpose.FORCED]
    assert forced == sorted(set(forced))
    assert set(forced) <= set(refused)
    if forced and run.plan.is_fallback_allowed and not any(e.is_too_long for e in run.log.of(Heard)):
        assert firsts == list(range(len(run.plan.timeouts)))
    purposes = [e.purpose for e in run.log.of(Asked) if e.purpose in (Purpose.FIRST, Purpose.FORCED)]
    assert purposes == [Purpose.FIRST] * len(firsts) + [Purpose.FORCED] * len(forced)


@law
def nothing_is_sent_twice_without_leave(run: Run) -> None:
    """P7: once bytes of the request went out, none go out again without permission, or without the body."""
    is_sent = is_gone = False
    for entry in run.log.entries:
        if isinstance(entry, Given):
            assert not is_gone, "the body is gone"
            assert run.plan.may_resend or not is_sent, "not permitted"
        elif isinstance(entry, Heard):
            is_sent |= entry.has_sent
            is_gone |= not entry.is_replayable


@law
def the_clients_own_fault_passes(run: Run) -> None:
    """P8: a status that says that the request is at fault is passed on at once, and nobody else is asked."""
    entries = run.log.entries
    for index, entry in enumerate(entries):
        if not isinstance(entry, Heard) or entry.status not in PASSED_ON or entry.state is State.RESUMING:
            continue
        later = entries[index + 1 :]
        if entry.is_too_long and any(isinstance(after, Given) and after.after == entry for after in later):
            continue
        assert any(isinstance(after, Committed) and after.number == entry.number for after in later)
        assert not any(isinstance(after, Given) and after.purpose is not Purpose.RESUME for after in later)


@law
def retry_after_is_kept(run: Run) -> None:
    """P9: no target is asked again before the instant that it named itself, by a retry, a hedge or a resume."""
    free_at: dict[int, float] = {}
    for entry in run.log.entries:
        if isinstance(entry, Heard) and entry.status in BUSY and entry.retry_after_s is not None:
            free_at[entry.target] = max(free_at.get(entry.target, 0.0), entry.at + entry.retry_after_s)
        elif isinstance(entry, Given):
            assert entry.starts_at >= free_at.get(entry.target, 0.0)


@law
def growth_is_once_and_up(run: Run) -> None:
    """A prompt that is too long goes on at most once, to targets that declare a larger context than the first one."""
    grown = [e for e in run.log.of(Given) if e.after is not None and not kind_of(run.plan, e.after)]
    assert len(grown) <= 1
    for entry in grown:
        assert entry.after is not None
        assert entry.after.is_too_long
        used = run.plan.contexts[entry.after.target]
        assert used is not None
        for later in run.log.of(Given):
            if later.number >= entry.number:
                assert (run.plan.contexts[later.target] or 0) > used


@law
def silence_is_never_retried(run: Run) -> None:
    """Silence, to the head or to the first event, is never followed by another attempt at the same target."""
    for given in run.log.of(Given):
        heard = given.after
        if heard is not None and heard.kind in ("silent", "first_event_timeout") and heard.state is State.OPENING:
            assert given.target != heard.target


@law
def whatever_may_follow_follows(run: Run) -> None:
    """P4, P5: what follows on a failure is exactly what the rules name, in their order, as the gate grants it."""
    entries = run.log.entries
    for index, heard in enumerate(entries):
        if not isinstance(heard, Heard):
            continue
        expected = Reckoning(run.scenario, run.plan, entries[:index], heard).candidates()
        asked: list[Asked] = []
        given: Given | None = None
        for entry in entries[index + 1 :]:
            if isinstance(entry, Asked) and entry.purpose is not Purpose.HEDGE:
                asked.append(entry)
            elif isinstance(entry, Given) and entry.after == heard:
                given = entry
            elif isinstance(entry, Heard):
                break
        wanted = [(candidate.target, candidate.purpose) for candidate in expected[: len(asked)]]
        assert [(entry.target, entry.purpose) for entry in asked] == wanted, f"after {heard}"
        if given is None:
            assert len(asked) == len(expected), f"after {heard}: {expected[len(asked) :]} was not asked for"
            continue
        taken = expected[len(asked) - 1]
        assert (given.starts_at, given.is_fresh) == (taken.at, taken.is_fresh)


@law
def the_start_asks_until_one_may_begin(run: Run) -> None:
    """P5: an exchange starts at the first target whose breaker admits it, else at the first that may be forced."""
    plan = run.plan
    if run.scenario.gone_after == 0 or run.begun_at >= plan.deadline:
        assert not run.log.of(Asked)
        return
    count = len(plan.timeouts) if plan.is_fallback_allowed else min(1, len(plan.timeouts))
    wanted = [(target, purpose) for purpose in (Purpose.FIRST, Purpose.FORCED) for target in range(count)]
    asked = run.log.of(Asked)
    number = next((number for number, entry in enumerate(asked, 1) if entry.is_granted), len(wanted))
    assert [(entry.target, entry.purpose) for entry in asked[:number]] == wanted[:number]


@law
def one_target_at_a_time(run: Run) -> None:
    """P15: whatever runs at the same time runs at the same target: nobody is asked while another one may answer."""
    running: dict[int, int] = {}
    for entry in run.log.entries:
        if isinstance(entry, Told):
            running.pop(entry.number)
        elif isinstance(entry, Given):
            assert set(running.values()) <= {entry.target}
            running[entry.number] = entry.target
