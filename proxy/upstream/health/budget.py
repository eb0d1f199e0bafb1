"""How many attempts may be made besides the first ones.

An outage must not multiply the load on what is left: over all exchanges, what is tried again stays a share of the
requests. A fallback to another cluster is no retry: it costs the cluster that failed nothing, and is bounded by the
attempts of its exchange (`max_attempts`).
"""

from __future__ import annotations

from dataclasses import dataclass

NUM_BUCKETS = 20


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """`ratio` of the requests, and `floor_per_s` on top, over `window_s` seconds."""

    ratio: float = 0.2
    floor_per_s: float = 10.0
    window_s: float = 10.0


class RetryBudget:
    """Retries and hedges of one cluster, bounded over a sliding window.

    The law, for every instant t at which a withdrawal is granted, with W = `window_s`: the withdrawals granted in
    [t - W, t] are at most ratio * (deposits in [t - W, t]) + floor_per_s * W. So any window of W seconds, wherever it
    begins, holds at most ratio * (deposits in the 2 W seconds up to its end) + floor_per_s * W of them.

    Time is kept in `NUM_BUCKETS` parts of the window, not in instants: what is granted is counted for up to one part
    longer than W, and a deposit is forgotten up to one part sooner, so the law holds exactly and the memory is fixed.
    Source: Finagle's retry budget (20 % and 10/s, over 10 s).
    """

    __slots__ = (
        "_deposits",
        "_floor",
        "_granted",
        "_newest",
        "_num_deposits",
        "_num_granted",
        "_part_s",
        "_place",
        "_ratio",
    )

    def __init__(self, ratio: float = 0.2, floor_per_s: float = 10.0, window_s: float = 10.0) -> None:
        if not (ratio >= 0 and floor_per_s >= 0 and window_s > 0):
            got = f"{ratio}, {floor_per_s}/s over {window_s} s"
            raise ValueError(f"expected ratio and floor of at least 0 over a window above 0 s, got {got}")
        self._ratio = ratio
        self._floor = floor_per_s * window_s
        self._part_s = window_s / NUM_BUCKETS
        # One part more than the window has: it is cut by the window's beginning.
        self._deposits = [0] * (NUM_BUCKETS + 1)
        self._granted = [0] * (NUM_BUCKETS + 1)
        self._num_deposits = 0
        self._num_granted = 0
        self._newest = 0  # number of the part that is being filled
        self._place = 0  # where it stands

    def deposit(self, now: float) -> None:
        """Count the first attempt of an exchange."""
        self._advance(now)
        self._deposits[self._place] += 1
        self._num_deposits += 1

    def withdraw(self, now: float) -> bool:
        """Whether one more attempt may be made now; if so it is counted. To be asked before each retry or hedge."""
        self._advance(now)
        if self._left() < 1:
            return False
        self._granted[self._place] += 1
        self._num_granted += 1
        return True

    def remaining(self, now: float) -> float:
        """Return how many more attempts would be granted now."""
        self._advance(now)
        return max(0.0, self._left())

    def _left(self) -> float:
        oldest = self._deposits[(self._newest + 1) % (NUM_BUCKETS + 1)]  # may lie before the window
        return self._ratio * (self._num_deposits - oldest) + self._floor - self._num_granted

    def _advance(self, now: float) -> None:
        """Forget the parts that have left the window. Cost: O(parts gone by), at most `NUM_BUCKETS` + 1."""
        part = int(now // self._part_s)
        if part <= self._newest:
            return
        for number in range(max(self._newest, part - NUM_BUCKETS - 1) + 1, part + 1):
            place = number % (NUM_BUCKETS + 1)
            self._num_deposits -= self._deposits[place]
            self._num_granted -= self._granted[place]
            self._deposits[place] = self._granted[place] = 0
        self._newest, self._place = part, part % (NUM_BUCKETS + 1)
