"""How often and how long a route may try, at worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..exchange.plan import IDEMPOTENT
from ..verdicts import Target
from .schema_cluster import Cluster
from .schema_route import RouteConfig


@dataclass(frozen=True, slots=True)
class WorstCase:
    """Attempts, and seconds until the client has an answer or an error.

    `latency_s` is bounded by the deadline, `patience_s` is what all timeouts would add up to without it. The time that
    the client's body takes is not in it.
    """

    attempts: int
    latency_s: float
    patience_s: float

    @property
    def is_cut_by_deadline(self) -> bool:
        """Whether the deadline ends the exchange before every attempt has had its time."""
        return self.patience_s > self.latency_s


def worst_case(
    route: RouteConfig, groups: Sequence[Sequence[Target]], clusters: Mapping[str, Cluster], method: str
) -> WorstCase:
    """Bound the attempts at `groups` under the policy of `route`. An upper bound: no faults need add up to it."""
    may_resend = may_be_resent(route, method)
    targets = [target for group in groups for target in _slowest_first(group, route, clusters)]
    if not _has_fallback(route, may_resend):
        targets = targets[:1]
    attempts, patience_s, whole_s = 0, 0.0, 0.0
    for target in targets:
        cluster = clusters[target.cluster]
        whole_s = _whole_s(route, cluster)
        tries = min(_tries(route, may_resend), route.max_attempts - attempts)
        if tries <= 0:
            break
        failed_s = whole_s if may_resend else cluster.timeouts.connect
        patience_s += tries * failed_s + _pauses_s(route, tries, may_resend)
        attempts += tries
    if attempts and not may_resend:  # only a request of which nothing was sent is tried again; the last one was sent
        patience_s += whole_s - clusters[targets[-1].cluster].timeouts.connect
    return WorstCase(attempts, min(patience_s, route.deadline), patience_s)


def may_be_resent(route: RouteConfig, method: str) -> bool:
    """Whether a request may be sent again after bytes of it went out, by its method alone (RFC 9110 §9.2.2)."""
    return route.replay == "safe" or (route.replay == "idempotent" and method in IDEMPOTENT)


def _slowest_first(group: Sequence[Target], route: RouteConfig, clusters: Mapping[str, Cluster]) -> list[Target]:
    return sorted(group, key=lambda target: _whole_s(route, clusters[target.cluster]), reverse=True)


def _whole_s(route: RouteConfig, cluster: Cluster) -> float:
    times = cluster.timeouts
    return times.connect + times.head + (times.first_event if route.commit == "first_event" else 0.0)


def _has_fallback(route: RouteConfig, may_resend: bool) -> bool:
    return bool(route.fallback.on) if may_resend else "connect" in route.fallback.on


def _tries(route: RouteConfig, may_resend: bool) -> int:
    """Tries of one target; a busy one that asks for a short wait is tried once more."""
    has_retry = bool(route.retry.on) if may_resend else "connect" in route.retry.on
    return (route.retry.attempts if has_retry else 1) + _has_busy_wait(route, may_resend)


def _has_busy_wait(route: RouteConfig, may_resend: bool) -> bool:
    return may_resend and route.busy_wait > 0


def _pauses_s(route: RouteConfig, tries: int, may_resend: bool) -> float:
    busy = _has_busy_wait(route, may_resend) and tries > 1
    num_retries = tries - 1 - busy
    rule = route.retry
    backoffs = (min(rule.max_backoff, rule.backoff * 2.0**place) for place in range(num_retries))
    return sum(backoffs) + (route.busy_wait if busy else 0.0)
