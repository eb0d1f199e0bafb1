"""Which target is asked to continue a committed answer, try after try."""

from __future__ import annotations

import pytest

from headgate.proxy.exchange.attempt import Attempt, Purpose
from headgate.proxy.exchange.choice import Choice
from headgate.proxy.exchange.gate import Report
from headgate.proxy.exchange.plan import Plan, Timeouts
from headgate.proxy.upstream.cluster import Cluster, ClusterSettings
from headgate.proxy.upstream.endpoint import Endpoint
from headgate.proxy.upstream.gate import ClusterGate
from headgate.proxy.upstream.pool import PoolLimits
from headgate.proxy.verdicts import Target

NOW = 100.0


class Continuing:
    """A gate that lets some targets continue, and nobody else."""

    def __init__(self, *targets: int) -> None:
        self.targets = targets

    def admit(self, target: int, purpose: Purpose, now: float) -> object | None:
        assert purpose is Purpose.RESUME
        return self if target in self.targets else None

    def began(self, attempt: Attempt, now: float) -> None:
        """Forget."""

    def ended(self, attempt: Attempt, report: Report, now: float) -> None:
        """Forget."""


def tries(prefills: tuple[bool, ...], continuing: tuple[int, ...], num_targets: int = 3) -> list[tuple[int, float]]:
    """Return which targets are asked, one after the other, and after what pause each."""
    plan = Plan((Timeouts(),) * num_targets, NOW + 60, True, max_attempts=9, resume_tries=3, prefills=prefills)
    choice = Choice(plan, Continuing(*continuing), lambda: 1.0, is_admitted=True)
    found = []
    while (attempt := choice.resume(NOW)) is not None:
        assert attempt.target == choice.target
        found.append((attempt.target, round(attempt.at - NOW, 3)))
    return found


@pytest.mark.parametrize(
    ("prefills", "continuing", "asked"),
    [
        ((), (0,), [(0, 0.0), (0, 0.025), (0, 0.05)]),
        ((True, True, True), (0,), [(0, 0.0), (0, 0.025), (0, 0.05)]),  # it can go on exactly: nobody else can
        ((True, False, False), (0,), [(0, 0.0), (0, 0.025), (0, 0.05)]),
        ((False, True, False), (1,), [(1, 0.0), (1, 0.025), (1, 0.05)]),
        ((True, False, True), (0, 2), [(0, 0.0), (2, 0.0), (2, 0.05)]),
        ((True, True, True), (0, 1, 2), [(0, 0.0), (1, 0.0), (2, 0.0)]),
        ((False, False, False), (), []),
    ],
)
def test_the_target_itself_is_asked_and_then_who_goes_on_from_a_text(
    prefills: tuple[bool, ...], continuing: tuple[int, ...], asked: list[tuple[int, float]]
) -> None:
    assert tries(prefills, continuing) == asked


def test_a_busy_target_is_left_to_itself_while_another_goes_on() -> None:
    plan = Plan((Timeouts(),) * 2, NOW + 60, True, max_attempts=9, resume_tries=3, prefills=(True, True))
    choice = Choice(plan, Continuing(0, 1), lambda: 1.0, is_admitted=True)
    choice.busy(NOW, 30.0)
    attempt = choice.resume(NOW)
    assert attempt is not None and (attempt.target, attempt.at) == (1, NOW)


def cluster(name: str) -> Cluster:
    endpoint = Endpoint("127.0.0.1", 9, None, "127.0.0.1", "")
    return Cluster(ClusterSettings(name, (endpoint,), Timeouts(), PoolLimits()), lambda: 0.5)


def test_the_gate_refuses_who_could_not_continue_and_takes_nothing_for_it() -> None:
    clusters = {name: cluster(name) for name in ("a", "b")}
    gate = ClusterGate([Target("a"), Target("b")], clusters)
    gate.continuing = (1,)
    while clusters["a"].budget.withdraw(NOW):
        assert gate.admit(0, Purpose.RESUME, NOW) is None
    assert gate.admit(1, Purpose.RESUME, NOW) is not None
    gate.continuing = (0,)
    assert gate.admit(0, Purpose.RESUME, NOW) is None  # its budget is used up


@pytest.mark.parametrize(("retry_after_s", "at_s"), [(3.0, 3.0), (3.001, None)])
def test_a_busy_target_alone_is_waited_for_as_long_as_the_route_says(retry_after_s: float, at_s: float | None) -> None:
    plan = Plan((Timeouts(),), NOW + 60, True, resume_tries=3, busy_wait_s=3.0)
    choice = Choice(plan, Continuing(0), lambda: 1.0, is_admitted=True)
    choice.busy(NOW, retry_after_s)
    attempt = choice.resume(NOW)
    assert (attempt.at - NOW if attempt is not None else None) == at_s


def test_resumes_are_among_the_attempts_of_the_exchange() -> None:
    plan = Plan((Timeouts(),) * 2, NOW + 60, True, max_attempts=2, resume_tries=3, prefills=(True, True))
    choice = Choice(plan, Continuing(0, 1), lambda: 1.0, is_admitted=True)
    assert (choice.num_resumes_left, choice.resume(NOW) is not None) == (1, True)
    assert (choice.num_resumes_left, choice.resume(NOW)) == (0, None)
