"""How much of each resource was in use over time, worked out of the samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .sampling import Sample
from .stand import TierSpec

GENERATOR = "generator CPU"
MACHINE = "all cores"
OTHERS = "cores used by others"

Rates = dict[str, list[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds that a scenario's files set: tiers, and connections of the gateway's pools to them."""

    tiers: Mapping[str, TierSpec]
    pools: Mapping[str, int]
    num_cores: int


def in_use(samples: Sequence[Sample], bounds: Bounds) -> Rates:
    """Return the share in use of every resource, between one look and the next.

    A pool's connections carry one request each, which the tier serves or lets wait: the mean of both is what is in
    use of the pool.
    """
    found: Rates = {}
    for before, after in pairwise(samples):
        width_s = after.at_s - before.at_s
        for name, share in _shares(before, after, width_s, bounds).items():
            found.setdefault(name, []).append((after.at_s, share))
    return found


def _shares(before: Sample, after: Sample, width_s: float, bounds: Bounds) -> dict[str, float]:
    shares = {
        f"{name} CPU": (after.cpu_s[name] - before.cpu_s[name]) / width_s
        for name in after.cpu_s
        if after.cpu_s[name] >= before.cpu_s.get(name, float("inf"))
    }
    cores = (after.machine_s - before.machine_s) / width_s
    shares[OTHERS] = max(cores - sum(shares.values()), 0.0) / bounds.num_cores
    shares[MACHINE] = cores / bounds.num_cores
    for name, spec in bounds.tiers.items():
        old, new = before.tiers.get(name), after.tiers.get(name)
        if old is None or new is None or new.at_s <= old.at_s or new.received < old.received:
            continue  # it was dead, or began anew
        own_s = new.at_s - old.at_s  # by the tier's own clock: the answer may have taken a while
        busy, waiting = (new.busy_s - old.busy_s) / own_s, (new.waiting_s - old.waiting_s) / own_s
        shares[f"{name} slots"] = busy / spec.slots
        if spec.queue:
            shares[f"{name} queue"] = waiting / spec.queue
        if name in bounds.pools:
            shares[f"{name} pool"] = (busy + waiting) / bounds.pools[name]
    return shares


def busiest(series: Sequence[tuple[float, float]], window_s: float) -> float:
    """Return the greatest mean of a share over `window_s` or, in a shorter series, over all of it. Cost: quadratic."""
    if not series:
        return 0.0
    best = 0.0
    for first, (begin_s, _) in enumerate(series):
        inside = [share for at_s, share in series[first:] if at_s < begin_s + window_s]
        best = max(best, sum(inside) / len(inside))
        if series[-1][0] < begin_s + window_s:
            break
    return best


def over_samples(samples: Sequence[Sample], value: Callable[[Sample], float]) -> list[tuple[float, float]]:
    """Return a figure of each look."""
    return [(sample.at_s, value(sample)) for sample in samples]
