"""The worst case that is told is never passed by the machine that runs exchanges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.proxy.config.feasible import may_be_resent
from headgate.proxy.config.schema_cluster import Cluster
from headgate.proxy.config.schema_delivery import RETRY_CAUSES, Cause
from headgate.proxy.config.schema_route import RouteConfig
from headgate.proxy.config.worst_case import worst_case
from headgate.proxy.exchange.attempt import Attempt
from headgate.proxy.exchange.command import Hold
from headgate.proxy.exchange.machine import ExchangeMachine
from headgate.proxy.exchange.plan import FallbackRule, HedgeRule, Plan, RetryRule, Timeouts
from headgate.proxy.verdicts import Target

from ..exchange.log import Committed, Given
from ..exchange.scenario import ENDS, SILENCE, Fate, Scenario
from ..exchange.world import BEGUN_AT, Run

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
    contexts = st.sampled_from([0, 0, 4096, 8192])
    hedges = st.fixed_dictionaries({"after": seconds, "max": st.integers(1, 3)})
    causes = st.lists(st.sampled_from(RETRY_CAUSES), unique=True)
    route = RouteConfig.model_validate(
        {
            "name": "r",
            "match": {"path": "/"},
            "targets": [
                {"cluster": name, **({"context": context} if (context := draw(contexts)) else {})} for name in clusters
            ],
            "commit": draw(st.sampled_from(["head", "first_event"])),
            "replay": draw(st.sampled_from(["never", "idempotent", "safe"])),
            "busy_wait": draw(st.sampled_from(["0s", "2s"])),
            "deadline": draw(st.sampled_from(["30s", "1h"])),
            "max_attempts": draw(st.integers(1, 12)),
            "retry": {"attempts": draw(st.integers(1, 4)), "on": draw(causes), "backoff": "1s", "max_backoff": "3s"},
            "on_break": draw(st.sampled_from(["error", "resume"])),
            "kind": draw(st.sampled_from(["http", "inference"])),
            **({"hedge": hedge} if (hedge := draw(st.none() | hedges)) else {}),
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


def _delivered(route: RouteConfig, clusters: dict[str, Cluster], method: str) -> Plan:
    """Return the whole plan of a route, as it is compiled; where nobody reads the events nobody resumes."""
    hedge, is_followed = route.hedge, route.kind == "inference" or route.commit == "first_event"
    return replace(
        _plan(route, clusters, method),
        hedge=HedgeRule(hedge.after, hedge.max) if hedge is not None else None,
        contexts=tuple(target.context for group in route.to_groups() for target in group),
        resume_tries=3 if route.on_break == "resume" and is_followed else 0,
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
    assert worst.cost <= (route.max_attempts if route.on_break == "resume" else worst.attempts)
    assert now <= worst.latency_s + 1e-6
    assert worst.latency_s <= route.deadline


STAGES = ["connect", "send", "head", "event", "body", "status", "too_long"]
LATE_S = (0.0, 0.5, 5.0, 30.0)


@st.composite
def fates(draw: st.DrawFn, cluster: Cluster) -> Fate:
    """What an attempt meets: a connection comes, or fails, within its time; everything else is up to the timers."""
    stage = draw(st.sampled_from(STAGES))
    late = st.sampled_from(LATE_S)
    connect_s = draw(st.sampled_from([0.0, cluster.timeouts.connect]))
    if stage in ENDS:
        kind = draw(st.sampled_from(ENDS[stage]))
        return Fate(stage, kind, connect_s=connect_s, head_s=draw(late), event_s=draw(late), gap_s=draw(late))
    status = 400 if stage == "too_long" else draw(st.sampled_from([200, 404, 429, 500, 502, 503]))
    retry_after_s = draw(st.sampled_from([None, 0.0, 2.0])) if status in (429, 503) else None
    return Fate("whole", "", status, retry_after_s, stage == "too_long", connect_s=connect_s, head_s=draw(late))


@given(cases(), st.sampled_from(["GET", "POST"]), st.data())
@settings(max_examples=150, deadline=None)
def test_no_world_has_more_attempts_or_takes_longer_than_the_worst_case(
    case: tuple[RouteConfig, dict[str, Cluster], tuple[tuple[Target, ...], ...]], method: str, data: st.DataObject
) -> None:
    """Hedges, breakers that are open, prompts that are too long, resumes: of the whole machine, on a virtual clock."""
    route, clusters, groups = case
    worst = worst_case(route, groups, clusters, method)
    scenario = Scenario(
        _delivered(route, clusters, method),
        tuple(tuple(data.draw(st.lists(fates(each), min_size=1, max_size=3))) for each in clusters.values()),
        open=data.draw(st.frozensets(st.sampled_from(range(len(clusters))), max_size=2)),
        random=data.draw(st.sampled_from([0.0, 1.0])),
    )
    run = Run(scenario)
    while not run.is_ended and not run.log.of(Committed):
        run.step()
    num_before = len(run.log.of(Given))
    assert num_before <= worst.attempts <= route.max_attempts
    assert run.now - BEGUN_AT <= worst.latency_s + 1e-6
    while not run.is_ended:
        run.step()
    # What had no answer yet was computed at most once where it may not be sent again, whatever was begun.
    assert len(run.log.of(Given)) <= (worst.cost if may_be_resent(route, method) else worst.attempts)


SLOW = {"endpoints": ["http://a"], "timeouts": {"connect": "1s", "head": "10s"}}
SLOWER = {"endpoints": ["http://a"], "timeouts": {"connect": "2s", "head": "20s"}}
BARE: dict[str, Any] = {
    "name": "r",
    "match": {"path": "/"},
    "targets": ["a"],
    "busy_wait": "0s",
    "retry": {"on": []},
    "fallback": {"on": []},
}
MUTE = Fate("head", SILENCE, connect_s=1.0)


@pytest.mark.parametrize(
    ("options", "fates", "is_open", "attempts", "latency_s"),
    [
        pytest.param({"hedge": {"after": "5s"}}, [[MUTE]], False, 2, 5 + 11, id="a hedge begins late"),
        pytest.param({"hedge": {"after": "5s", "max": 2}}, [[MUTE]], False, 3, 5 + 5 + 11, id="two hedges"),
        pytest.param(
            {"replay": "never", "retry": {"on": ["reset"], "backoff": "0s"}},
            [[Fate("send", "stale_connection", connect_s=1.0), MUTE]],
            False,
            2,
            1 + 11,
            id="a kept connection is closed",
        ),
        pytest.param(
            {"replay": "never", "retry": {"on": ["malformed"], "backoff": "2s", "max_backoff": "2s"}},
            [[Fate("send", "malformed_answer", connect_s=1.0), MUTE]],
            False,
            2,
            1 + 2 + 11,
            id="a connection has bytes that nobody asked for",
        ),
        pytest.param(
            {"targets": [{"cluster": "a", "context": 8}, {"cluster": "b", "context": 9}]},
            [[Fate(status=400, is_too_long=True, connect_s=1.0, head_s=9.9)], [replace(MUTE, connect_s=2.0)]],
            False,
            2,
            10.9 + 22,
            id="a prompt is too long",
        ),
        pytest.param({"targets": ["a", "b"]}, [[MUTE], [replace(MUTE, connect_s=2.0)]], True, 1, 22, id="a breaker"),
    ],
)
def test_the_worst_case_is_met(
    options: dict[str, Any], fates: list[list[Fate]], is_open: bool, attempts: int, latency_s: float
) -> None:
    route = RouteConfig.model_validate({**BARE, **options})
    clusters = {"a": Cluster.model_validate(SLOW), "b": Cluster.model_validate(SLOWER)}
    worst = worst_case(route, route.to_groups(), clusters, "GET")
    plan = _delivered(route, clusters, "GET")
    run = Run(Scenario(plan, tuple(map(tuple, fates)), open=frozenset({0} if is_open else ()), random=1.0))
    while not run.is_ended:
        run.step()
    assert len(run.log.of(Given)) == worst.attempts == attempts
    assert run.now - BEGUN_AT == pytest.approx(latency_s)
    assert worst.latency_s == pytest.approx(latency_s, abs=0.11)


def test_the_worst_cost_is_met_by_an_answer_that_breaks_again_and_again() -> None:
    route = RouteConfig.model_validate({**BARE, "kind": "inference", "max_attempts": 4})
    clusters = {"a": Cluster.model_validate(SLOW)}
    worst = worst_case(route, route.to_groups(), clusters, "POST")
    assert (worst.attempts, worst.cost) == (1, 4)
    run = Run(Scenario(_delivered(route, clusters, "POST"), ((Fate("body", "truncated"),),)))
    while not run.is_ended:
        run.step()
    assert len(run.log.of(Given)) == worst.cost
