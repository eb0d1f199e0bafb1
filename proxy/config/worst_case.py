"""How often and how long a route may try, at worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..exchange.plan import IDEMPOTENT
from ..verdicts import Target
from .schema_cluster import Cluster
from .schema_delivery import HoldBack
from .schema_route import RouteConfig


@dataclass(frozen=True, slots=True)
class WorstCase:
    """Attempts, and seconds until the client has an answer or an error.

    `latency_s` is bounded by the deadline, `patience_s` is what all timeouts would add up to without it. The time that
    the client's body takes is not in it. `cost` is how often the request may be computed, what follows a break of the
    answer included.
    """

    attempts: int
    latency_s: float
    patience_s: float
    cost: int = 1

    @property
    def is_cut_by_deadline(self) -> bool:
        """Whether the deadline ends the exchange before every attempt has had its time."""
        return self.patience_s > self.latency_s


def worst_case(
    route: RouteConfig, groups: Sequence[Sequence[Target]], clusters: Mapping[str, Cluster], method: str
) -> WorstCase:
    """Bound the attempts at `groups` under the policy of `route`. An upper bound: no run of faults need reach it.

    Which tries are made depends on the faults, so the longest of all are added up, as many as `max_attempts` allows.
    """
    may_resend = may_be_resent(route, method)
    targets = [clusters[target.cluster] for group in groups for target in group]
    if not _has_fallback(route, may_resend):
        targets = _slowest(route, groups, clusters)
    tries = _tries(route, may_resend)
    hedges = route.hedge.max if route.hedge is not None and may_resend else 0
    attempts = min(route.max_attempts, tries * len(targets) + hedges) if targets else 0
    if not attempts:
        return WorstCase(0, 0.0, 0.0, 0)
    if route.hold_back != HoldBack():  # an answer may be held back for as long as it moves
        return WorstCase(attempts, route.deadline, float("inf"), _cost(route, attempts, may_resend))
    if may_resend:
        patience_s = sum(_largest([_whole_s(route, cluster) for cluster in targets] * tries, attempts))
    else:  # only where nothing was sent there is a next try; what follows a connection is waited for once
        patience_s = sum(_largest([cluster.timeouts.connect for cluster in targets] * tries, attempts))
        patience_s += max(_whole_s(route, cluster) - cluster.timeouts.connect for cluster in targets)
    patience_s += sum(_largest(_pauses_s(route, may_resend) * len(targets), attempts - 1))
    cost = _cost(route, attempts, may_resend)
    return WorstCase(attempts, min(patience_s, route.deadline), patience_s, cost)


def _cost(route: RouteConfig, attempts: int, may_resend: bool) -> int:
    if not may_resend:
        return 1
    return route.max_attempts if route.on_break == "resume" else attempts


def may_be_resent(route: RouteConfig, method: str) -> bool:
    """Whether a request may be sent again after bytes of it went out, by its method alone (RFC 9110 §9.2.2)."""
    return route.replay == "safe" or (route.replay == "idempotent" and method in IDEMPOTENT)


def _slowest(route: RouteConfig, groups: Sequence[Sequence[Target]], clusters: Mapping[str, Cluster]) -> list[Cluster]:
    """Return the slowest cluster of the first group alone: any of the group may be drawn first."""
    first = [clusters[target.cluster] for group in groups[:1] for target in group]
    return sorted(first, key=lambda cluster: _whole_s(route, cluster))[-1:]


def _largest(seconds: list[float], count: int) -> list[float]:
    return sorted(seconds, reverse=True)[:count]


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


def _pauses_s(route: RouteConfig, may_resend: bool) -> list[float]:
    """Return the longest pauses between the tries of one target."""
    rule = route.retry
    backoffs = [min(rule.max_backoff, rule.backoff * 2.0**place) for place in range(rule.attempts - 1)]
    return [*backoffs, route.busy_wait] if _has_busy_wait(route, may_resend) else backoffs
