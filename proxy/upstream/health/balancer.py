"""Picks one of several endpoints: the cheaper of two drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp
from typing import Generic

from .member import MemberState
from .outlier import AnyMember

TAU_S = 10.0
LEAST_SHARE = 0.1
_MEAN_OF = 64  # samples
_LEAST_LATENCY_S = 1e-6  # what is faster than this differs by chance only


class Balancer(Generic[AnyMember]):
    """Power of two choices on latency times load.

    The cost of a member is latency * (attempts under way + 1) / (weight * slow start). Under load this honours weights,
    but no member gets more than the 2 of n picks in which it is drawn. A member whose trouble has just ended has
    `LEAST_SHARE` of its weight, and the whole of it after `slow_start_s`.

    The latency is a peak: a slower sample counts at once and in full, faster ones pull it down with the time constant
    `TAU_S`. Without news it drifts to the mean of the cluster's last samples, which is also what stands for a member
    that has none: nobody is forgotten for having been slow once, and one that never answers does not grow cheap.
    Source: Mitzenmacher 2001 (two choices); Finagle's peak EWMA; Envoy's slow start.
    """

    __slots__ = ("_mean_s", "_num_samples", "_random", "_slow_start_s")

    def __init__(self, slow_start_s: float, random: Callable[[], float]) -> None:
        self._slow_start_s = slow_start_s
        self._random = random
        self._mean_s = 0.0
        self._num_samples = 0

    def choose(self, candidates: Sequence[AnyMember], now: float) -> AnyMember:
        """Return one of `candidates`, of which there is at least one. The caller counts it in at once. Cost: O(1)."""
        count = len(candidates)
        if count == 1:
            return candidates[0]
        first = int(self._random() * count)
        second = int(self._random() * (count - 1))
        one, other = candidates[first], candidates[second + (second >= first)]
        return one if self.cost(one, now) <= self.cost(other, now) else other

    def observe(self, member: AnyMember, latency_s: float, now: float) -> None:
        """Take one sample: the time to the head of an answer, or to its first event."""
        if self._num_samples < _MEAN_OF:
            self._num_samples += 1
        self._mean_s += (latency_s - self._mean_s) / self._num_samples
        if latency_s >= member.latency_s:
            member.latency_s = latency_s
        else:
            kept = exp((member.sampled_at - now) / TAU_S)
            member.latency_s = kept * member.latency_s + (1 - kept) * latency_s
        member.sampled_at = now

    def cost(self, member: MemberState, now: float) -> float:
        """Return what another attempt at `member` costs; only comparisons mean something."""
        mean_s = self._mean_s
        latency_s = mean_s + (member.latency_s - mean_s) * exp((member.sampled_at - now) / TAU_S)
        if latency_s < _LEAST_LATENCY_S:
            latency_s = _LEAST_LATENCY_S
        load = latency_s * (member.num_active + 1) / member.weight
        return load if member.well_since is None else load / self.slow_start(member, now)

    def slow_start(self, member: MemberState, now: float) -> float:
        """Return the share of its weight that `member` has: from `LEAST_SHARE` to 1, growing with time."""
        if member.well_since is None or now >= member.well_since + self._slow_start_s:
            return 1.0
        return max(LEAST_SHARE, (now - member.well_since) / self._slow_start_s)
