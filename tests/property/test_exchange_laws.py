"""Laws of the exchange machine, over arbitrary plans and fault schedules, on a virtual clock."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from headgate.proxy.exchange.machine import ENDED, Attempt, Break, Command, Commit, ExchangeMachine, GiveUp, Hold, State
from headgate.proxy.exchange.plan import BUSY_STATUSES, CAUSES, FallbackRule, Plan, RetryRule, Timeouts

PASSED_ON = (400, 401, 403, 404, 413, 422)
STATUSES = (200, 204, 302, 429, 500, 501, 502, 503, 504, 529, *PASSED_ON)
CONNECT = ("connect_failed", "connect_timeout", "tls_failed", "pool_full")
BEFORE_HEAD = ("reset", "stale_connection", "malformed_answer", "answer_too_large", "silent")
BEFORE_EVENT = ("truncated", "error_event", "first_event_timeout", "malformed_answer")
IN_BODY = ("truncated", "stalled", "malformed_answer")


@dataclass(frozen=True)
class Fate:
    """What one attempt meets: where it ends, how, and after how long."""

    stage: str
    kind: str = ""
    status: int = 200
    retry_after_s: float | None = None
    takes_s: float = 0.0
    is_replayable: bool = True


@dataclass
class Trace:
    """What a driver saw."""

    attempts: list[tuple[int, float, bool]] = field(default_factory=list)
    causes: list[tuple[int, str, int, bool, bool]] = field(
        default_factory=list
    )  # target, kind, status, sent, replayable
    commits: int = 0
    after_commit: int = 0
    end: str = ""
    ended_at: float = 0.0


spans = st.sampled_from((0.0, 0.001, 0.4, 2.9, 3.0, 3.1, 10.0, 61.0))
fates = st.one_of(
    st.builds(Fate, st.just("connect"), st.sampled_from(CONNECT), takes_s=spans),
    st.builds(Fate, st.just("head"), st.sampled_from(BEFORE_HEAD), takes_s=spans, is_replayable=st.booleans()),
    st.builds(
        Fate,
        st.just("status"),
        status=st.sampled_from(STATUSES),
        retry_after_s=st.none() | spans,
        takes_s=spans,
        is_replayable=st.booleans(),
    ),
    st.builds(Fate, st.just("event"), st.sampled_from(BEFORE_EVENT), takes_s=spans, is_replayable=st.booleans()),
    st.builds(Fate, st.just("body"), st.sampled_from(IN_BODY), takes_s=spans),
    st.builds(Fate, st.just("good"), takes_s=spans),
)
some_statuses = st.frozensets(st.sampled_from((500, 501, 502, 503, 504, 529)))
plans = st.builds(
    Plan,
    timeouts=st.lists(st.builds(Timeouts, *([st.sampled_from((1.0, 5.0, 60.0))] * 3)), min_size=0, max_size=4).map(
        tuple
    ),
    deadline=st.sampled_from((0.0, 0.5, 5.0, 30.0, 600.0)),
    may_resend=st.booleans(),
    is_fallback_allowed=st.booleans(),
    max_attempts=st.integers(1, 8),
    busy_wait_s=st.sampled_from((0.0, 3.0)),
    commit=st.sampled_from(("head", "first_event")),
    retry=st.builds(
        RetryRule,
        st.integers(1, 4),
        st.frozensets(st.sampled_from(("connect", "reset", "status", "malformed", "error_event"))),
        some_statuses,
        st.sampled_from((0.0, 0.025, 2.0)),
    ),
    fallback=st.builds(FallbackRule, st.frozensets(st.sampled_from(sorted(set(CAUSES.values())))), some_statuses),
)


def drive(plan: Plan, schedule: list[Fate], random: float) -> Trace:
    """Run one exchange against a schedule; the last fate repeats."""
    machine, trace, now = ExchangeMachine(plan, lambda: random), Trace(), 0.0
    command = machine.start(now)
    fate_number = 0
    while isinstance(command, Attempt):
        assert machine.state not in ENDED
        now = max(now, command.at)
        machine.connecting_again(now)
        trace.attempts.append((command.target, now, command.is_fresh))
        fate = schedule[min(fate_number, len(schedule) - 1)]
        fate_number += 1
        command, now = meet(machine, trace, fate, now, plan)
    trace.end = command.kind if isinstance(command, GiveUp | Break) else "done"
    trace.ended_at = now
    assert machine.state in ENDED
    assert machine.num_attempts == len(trace.attempts)
    return trace


def meet(machine: ExchangeMachine, trace: Trace, fate: Fate, now: float, plan: Plan) -> tuple[Command, float]:
    """Report one attempt's fate as a driver would, the timer included."""

    def fail(kind: str, at: float, *, has_sent: bool) -> tuple[Command, float]:
        trace.causes.append((machine.target, kind, 0, has_sent, fate.is_replayable))
        return machine.failed(kind, at, has_sent=has_sent, is_replayable=fate.is_replayable), at

    def wait(then: float) -> tuple[float, str | None]:
        instant, kind = machine.timer()
        return (instant, kind) if instant <= then else (then, None)

    if fate.stage == "connect":
        now, expired = wait(now + fate.takes_s)
        return fail(expired or fate.kind, now, has_sent=False)
    machine.connected(now)
    now, expired = wait(now + fate.takes_s)
    if expired or fate.stage == "head":
        return fail(expired or fate.kind, now, has_sent=True)
    target = machine.target
    command = machine.answered(fate.status, now, retry_after_s=fate.retry_after_s, is_replayable=fate.is_replayable)
    if isinstance(command, Attempt):
        kind = "busy" if fate.status in BUSY_STATUSES else "unhealthy_status"
        trace.causes.append((target, kind, fate.status, True, fate.is_replayable))
        return command, now
    if isinstance(command, Hold):
        if fate.stage == "event":
            return fail(fate.kind, now, has_sent=True)
        command = machine.began(now)
    assert isinstance(command, Commit)
    trace.commits += 1
    if fate.stage in ("body", "event"):
        now, expired = wait(now + fate.takes_s)
        broken = machine.failed(expired or fate.kind, now, has_sent=True)
        assert isinstance(broken, Break)
        return broken, now
    machine.finished()
    return command, now


schedules = st.lists(fates, min_size=1, max_size=9)


@settings(max_examples=300, deadline=None)
@given(plans, schedules, st.floats(0, 0.999))
@example(Plan((Timeouts(),), 30.0, False), [Fate("head", "stale_connection"), Fate("good")], 0.5)
def test_every_law_holds_under_any_schedule(plan: Plan, schedule: list[Fate], random: float) -> None:
    trace = drive(plan, schedule, random)
    # One terminal outcome, at most one commit, nothing attempted after it.
    assert trace.commits <= 1
    assert trace.end
    # Never an attempt at or after the deadline; attempts are bounded per exchange and per target.
    assert all(at < plan.deadline for _, at, _ in trace.attempts)
    assert len(trace.attempts) <= plan.max_attempts
    for target in range(len(plan.timeouts)):
        tried = [index for index, _, _ in trace.attempts if index == target]
        assert len(tried) <= plan.retry.tries_per_target + 1  # one more after a wait that a busy target asked for
    # Targets in order, none skipped, none gone back to.
    order = [target for target, _, _ in trace.attempts]
    assert order == sorted(order)
    assert set(order) == set(range(order[-1] + 1)) if order else True
    for number, (target, kind, status, has_sent, is_replayable) in enumerate(trace.causes[: len(order) - 1]):
        check_cause(plan, order[number + 1] != target, kind, status, has_sent, is_replayable)


def check_cause(plan: Plan, is_fallback: bool, kind: str, status: int, has_sent: bool, is_replayable: bool) -> None:
    """A further attempt had a cause that the plan names, and sends nothing twice that may not be."""
    assert is_replayable
    assert plan.may_resend or not has_sent
    assert status not in PASSED_ON
    cause = CAUSES[kind]
    if is_fallback:
        assert plan.is_fallback_allowed
        assert cause in plan.fallback.on
        assert kind != "unhealthy_status" or status in plan.fallback.statuses
    else:
        assert cause not in ("silent", "first_event"), "silence is never retried on the same target"
        assert cause == "busy" or cause in plan.retry.on


@settings(max_examples=300, deadline=None)
@given(plans, schedules, st.floats(0, 0.999))
def test_the_same_schedule_gives_the_same_trace(plan: Plan, schedule: list[Fate], random: float) -> None:
    assert drive(plan, schedule, random) == drive(plan, schedule, random)


@settings(max_examples=300, deadline=None)
@given(plans, schedules)
def test_an_exchange_ends_by_its_deadline_but_for_a_committed_answer(plan: Plan, schedule: list[Fate]) -> None:
    trace = drive(plan, schedule, 0.5)
    assert trace.ended_at <= max(plan.deadline, 0.0) or trace.commits


@given(st.sampled_from(PASSED_ON), plans.filter(lambda plan: plan.timeouts and plan.deadline > 0))
def test_the_clients_own_fault_is_passed_on_after_one_attempt(status: int, plan: Plan) -> None:
    trace = drive(plan, [Fate("status", status=status)], 0.0)
    assert len(trace.attempts) == 1
    assert trace.end == "done"


@given(plans.filter(lambda plan: len(plan.timeouts) > 1 and plan.deadline > 0), schedules)
def test_without_fallback_one_target_is_used(plan: Plan, schedule: list[Fate]) -> None:
    if not plan.is_fallback_allowed:
        assert {target for target, _, _ in drive(plan, schedule, 0.0).attempts} == {0}


def test_a_busy_target_is_waited_for_once_then_left() -> None:
    plan = Plan((Timeouts(), Timeouts()), 30.0, True)
    busy = Fate("status", status=429, retry_after_s=2.0)
    trace = drive(plan, [busy, busy, Fate("good")], 0.0)
    assert [(target, at) for target, at, _ in trace.attempts] == [(0, 0.0), (0, 2.0), (1, 2.0)]


def test_a_long_retry_after_goes_to_the_next_target_at_once() -> None:
    plan = Plan((Timeouts(), Timeouts()), 30.0, True)
    trace = drive(plan, [Fate("status", status=503, retry_after_s=10.0), Fate("good")], 0.0)
    assert [(target, at) for target, at, _ in trace.attempts] == [(0, 0.0), (1, 0.0)]


def test_silence_leads_to_the_next_target_after_the_head_timeout() -> None:
    plan = Plan((Timeouts(head_s=5.0), Timeouts()), 30.0, True)
    trace = drive(plan, [Fate("status", takes_s=61.0), Fate("good")], 0.0)
    assert [(target, at) for target, at, _ in trace.attempts] == [(0, 0.0), (1, 5.0)]


def test_a_stale_connection_is_replaced_by_a_fresh_one_at_once() -> None:
    plan = Plan((Timeouts(),), 30.0, True)
    trace = drive(plan, [Fate("head", "stale_connection"), Fate("good")], 0.9)
    assert trace.attempts == [(0, 0.0, False), (0, 0.0, True)]


def test_an_ended_exchange_stays_ended() -> None:
    machine = ExchangeMachine(Plan((), 1.0, True), lambda: 0.0)
    machine.client_gone()
    machine.client_gone()
    assert machine.state is State.GONE
