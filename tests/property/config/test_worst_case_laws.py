"""The worst case that is told is never passed by the machine that runs exchanges."""

from __future__ import annotations

from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.proxy.config.schema_cluster import Cluster
from headgate.proxy.config.schema_delivery import RETRY_CAUSES, Cause
from headgate.proxy.config.schema_route import RouteConfig
from headgate.proxy.config.worst_case import may_be_resent, worst_case
from headgate.proxy.exchange.attempt import Attempt
from headgate.proxy.exchange.command import Hold
from headgate.proxy.exchange.machine import ExchangeMachine
from headgate.proxy.exchange.plan import FallbackRule, Plan, RetryRule, Timeouts
from headgate.proxy.verdicts import Target

FAULTS = ["connect_failed", "reset", "malformed_answer", "silent", 503, 500, 429, "error_event", "first_event_timeout"]


@st.composite
def cases(draw: st.DrawFn) -> tuple[RouteConfig, dict[str, Cluster], tuple[tuple[Target, ...], ...]]:
    seconds = st.integers(1, 20).map(lambda s: f"{s}s")
    times = st.fixed_dictionaries({"connect": seconds, "head": seconds, "first_event": seconds})
    num = draw(st.integers(1, 4))
    clusters = {
        f"c{place}": Cluster.model_validate({"endpoints": ["http://a"], "timeouts": draw(times)})
        for place in range(num)
    }
    causes = st.lists(st.sampled_from(RETRY_CAUSES), unique=True)
    route = RouteConfig.model_validate(
        {
            "name": "r",
            "match": {"path": "/"},
            "targets": list(clusters),
            "commit": draw(st.sampled_from(["head", "first_event"])),
            "replay": draw(st.sampled_from(["never", "idempotent", "safe"])),
            "busy_wait": draw(st.sampled_from(["0s", "2s"])),
            "deadline": draw(st.sampled_from(["30s", "1h"])),
            "max_attempts": draw(st.integers(1, 12)),
            "retry": {"attempts": draw(st.integers(1, 4)), "on": draw(causes), "backoff": "1s", "max_backoff": "3s"},
            "fallback": {"on": draw(st.lists(st.sampled_from(get_args(Cause)), unique=True))},
        }
    )
    return route, clusters, route.to_groups()


def _plan(route: RouteConfig, clusters: dict[str, Cluster], method: str) -> Plan:
    return Plan(
        timeouts=tuple(
            Timeouts(clusters[target.cluster].timeouts.head, clusters[target.cluster].timeouts.first_event)
            for group in route.to_groups()
            for target in group
        ),
        deadline=route.deadline,
        may_resend=may_be_resent(route, method),
        max_attempts=route.max_attempts,
        busy_wait_s=route.busy_wait,
        commit=route.commit,
        retry=RetryRule(
            route.retry.attempts,
            frozenset(route.retry.on),
            frozenset(route.retry.statuses),
            route.retry.backoff,
            route.retry.max_backoff,
        ),
        fallback=FallbackRule(frozenset(route.fallback.on), frozenset(route.fallback.statuses)),
    )


@given(cases(), st.sampled_from(["GET", "POST"]), st.data())
@settings(max_examples=150, deadline=None)
def test_machine_stays_within_the_worst_case(
    case: tuple[RouteConfig, dict[str, Cluster], tuple[tuple[Target, ...], ...]], method: str, data: st.DataObject
) -> None:
    route, clusters, groups = case
    worst = worst_case(route, groups, clusters, method)
    machine = ExchangeMachine(_plan(route, clusters, method), lambda: 1.0)
    order = [clusters[target.cluster].timeouts for group in groups for target in group]
    now = 0.0
    command = machine.start(now)
    while isinstance(command, Attempt):
        attempt = command
        now = max(now, attempt.at)
        times = order[attempt.target]
        now = min(now + times.connect, route.deadline)  # every step takes as long as it may
        fault = data.draw(st.sampled_from(FAULTS))
        if fault == "connect_failed" or now >= route.deadline:
            command = machine.failed(attempt, "connect_failed", now, has_sent=False)
            continue
        machine.connected(attempt, now)
        now = min(now + times.head, route.deadline)
        if isinstance(fault, int):
            command = machine.answered(attempt, fault, now, retry_after_s=2.0 if fault == 429 else None)
        elif fault in ("error_event", "first_event_timeout"):
            command = machine.answered(attempt, 200, now)
            if isinstance(command, Hold):
                now = min(now + times.first_event, route.deadline)
                command = machine.failed(attempt, str(fault), now, has_sent=True)
        else:
            command = machine.failed(attempt, str(fault), now, has_sent=True)
    assert machine.num_attempts <= worst.attempts <= route.max_attempts
    assert worst.cost <= worst.attempts
    assert now <= worst.latency_s + 1e-6
    assert worst.latency_s <= route.deadline
