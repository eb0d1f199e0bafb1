"""Figures of records: shares, percentiles, rates, and how fairly a gateway gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from .records import LIMITED, OK, Record


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the least value that `percent` of all do not exceed; 0 where there are none. Cost: a sort."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    rank = -(-len(ordered) * percent // 100)  # rounded up
    return ordered[max(int(rank) - 1, 0)]


def share(records: Iterable[Record], holds: Callable[[Record], bool]) -> float:
    """Return the share of records of which something holds; 0 where there are none."""
    found = [holds(record) for record in records]
    return sum(found) / len(found) if found else 0.0


def is_ok(record: Record) -> bool:
    """Whether the whole right answer came."""
    return record.outcome == OK


def is_limited(record: Record) -> bool:
    """Whether it was refused for its rate."""
    return record.outcome == LIMITED


def is_by(target: str) -> Callable[[Record], bool]:
    """Return whether a tier gave the answer."""
    return lambda record: record.target.partition("/")[0] == target


def between(records: Iterable[Record], begin_s: float, end_s: float) -> list[Record]:
    """Return the records of what was due in an interval."""
    return [record for record in records if begin_s <= record.due_s < end_s]


def latency_ms(records: Iterable[Record], percent: float) -> float:
    """Return a percentile of the time to whole right answers."""
    return 1e3 * percentile((record.seconds for record in records if is_ok(record)), percent)


def answered_by_key(records: Iterable[Record]) -> dict[str, int]:
    """Return how many right answers each key got; keys that asked and got none are there, too."""
    counts: Counter[str] = Counter()
    for record in records:
        counts[record.key] += is_ok(record)
    return dict(counts)


def jain(shares: Sequence[float]) -> float:
    """Return Jain's index of fairness: 1 where all have the same, 1/n where one has everything.

    Source: Jain, Chiu, Hawe, "A Quantitative Measure of Fairness" (DEC-TR-301, 1984).
    """
    squares = sum(value * value for value in shares)
    if not squares:
        return 1.0  # nobody has anything
    return sum(shares) ** 2 / (len(shares) * squares)


def fairness(records: Sequence[Record]) -> float:
    """Return Jain's index over what share of its requests each key was answered.

    By share, not by number: keys do not ask equally often.
    """
    asked = Counter(record.key for record in records)
    return jain([answered / asked[key] for key, answered in answered_by_key(records).items()])


def over_time(
    records: Sequence[Record], figure: Callable[[list[Record]], float], seconds: float, width_s: float = 1.0
) -> list[tuple[float, float]]:
    """Return a figure of what was due in each `width_s` of a run, with the middle of it. Cost: linear."""
    num_bins = max(round(seconds / width_s), 1)
    bins: list[list[Record]] = [[] for _ in range(num_bins)]
    for record in records:
        bins[min(int(record.due_s / width_s), num_bins - 1)].append(record)
    return [((number + 0.5) * width_s, figure(inside)) for number, inside in enumerate(bins)]
