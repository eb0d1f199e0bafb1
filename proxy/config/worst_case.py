"""How often and how long a route may try, at worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..verdicts import Target
from .feasible import can_outgrow, can_resume, causes_of, has_busy_wait, may_be_resent, most_tries, num_hedges, whole_s
from .schema_cluster import Cluster
from .schema_delivery import HoldBack
from .schema_route import RouteConfig


@dataclass(frozen=True, slots=True)
class WorstCase:
    """Attempts, and seconds until the client has an answer or an error.

    `latency_s` is bounded by the deadline, `patience_s` is what all timeouts would add up to without it. The time that
    the client's body takes is not in it, nor the wait for one of the connections that a cluster may have. `cost` is how
    often the request may be computed, what follows a break of the answer included.
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
    route: RouteConfig,
    groups: Sequence[Sequence[Target]],
    clusters: Mapping[str, Cluster],
    method: str,
    *,
    has_key: bool = False,
) -> WorstCase:
    """Bound the attempts at `groups` under the policy of `route`. An upper bound: no run of faults need reach it.

    Which tries are made depends on the faults, so the longest of all are added up, as many as `max_attempts` allows.
    `has_key`: the request has an Idempotency-Key.
    """
    may_resend = may_be_resent(route, method, has_key=has_key)
    targets = [clusters[target.cluster] for group in groups for target in group]
    num_targets = min(len(targets), _most_targets(route, groups, may_resend))
    tries = most_tries(route, may_resend=may_resend)
    hedges = num_hedges(route, may_resend=may_resend)
    if not targets:
        return WorstCase(0, 0.0, 0.0, 0)
    attempts = min(route.max_attempts, tries * num_targets + hedges)
    cost = _cost(route, attempts, may_resend)
    if route.hold_back != HoldBack():  # an answer may be held back for as long as it moves
        return WorstCase(attempts, route.deadline, float("inf"), cost)
    in_turn = min(route.max_attempts, tries * num_targets)
    patience_s = _attempts_s(route, targets, tries, in_turn, may_resend) + _hedges_s(route, targets, hedges)
    patience_s += sum(_largest(_pauses_s(route, may_resend) * num_targets, in_turn - 1))
    return WorstCase(attempts, min(patience_s, route.deadline), patience_s, cost)


def _cost(route: RouteConfig, attempts: int, may_resend: bool) -> int:
    if not may_resend:
        return 1
    return route.max_attempts if can_resume(route, may_resend=may_resend) else attempts


def _most_targets(route: RouteConfig, groups: Sequence[Sequence[Target]], may_resend: bool) -> int:
    """Return how many targets one exchange may ask; which they are, breakers may decide."""
    if causes_of(route.fallback.on, may_resend=may_resend):
        return sum(map(len, groups))
    return 2 if can_outgrow(route, groups, may_resend=may_resend) else 1


def _attempts_s(route: RouteConfig, targets: list[Cluster], tries: int, in_turn: int, may_resend: bool) -> float:
    """Return how long attempts may take to begin that are made one after the other."""
    if may_resend:
        return sum(_largest([whole_s(route, cluster) for cluster in targets] * tries, in_turn))
    # Only where nothing was sent there is a next try; what follows a connection is waited for once.
    connects_s = sum(_largest([cluster.timeouts.connect for cluster in targets] * tries, in_turn))
    return connects_s + max(whole_s(route, cluster) - cluster.timeouts.connect for cluster in targets)


def _hedges_s(route: RouteConfig, targets: list[Cluster], hedges: int) -> float:
    """Return how much later an answer may come for hedges: each has its own time from when it was due."""
    if route.hedge is None:
        return 0.0
    return hedges * min(route.hedge.after, max(whole_s(route, cluster) for cluster in targets))


def _largest(seconds: list[float], count: int) -> list[float]:
    return sorted(seconds, reverse=True)[:count]


def _pauses_s(route: RouteConfig, may_resend: bool) -> list[float]:
    """Return the longest pauses between the tries of one target."""
    rule, waits = route.retry, has_busy_wait(route, may_resend=may_resend)
    num_retries = most_tries(route, may_resend=may_resend) - waits - 1
    backoffs = [min(rule.max_backoff, rule.backoff * 2.0**place) for place in range(num_retries)]
    return [*backoffs, route.busy_wait] if waits else backoffs
