"""Many exchanges at once over the same breakers and budget, with reloads and clients that leave."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headgate.proxy.exchange.attempt import Purpose
from headgate.proxy.exchange.gate import Report
from headgate.proxy.exchange.plan import Plan

from .laws import LAWS
from .log import Given, Told
from .scenario import seeded
from .world import NEVER, Run

NUM_TARGETS = 4
OPEN_S = 10.0
FAILURES_IN_A_ROW = 2
FLOOR = 3.0
RATIO = 0.5
# Worlds by their seeds: to draw each choice of several worlds would take longer than to play them.
seeds = st.integers(0, 1 << 20)
EXTRA = (Purpose.RETRY, Purpose.HEDGE, Purpose.RESUME, Purpose.FORCED)


class Breaker:
    """Opens after failures in a row; then one probe at a time, and none before its time."""

    def __init__(self) -> None:
        self.failures = 0
        self.open_until = -NEVER
        self.has_probe = False

    def allows(self, now: float) -> bool:
        """Whether an attempt may begin: any while closed, a single one when it is time for a probe."""
        if self.failures < FAILURES_IN_A_ROW:
            return True
        if self.has_probe or now < self.open_until:
            return False
        self.has_probe = True
        return True

    def hears(self, report: Report, now: float) -> None:
        """Learn from an attempt's end."""
        self.has_probe = False
        if report is Report.OK:
            self.failures = 0
        elif report in (Report.FAILED, Report.SILENT):
            self.failures += 1
            self.open_until = now + OPEN_S


class SharedJudge:
    """Breakers and a budget that all exchanges share."""

    def __init__(self) -> None:
        self.breakers = [Breaker() for _ in range(NUM_TARGETS)]
        self.balance = FLOOR
        self.num_extra = 0
        self.out: Counter[int] = Counter()

    def allows(self, target: int, purpose: Purpose, now: float) -> bool:
        """Ask the breaker for a first attempt, the budget for any other."""
        if purpose is Purpose.FIRST:
            is_granted = self.breakers[target].allows(now)
        else:
            is_granted = self.balance >= 1.0
            self.balance -= is_granted
            self.num_extra += is_granted
        self.out[target] += is_granted
        return is_granted

    def hears(self, target: int, purpose: Purpose, report: Report, now: float) -> None:
        """Pass on to the breaker."""
        self.out[target] -= 1
        assert self.out[target] >= 0
        if purpose is not Purpose.HEDGE or report is not Report.NEUTRAL:
            self.breakers[target].hears(report, now)


class ManyExchanges(RuleBasedStateMachine):
    """Exchanges begin, go on in turn, are left by their clients; a reload changes the plan of those to come."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.judge = SharedJudge()
        self.runs: list[Run] = []
        self.plan: Plan | None = None
        self.num_begun = 0

    @rule(seed=seeds)
    def reload(self, seed: int) -> None:
        self.plan = seeded(seed).plan

    @rule(seed=seeds)
    def begin(self, seed: int) -> None:
        scenario = seeded(seed)
        if self.plan is not None and len(self.plan.timeouts) <= len(scenario.fates):
            scenario = replace(scenario, plan=self.plan)
        self.judge.balance += RATIO
        self.num_begun += 1
        self.runs.append(Run(scenario, self.judge, self.now))

    @rule(number=st.sampled_from((1, 3, 10, 40)))
    def go_on(self, number: int) -> None:
        for _ in range(number):
            if not self.step():
                break

    def step(self) -> bool:
        """Do what comes next in any exchange."""
        due = min(self.runs, key=Run.next_at, default=None)
        if due is None or due.next_at() == NEVER:
            return False
        due.now = self.now
        due.step()
        assert due.now >= self.now
        self.now = due.now
        return True

    @precondition(lambda self: any(not run.is_ended for run in self.runs))
    @rule(index=st.integers(0, 20))
    def leave(self, index: int) -> None:
        going = [run for run in self.runs if not run.is_ended]
        run = going[index % len(going)]
        run.now = self.now
        run.leave()

    @invariant()
    def every_ticket_is_out_or_came_back(self) -> None:
        for run in self.runs:
            assert run.gate.num_out == sum(attempt.ticket is not None for attempt in run.machine.running)
        assert self.judge.out.total() == sum(run.gate.num_out for run in self.runs)

    @invariant()
    def the_budget_bounds_what_is_extra(self) -> None:
        """P6: over all exchanges, what is no target's first attempt is a part of what was asked, and a floor."""
        given = [entry for run in self.runs for entry in run.log.of(Given)]
        extra = sum(entry.purpose in EXTRA for entry in given)
        assert extra == self.judge.num_extra <= FLOOR + RATIO * self.num_begun

    def teardown(self) -> None:
        while self.step():
            pass
        for run in self.runs:
            assert run.is_ended
            for law in LAWS.values():
                law(run)
            assert len(run.log.of(Told)) == len(run.log.of(Given))
        assert self.judge.out.total() == 0
        assert not any(breaker.has_probe for breaker in self.judge.breakers), "a probe that nobody ended"


TestManyExchanges = ManyExchanges.TestCase
TestManyExchanges.settings = settings(max_examples=60, stateful_step_count=20)
