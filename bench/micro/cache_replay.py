"""Hit ratios of the cache core's policies over made-up traces, beside the best that any could do.

    python -m bench.micro.cache_replay [--requests 200000]

Each trace is made from a seed, so that every run prints the same table: the one in docs/plugins/cache.md. A budget is
a share of all that a trace asks for. "Best" is Belady's optimum, which knows the future and need not keep what comes;
it is told for entries of one size only.
"""

from __future__ import annotations

import argparse
import heapq
import sys
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from headgate.ext.cache_core import POLICIES, CacheCore, Policy

SHARES = (0.001, 0.01, 0.1)
NUM_REQUESTS = 200_000
_NUM_KEYS = 20_000
_SEED = 7


@dataclass(frozen=True, slots=True)
class Trace:
    """What is asked for, in order; an entry may live for `lifetime` requests."""

    keys: Sequence[int]
    sizes: Mapping[int, int] | None = None  # None: one byte each
    lifetime: float = float("inf")

    @property
    def total_bytes(self) -> int:
        """The sizes of all that it asks for."""
        return sum(self.size(key) for key in set(self.keys))

    def size(self, key: int) -> int:
        """What `key` costs."""
        return 1 if self.sizes is None else self.sizes[key]


def zipf(random: Random, exponent: float, num: int) -> Iterator[int]:
    """Draw keys of which the n-th is asked for 1/n^`exponent` as often as the first."""
    weights = list(accumulate((rank + 1) ** -exponent for rank in range(_NUM_KEYS)))
    return (bisect(weights, random.random() * weights[-1]) for _ in range(num))


def _drifting(random: Random, num: int) -> Trace:
    """Popularity passes: every ten requests another of the ranks, mostly of the first thousand, is a new key's."""
    names = list(range(_NUM_KEYS))
    keys = []
    for place, rank in enumerate(zipf(random, 0.9, num)):
        if place % 10 == 0:
            names[min(int(random.expovariate(1 / 1000)), _NUM_KEYS - 1)] = _NUM_KEYS + place
        keys.append(names[rank])
    return Trace(keys)


def _with_scans(random: Random, num: int) -> Trace:
    """Once in 10,000 requests a crawler walks over the same 2,000 keys."""
    keys: list[int] = []
    for place, key in enumerate(zipf(random, 0.9, num)):
        if place % 10_000 == 5_000:
            keys.extend(range(_NUM_KEYS, _NUM_KEYS + 2_000))
        keys.append(key)
    return Trace(keys[:num])


def _with_strays(random: Random, num: int) -> Trace:
    """Three in ten requests are for what nobody asks for again."""
    popular = zipf(random, 0.9, num)
    return Trace([_NUM_KEYS + place if random.random() < 0.3 else next(popular) for place in range(num)])


def _of_many_sizes(random: Random, num: int) -> Trace:
    """Sizes are spread log-normally, independent of popularity."""
    keys = list(zipf(random, 0.9, num))
    return Trace(keys, {key: 1000 + int(random.lognormvariate(8, 1.5)) for key in set(keys)})


TRACES: Mapping[str, Callable[[Random, int], Trace]] = {
    "Zipf 0.7": lambda random, num: Trace(list(zipf(random, 0.7, num))),
    "Zipf 0.9": lambda random, num: Trace(list(zipf(random, 0.9, num))),
    "Zipf 1.1": lambda random, num: Trace(list(zipf(random, 1.1, num))),
    "drifting": _drifting,
    "with scans": _with_scans,
    "with strays": _with_strays,
    "of many sizes": _of_many_sizes,
    "expiring": lambda random, num: Trace(list(zipf(random, 0.9, num)), lifetime=5_000),
}


def hit_ratio(trace: Trace, policy: Policy, max_bytes: int) -> float:
    """Replay a trace: what is not there is put in."""
    core: CacheCore[int, bool] = CacheCore(max_bytes, policy)
    num_hits = 0
    for now, key in enumerate(trace.keys):
        if core.get(key, now):
            num_hits += 1
        else:
            core.put(key, True, trace.size(key), now + trace.lifetime, now)
    return num_hits / len(trace.keys)


def best_ratio(keys: Sequence[int], num_entries: int) -> float:
    """Return the hit ratio of keeping what is asked for again soonest. Source: Belady, IBM Systems Journal 5(2)."""
    kept: dict[int, int] = {}  # with the place of the next request for it
    latest: list[tuple[int, int]] = []  # the same, the last first; some are out of date
    num_hits = 0
    for place, (key, following) in enumerate(zip(keys, _following(keys), strict=True)):
        num_hits += kept.pop(key, None) == place
        if following < len(keys):
            kept[key] = following
            heapq.heappush(latest, (-following, key))
        while len(kept) > num_entries:
            following, dropped = heapq.heappop(latest)
            if kept.get(dropped) == -following:
                del kept[dropped]
    return num_hits / len(keys)


def _following(keys: Sequence[int]) -> list[int]:
    """For each request, return the place of the next one for the same key; `len(keys)` where there is none."""
    places: dict[int, int] = {}
    following = [0] * len(keys)
    for place in range(len(keys) - 1, -1, -1):
        following[place] = places.get(keys[place], len(keys))
        places[keys[place]] = place
    return following


def line_of(name: str, trace: Trace, share: float) -> str:
    """Return the table's line for one trace and one budget."""
    max_bytes = max(int(trace.total_bytes * share), 1)
    ratios = " | ".join(f"{100 * hit_ratio(trace, policy, max_bytes):.1f}" for policy in POLICIES)
    is_plain = trace.sizes is None and trace.lifetime == float("inf")
    best = f"{100 * best_ratio(trace.keys, max_bytes):.1f}" if is_plain else "-"
    return f"| {name} | {100 * share:g} % | {ratios} | {best} |"


def lines(num_requests: int) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"| trace | budget | {' | '.join(POLICIES)} | best |"
    yield "|---" * (len(POLICIES) + 3) + "|"
    for name in TRACES:
        trace = trace_of(name, num_requests)
        for share in SHARES:
            yield line_of(name, trace, share)


def trace_of(name: str, num_requests: int) -> Trace:
    """Make a trace of TRACES."""
    return TRACES[name](Random(_SEED), num_requests)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="hit ratios of the cache core's policies")
    parser.add_argument("--requests", type=int, default=NUM_REQUESTS)
    for line in lines(parser.parse_args(argv).requests):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
