"""A cluster: picks, reports, breakers, and what its metrics tell."""

from __future__ import annotations

import random

import pytest

from headgate.proxy.observe.metrics import Registry
from headgate.proxy.upstream.cluster import MAX_BREAKERS, MAX_FAILURE_CHARACTERS, Cluster, ClusterSettings, Member
from headgate.proxy.upstream.endpoint import Endpoint
from headgate.proxy.upstream.gauges import register_gauges
from headgate.proxy.upstream.health.breaker import Admission, BreakerSettings
from headgate.proxy.upstream.health.outcome import Outcome
from headgate.proxy.upstream.health.settings import HealthSettings


def cluster_of(num_members: int, health: HealthSettings | None = None, name: str = "c") -> Cluster:
    endpoints = tuple(Endpoint("127.0.0.1", 1000 + place) for place in range(num_members))
    return Cluster(ClusterSettings(name, endpoints, health=health or HealthSettings()), random.Random(1).random)


def fail(cluster: Cluster, member: Member, now: float, times: int = 3) -> None:
    for _ in range(times):
        cluster.report(member, Outcome.FAILED, now)


def test_a_member_that_was_tried_is_picked_again_only_where_no_other_is_left() -> None:
    cluster = cluster_of(3)
    tried: set[Member] = set()
    for _ in range(3):
        member = cluster.pick(tried, 0.0)
        assert member not in tried
        tried.add(member)
    assert cluster.pick(tried, 0.0) in tried
    assert sum(member.num_active for member in cluster.members) == 4


def test_what_is_remembered_of_a_failure_is_bounded() -> None:
    cluster = cluster_of(1)
    cluster.remember("c: reset: " + "x" * 10_000)
    assert cluster.last_failure.startswith("c: reset: xx") and len(cluster.last_failure) == MAX_FAILURE_CHARACTERS


def test_three_failures_in_a_row_eject_a_member_for_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    cluster = cluster_of(3)
    bad = cluster.members[0]
    fail(cluster, bad, 0.0, times=2)
    cluster.report(bad, Outcome.NEUTRAL, 0.0)
    assert cluster.outlier.num_ejected(0.0) == 0
    fail(cluster, bad, 0.0, times=1)
    assert caplog.messages == ["endpoint 127.0.0.1:1000 is left out for 10 s: it keeps failing"]
    assert bad not in {cluster.pick((), 9.9) for _ in range(200)}
    assert bad in {cluster.pick((), 10.0) for _ in range(2000)}


def test_a_success_between_failures_keeps_a_member_in() -> None:
    cluster = cluster_of(2)
    for _ in range(20):
        fail(cluster, cluster.members[0], 0.0, times=2)
        cluster.report(cluster.members[0], Outcome.OK, 0.0)
    assert cluster.outlier.num_ejected(0.0) == 0


def test_a_lone_member_is_never_ejected() -> None:
    cluster = cluster_of(1)
    fail(cluster, cluster.members[0], 0.0, times=50)
    assert cluster.outlier.num_ejected(0.0) == 0
    assert cluster.pick((), 0.0) is cluster.members[0]


def test_a_member_found_bad_by_checks_is_not_asked() -> None:
    cluster = cluster_of(3)
    cluster.outlier.checked(cluster.members[1], False, 0.0)
    assert {cluster.pick((), 0.0) for _ in range(100)} == {cluster.members[0], cluster.members[2]}


def test_a_member_found_bad_by_checks_takes_no_place_among_the_ejected() -> None:
    cluster = cluster_of(2)
    bad, other = cluster.members
    cluster.outlier.checked(bad, False, 0.0)
    fail(cluster, bad, 0.0, times=10)
    assert cluster.outlier.num_ejected(0.0) == 0
    fail(cluster, other, 0.0)
    assert cluster.outlier.num_ejected(0.0) == 1


def test_where_every_member_fails_half_stay_in_and_are_asked() -> None:
    cluster = cluster_of(4)
    for member in cluster.members:
        fail(cluster, member, 0.0, times=10)
    assert cluster.outlier.num_ejected(0.0) == 2
    assert {cluster.pick((), 0.0) for _ in range(100)} == set(cluster.members[2:])


def test_with_few_found_well_by_checks_all_are_asked() -> None:
    cluster = cluster_of(4)
    for member in cluster.members[:3]:
        cluster.outlier.checked(member, False, 0.0)
    assert {cluster.pick((), 0.0) for _ in range(200)} == set(cluster.members)


def test_the_quicker_member_gets_more() -> None:
    cluster = cluster_of(2)
    quick, slow = cluster.members
    cluster.observe(quick, 0.1, 0.0)
    cluster.observe(slow, 0.3, 0.0)
    for _ in range(40):
        cluster.pick((), 0.0)
    assert (quick.num_active, slow.num_active) == (30, 10)


def test_a_target_has_its_own_breaker() -> None:
    cluster = cluster_of(1)
    assert cluster.breaker(None) is cluster.breaker(None)
    assert cluster.breaker("a") is not cluster.breaker("b")
    assert cluster.breaker("a") is cluster.breaker("a")


def test_breakers_are_bounded_and_the_one_used_last_stays() -> None:
    cluster = cluster_of(1)
    first, second = cluster.breaker("first"), cluster.breaker("second")
    for number in range(MAX_BREAKERS - 1):
        cluster.breaker(f"m{number}")
        assert cluster.breaker("first") is first
    assert len(list(cluster.breakers())) == MAX_BREAKERS == 256
    assert cluster.breaker("second") is not second


def test_breakers_and_budget_have_the_cluster_s_settings() -> None:
    cluster = cluster_of(1, HealthSettings(breaker=BreakerSettings(failures=1)))
    cluster.breaker(None).failed(0.0)
    assert cluster.breaker(None).admit(0.0) is Admission.OPEN
    assert cluster.budget.remaining(0.0) == 100


def test_a_breaker_counts_the_healthy_members_of_its_cluster() -> None:
    cluster = cluster_of(2)
    breaker, (bad, good) = cluster.breaker(None), cluster.members
    for _ in range(5):
        breaker.failed(0.0, breaker.ticket, bad)
    assert breaker.admit(0.0) is Admission.CLOSED
    fail(cluster, good, 0.0)
    breaker.failed(0.0, breaker.ticket, bad)
    assert breaker.admit(0.0) is Admission.OPEN


def test_the_gauges_follow_the_clusters_in_force() -> None:
    registry, clusters = Registry(), {"c": cluster_of(2), "d": cluster_of(1, name="d")}
    register_gauges(registry, lambda: clusters, lambda: 1.0)
    for _ in range(2):
        clusters["c"].breaker("m").failed(1.0)
    clusters["d"].breaker(None)
    fail(clusters["c"], clusters["c"].members[0], 1.0)
    clusters["d"].budget.withdraw(1.0)
    clusters["c"].hedges.withdraw(1.0)
    lines = registry.render().decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'headgate_breaker_state{target="c/m"} 1',
        'headgate_breaker_state{target="d"} 0',
        'headgate_ejected_members{cluster="c"} 1',
        'headgate_ejected_members{cluster="d"} 0',
        'headgate_healthy_members{cluster="c"} 1',
        'headgate_healthy_members{cluster="d"} 1',
        'headgate_budget_remaining{cluster="c"} 100',
        'headgate_budget_remaining{cluster="d"} 99',
        'headgate_hedge_budget_remaining{cluster="c"} 9',
        'headgate_hedge_budget_remaining{cluster="d"} 10',
        'headgate_pool_connections{cluster="c"} 0',
        'headgate_pool_connections{cluster="d"} 0',
        'headgate_pool_busy{cluster="c"} 0',
        'headgate_pool_busy{cluster="d"} 0',
        'headgate_pool_waiting{cluster="c"} 0',
        'headgate_pool_waiting{cluster="d"} 0',
    ]
    del clusters["c"]
    assert b'"c' not in registry.render()


def test_a_gauge_shows_a_bounded_number_of_series() -> None:
    registry, clusters = Registry(), {f"c{number}": cluster_of(1, name=f"c{number}") for number in range(5)}
    for cluster in clusters.values():
        for number in range(MAX_BREAKERS):
            cluster.breaker(f"m{number}")
    register_gauges(registry, lambda: clusters, lambda: 0.0)
    assert registry.render().decode().count("headgate_breaker_state{") == 1000
