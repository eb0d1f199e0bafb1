"""The generic cell rate algorithm: a token bucket kept in one number.

A cell is its *theoretical arrival time*: the instant at which its bucket is full again. All instants and spans are
whole nanoseconds, so that the law holds exactly: in any window of T ns the admitted cost is at most
burst + T / interval, whatever the clock did. Nothing here reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

NS_PER_S = 1_000_000_000
# Half of what 63 bits hold, 146 years: an instant and a span then fit together.
MAX_REFILL_NS = 1 << 62


@dataclass(frozen=True, slots=True)
class Limit:
    """One unit every `interval_ns`, and at most `burst` units at once."""

    interval_ns: int
    burst: int

    def __post_init__(self) -> None:
        if self.interval_ns < 1 or self.burst < 1:
            raise ValueError(f"expected interval and burst of at least 1, got {self.interval_ns} ns and {self.burst}")
        if self.refill_ns > MAX_REFILL_NS:
            raise ValueError(f"expected a burst that the rate refills within 146 years, got {self.burst}")

    @classmethod
    def of(cls, amount: int, per_s: float, burst: int) -> Limit:
        """Return the limit of `amount` units in `per_s` seconds.

        An interval that is no whole number of ns is rounded up: the limit is never above what was asked for.
        Raises: ValueError for less than one unit, and for a bucket that takes longer than 146 years to fill.
        """
        if amount < 1:
            raise ValueError(f"expected a rate of at least 1, got {amount}")
        return cls(-(-round(per_s * NS_PER_S) // amount), burst)

    @property
    def refill_ns(self) -> int:
        """How long an empty bucket takes to fill."""
        return self.interval_ns * self.burst


class Decision(NamedTuple):
    """What a limit says to one request.

    `remaining` counts whole units left; `next_unit_ns` is when there will be one more (0: the bucket is full).
    `retry_after_ns` is when the refused cost will be admitted at the earliest; None: never, it is above the burst.
    """

    is_admitted: bool
    remaining: int
    next_unit_ns: int
    retry_after_ns: int | None

    @property
    def retry_after_s(self) -> int | None:
        """Whole seconds for a Retry-After field, rounded up."""
        return None if self.retry_after_ns is None else ceil_seconds(self.retry_after_ns)

    @property
    def next_unit_s(self) -> int:
        """Whole seconds until one more unit, rounded up."""
        return ceil_seconds(self.next_unit_ns)


def ceil_seconds(span_ns: int) -> int:
    """Return the whole seconds that cover a span."""
    return -(-span_ns // NS_PER_S)


def admit(tat_ns: int, limit: Limit, cost: int, now_ns: int) -> tuple[int, Decision]:
    """Return the cell after a request of `cost` units, and the decision; a refusal leaves the cell as it was.

    `tat_ns` is the cell before; of a caller not seen yet it is 0, or any instant up to now.
    """
    interval = limit.interval_ns
    full_at = tat_ns if tat_ns > now_ns else now_ns
    next_tat = full_at + cost * interval
    excess = next_tat - now_ns - limit.refill_ns
    if excess <= 0:
        return next_tat, Decision(True, *_left(next_tat, limit, now_ns), 0)
    retry_after = excess if cost <= limit.burst else None
    return tat_ns, Decision(False, *_left(full_at, limit, now_ns), retry_after)


def charge(tat_ns: int, limit: Limit, units: int, now_ns: int) -> int:
    """Return the cell after units that were used already: they are owed, also beyond the burst.

    The debt is bounded: the bucket is full again in 146 years at the latest.
    """
    owed = min(max(tat_ns, now_ns) + units * limit.interval_ns, now_ns + MAX_REFILL_NS)
    return max(tat_ns, owed)


def give_back(tat_ns: int, limit: Limit, units: int, now_ns: int) -> int:
    """Return the cell after units that were charged and not used; it is never more than full."""
    return max(tat_ns - units * limit.interval_ns, min(tat_ns, now_ns))


def _left(tat_ns: int, limit: Limit, now_ns: int) -> tuple[int, int]:
    """Return the whole units left, and the time until there is one more."""
    if tat_ns <= now_ns:
        return limit.burst, 0
    available_ns = now_ns + limit.refill_ns - tat_ns
    if available_ns < 0:  # the clock went back, or more was used than reserved
        return 0, limit.interval_ns - available_ns
    units, part_ns = divmod(available_ns, limit.interval_ns)
    return units, limit.interval_ns - part_ns
