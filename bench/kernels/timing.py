"""How long something takes on a GPU: replays of a CUDA graph, timed by events, over rotated inputs.

A graph leaves out the gaps between launches, as the model tier does that replays its decode steps. What cannot be
captured is timed call by call, gaps included, and its method says so.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

import torch

REPLAY_US = 2000.0  # of a replay, so that the gap before it does not count
MAX_LAUNCHES = 2000  # of a graph
MAX_SETS = 64
CACHES = 3  # times the L2 cache that the inputs of a rotation fill, so that none is found there again
MEMORY_PART = 0.4  # of the free memory that they may take
MIN_SAMPLES, MAX_SAMPLES = 5, 100

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Timing:
    """Microseconds of one call: the median, and what 10 and 90 of 100 samples are below."""

    us: float
    low_us: float
    high_us: float
    method: str


def num_sets(moved_bytes: int, set_bytes: int, cache_bytes: int, free_bytes: int) -> int:
    """Return how many sets of inputs to rotate so that they do not sit in the cache; as many as there is room for."""
    wanted = math.ceil(CACHES * cache_bytes / max(1, moved_bytes))
    room = int(MEMORY_PART * free_bytes / max(1, set_bytes))
    return max(1, min(wanted, room, MAX_SETS))


def num_rounds(call_us: float, num_calls: int) -> int:
    """Return how often a graph holds each call."""
    wanted = math.ceil(REPLAY_US / max(0.1, call_us * num_calls))
    return max(1, min(wanted, MAX_LAUNCHES // num_calls))


def summed_up(samples: Sequence[float], method: str) -> Timing:
    """Return the timing that samples give. Raises: ValueError for none."""
    if not samples:
        raise ValueError("expected at least one sample, got none")
    tenths = quantiles(samples, n=10, method="inclusive") if len(samples) > 1 else [samples[0]] * 9
    return Timing(median(samples), tenths[0], tenths[-1], method)


def timed(calls: Sequence[Call], seconds: float) -> Timing:
    """Return what one of the calls takes, which are alike but for their inputs.

    Each is made twice before, so that nothing is compiled while it is timed.
    Raises: whatever a call raises.
    """
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for call in calls:
            call()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    try:
        return _replayed(calls, median(_sampled(calls, 1, 0.0)), seconds)
    except RuntimeError as error:
        torch.cuda.synchronize()
        print(f"no graph: {error}")
    return summed_up(_sampled(calls, 1, seconds), "calls")


def _replayed(calls: Sequence[Call], call_us: float, seconds: float) -> Timing:
    rounds = num_rounds(call_us, len(calls))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(rounds):
            for call in calls:
                call()
    graph.replay()
    torch.cuda.synchronize()
    return summed_up(_sampled([graph.replay], rounds * len(calls), seconds), "graph")


def _sampled(calls: Sequence[Call], num_parts: int, seconds: float) -> list[float]:
    """Return the microseconds of a part of a call, in samples, for as long as `seconds` or until there are many."""
    found: list[float] = []
    until = time.monotonic() + seconds
    while len(found) < MAX_SAMPLES and (len(found) < MIN_SAMPLES or time.monotonic() < until):
        start, end = _event(), _event()
        start.record()
        calls[len(found) % len(calls)]()
        end.record()
        end.synchronize()
        found.append(start.elapsed_time(end) * 1000 / num_parts)
    return found


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
