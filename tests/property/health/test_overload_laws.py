"""What is answered of a load that is too much, where a target that is full says 503 and no more.

The exchange machine, breakers and budgets, between requests that come at their instants and targets with so many slots
and so long a queue, on a virtual clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.proxy.exchange.attempt import FIRST, Attempt
from headgate.proxy.exchange.command import Commit, GiveUp
from headgate.proxy.exchange.gate import OPEN_GATE, Report
from headgate.proxy.exchange.machine import ExchangeMachine
from headgate.proxy.exchange.plan import Plan, Timeouts
from headgate.proxy.upstream.cluster import Cluster, ClusterSettings
from headgate.proxy.upstream.endpoint import Endpoint
from headgate.proxy.upstream.gate import ClusterGate
from headgate.proxy.upstream.health.breaker import BreakerState
from headgate.proxy.verdicts import Target

from ...virtual_clock import run

REFUSAL_S = 0.001
PATIENCE_S = 60.0


@dataclass
class Service:
    """A target with so many slots. `refuses` says when it takes nothing at all."""

    num_slots: int
    num_waiting: int
    service_s: float
    refuses: Callable[[float], bool] = lambda now: False
    num_busy: int = 0
    worked_s: list[tuple[float, float]] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.slots = asyncio.Semaphore(self.num_slots)

    async def ask(self) -> int:
        """Return the status, once it is there."""
        loop = asyncio.get_running_loop()
        self.asked.append(loop.time())
        if self.refuses(loop.time()) or self.num_busy >= self.num_slots + self.num_waiting:
            await asyncio.sleep(REFUSAL_S)
            return 503
        self.num_busy += 1
        try:
            async with self.slots:
                begun_s = loop.time()
                await asyncio.sleep(self.service_s)
                self.worked_s.append((begun_s, loop.time()))
        finally:
            self.num_busy -= 1
        return 200

    def worked_between(self, begin_s: float, end_s: float) -> float:
        """Return for how long its slots worked then, together."""
        return sum(max(min(end, end_s) - max(begin, begin_s), 0.0) for begin, end in self.worked_s)


@dataclass
class Stand:
    """Targets, and all that is remembered of them; without a memory whatever is tried may be."""

    services: list[Service]
    seed: int = 0
    has_memory: bool = True

    def __post_init__(self) -> None:
        self.random, self.arrivals = Random(self.seed), Random(self.seed)
        self.targets = [Target(f"t{number}") for number in range(len(self.services))]
        self.clusters = {
            target.cluster: Cluster(ClusterSettings(target.cluster, (Endpoint("127.0.0.1", 1),)), self.random.random)
            for target in self.targets
        }

    def state(self, number: int) -> BreakerState:
        return self.clusters[f"t{number}"].breaker(None).state(asyncio.get_running_loop().time())

    async def exchange(self) -> bool:
        """Make one; return whether it was answered."""
        loop = asyncio.get_running_loop()
        plan = Plan(tuple(Timeouts() for _ in self.services), loop.time() + PATIENCE_S, may_resend=True)
        gate = ClusterGate(self.targets, self.clusters) if self.has_memory else OPEN_GATE
        machine = ExchangeMachine(plan, self.random.random, gate)
        command = machine.start(loop.time())
        while isinstance(command, Attempt):
            attempt = command
            await asyncio.sleep(attempt.at - loop.time())
            machine.connected(attempt, loop.time())
            status = await self.services[attempt.target].ask()
            command = machine.answered(attempt, status, loop.time())
            if isinstance(command, Commit):
                machine.finished(attempt, loop.time())
                return status == 200
        assert isinstance(command, GiveUp)
        return False

    async def load(self, per_s: float, seconds: float) -> list[bool]:
        """Let requests come without regard to each other."""
        loop = asyncio.get_running_loop()
        until, tasks = loop.time() + seconds, []
        while loop.time() < until:
            tasks.append(asyncio.create_task(self.exchange()))
            await asyncio.sleep(self.arrivals.expovariate(per_s))
        return list(await asyncio.gather(*tasks))


async def used(stand: Stand, factor: float) -> tuple[float, set[BreakerState]]:
    """Let `factor` times too much come; return what share of the slots' time is used, and how the breakers stood."""
    loop, services = asyncio.get_running_loop(), stand.services
    service_s, num_slots = services[0].service_s, sum(service.num_slots for service in services)
    begin_s, end_s = 4 * service_s, 10 * service_s + 3  # all are full by the one
    states: set[BreakerState] = set()
    loading = asyncio.create_task(stand.load(factor * num_slots / service_s, end_s))
    while loop.time() < end_s:
        await asyncio.sleep(0.1)
        states |= {stand.state(number) for number in range(len(services))}
    await loading
    return sum(service.worked_between(begin_s, end_s) for service in services) / (end_s - begin_s) / num_slots, states


@given(
    num_targets=st.integers(1, 3),
    num_slots=st.integers(2, 6),
    service_s=st.sampled_from((0.1, 0.4, 2.0, 10.0)),
    factor=st.sampled_from((1.3, 2.0, 3.0)),
    seed=st.integers(0, 99),
)
@settings(max_examples=15, deadline=None)
def test_targets_that_are_full_are_used_as_if_nothing_were_remembered(
    num_targets: int, num_slots: int, service_s: float, factor: float, seed: int
) -> None:
    """Almost, since tries are bounded over all exchanges; and no breaker opens for it."""

    def share(has_memory: bool) -> tuple[float, set[BreakerState]]:
        async def main() -> tuple[float, set[BreakerState]]:
            services = [Service(num_slots, num_slots, service_s) for _ in range(num_targets)]
            return await used(Stand(services, seed, has_memory), factor)

        return run(main())

    (remembered, states), (most, _) = share(True), share(False)
    assert remembered >= 0.85 * most
    assert states == {BreakerState.CLOSED}


@pytest.mark.parametrize("factor", [1.3, 2.0])
def test_an_overload_leaves_most_of_two_targets_in_use(factor: float) -> None:
    async def main() -> tuple[float, set[BreakerState]]:
        return await used(Stand([Service(6, 6, 0.06), Service(6, 6, 0.05)]), factor)

    share, states = run(main())
    assert share >= 0.85
    assert states == {BreakerState.CLOSED}


@given(per_s=st.sampled_from((20.0, 60.0, 150.0)), num_targets=st.integers(1, 2), seed=st.integers(0, 99))
@settings(max_examples=8, deadline=None)
def test_targets_that_only_refuse_are_asked_no_more_than_the_floor(per_s: float, num_targets: int, seed: int) -> None:
    """From the second on that it takes to see it. Once they are well the first attempt shows it."""
    well_at = 31.0

    async def main() -> tuple[list[Service], list[bool]]:
        services = [Service(1000, 0, 0.05, lambda now: now < well_at) for _ in range(num_targets)]
        stand = Stand(services, seed)
        await stand.load(per_s, well_at)
        return services, await stand.load(per_s, 5.0)

    services, answers = run(main())
    for service in services:
        # As for any that is out of order: ten a second from the budget and ten from the reserve, and the probes.
        late = [at for at in service.asked if 11.5 <= at < 31.0]
        assert len(late) <= 20 * (31 - 11.5) + 3
    assert sum(answers) >= 0.85 * len(answers)


@given(st.lists(st.sampled_from((0.001, 0.05, 0.3)), min_size=1, max_size=4), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_a_target_at_work_is_not_out_of_order_for_what_it_refuses(gaps_s: list[float], seed: int) -> None:
    """However long its work takes: what it took before is still under way."""

    async def main() -> BreakerState:
        stand = Stand([Service(1, 0, 30.0)], seed)
        first = asyncio.create_task(stand.exchange())
        await asyncio.sleep(0)
        for number in range(60):
            assert not await stand.exchange()
            await asyncio.sleep(gaps_s[number % len(gaps_s)])
        state = stand.state(0)
        assert await first
        return state

    assert run(main()) is BreakerState.CLOSED


def test_the_end_of_that_work_by_a_fault_is_no_sign_of_life() -> None:
    """Two began, the target breaks, and refuses from then on."""
    stand = Stand([])
    cluster = Cluster(ClusterSettings("t", (Endpoint("127.0.0.1", 1),)), stand.random.random)
    gate, breaker = ClusterGate((Target("t"),), {"t": cluster}), cluster.breaker(None)

    def begin(now: float) -> Attempt:
        machine_ticket = gate.admit(0, FIRST, now)
        assert machine_ticket is not None
        return Attempt(1, 0, now, FIRST, machine_ticket)

    before, gone = begin(0.0), begin(0.0)
    for now in (1.0, 1.5, 2.5, 3.0):
        gate.ended(begin(now), Report.DOWN, now)
        assert breaker.state(now) is BreakerState.CLOSED
    gate.ended(before, Report.FAILED, 3.0)
    gate.ended(begin(3.1), Report.DOWN, 3.1)
    assert breaker.state(3.1) is BreakerState.CLOSED
    gate.ended(gone, Report.NEUTRAL, 3.2)
    gate.ended(begin(3.3), Report.DOWN, 3.3)
    assert breaker.state(3.3) is BreakerState.OPEN
