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


class Window:
    """What happened in the last `window_s` seconds, counted in `NUM_BUCKETS` parts of it; the memory is fixed.

    Between `recent` and `kept` lies the truth: the part that the window's beginning cuts is left out of the one, and
    in the other as a whole.
    """

    __slots__ = ("_counts", "_newest", "_next_at", "_part_s", "_place", "kept")

    def __init__(self, window_s: float) -> None:
        self._part_s = window_s / NUM_BUCKETS
        # One part more than the window has: it is cut by the window's beginning.
        self._counts = [0] * (NUM_BUCKETS + 1)
        self._newest = 0  # number of the part that is being filled
        self._place = 0  # where it stands
        self._next_at = self._part_s  # when the next one begins, but for the rounding of a product
        self.kept = 0  # as of the last call

    def add(self, now: float) -> None:
        """Count one. It may count for the part before, where `now` is the very end of that."""
        if now >= self._next_at:
            self.advance(now)
        self._counts[self._place] += 1
        self.kept += 1

    @property
    def recent(self) -> int:
        """How many there were in the parts that lie in the window as a whole, as of the last call."""
        return self.kept - self._counts[(self._newest + 1) % (NUM_BUCKETS + 1)]

    def advance(self, now: float) -> None:
        """Forget the parts that have left the window. Cost: O(parts gone by), at most `NUM_BUCKETS` + 1."""
        part = int(now // self._part_s)
        if part <= self._newest:
            return
        for number in range(max(self._newest, part - NUM_BUCKETS - 1) + 1, part + 1):
            place = number % (NUM_BUCKETS + 1)
            self.kept -= self._counts[place]
            self._counts[place] = 0
        self._newest, self._place = part, part % (NUM_BUCKETS + 1)
        self._next_at = (part + 1) * self._part_s


class RetryBudget:
    """Retries and hedges of one cluster, bounded over a sliding window.

    The law, for every instant t at which a withdrawal is granted, with W = `window_s`: the withdrawals granted in
    [t - W, t] are at most ratio * (deposits in [t - W, t]) + floor_per_s * W. So any window of W seconds, wherever it
    begins, holds at most ratio * (deposits in the 2 W seconds up to its end) + floor_per_s * W of them.

    Time is kept in `NUM_BUCKETS` parts of the window, not in instants: what is granted is counted for up to one part
    longer than W, and a deposit is forgotten up to one part sooner, so the law holds exactly and the memory is fixed.
    `deposits` are the first attempts: those of another budget over the same window, or of its own.
    Source: Finagle's retry budget (20 % and 10/s, over 10 s).
    """

    __slots__ = ("_floor", "_granted", "_ratio", "deposits")

    def __init__(
        self, ratio: float = 0.2, floor_per_s: float = 10.0, window_s: float = 10.0, *, deposits: Window | None = None
    ) -> None:
        if not (ratio >= 0 and floor_per_s >= 0 and window_s > 0):
            got = f"{ratio}, {floor_per_s}/s over {window_s} s"
            raise ValueError(f"expected ratio and floor of at least 0 over a window above 0 s, got {got}")
        self._ratio = ratio
        self._floor = floor_per_s * window_s
        self._granted = Window(window_s)
        self.deposits = Window(window_s) if deposits is None else deposits

    def deposit(self, now: float) -> None:
        """Count the first attempt of an exchange."""
        self.deposits.add(now)

    def withdraw(self, now: float) -> bool:
        """Whether one more attempt may be made now; if so it is counted. To be asked before each retry or hedge."""
        if self._left(now) < 1:
            return False
        self._granted.add(now)
        return True

    def remaining(self, now: float) -> float:
        """Return how many more attempts would be granted now."""
        return max(0.0, self._left(now))

    def _left(self, now: float) -> float:
        self.deposits.advance(now)
        self._granted.advance(now)
        return self._ratio * self.deposits.recent + self._floor - self._granted.kept
