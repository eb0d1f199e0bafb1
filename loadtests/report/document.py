"""The figures of runs as plain values: what is written as JSON, and what the page is made from."""

from __future__ import annotations

import math
import os
import platform
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from bench.machine import describe

from ..figures import answered_by_key, fairness, is_by, is_limited, is_ok, latency_ms, over_time, share
from ..records import Record
from ..run import Done
from ..slo import Verdict, exit_code, shown

_PACKAGES = ("headgate", "aiohttp", "uvloop", "orjson", "locust", "gevent", "geventhttpclient")
_LEAST_SHARE = 0.05  # of a resource; what was never used more is left out of the series


def document(done: Sequence[Done], loads: tuple[tuple[float, ...], tuple[float, ...]]) -> dict[str, Any]:
    """Return everything that is told of runs. `loads` are the machine's load averages before and after."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": describe(),
        "load_average": {"before": loads[0], "after": loads[1]},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        "cores": len(os.sched_getaffinity(0)),
        "exit_code": exit_code([(one.verdicts, one.invalid) for one in done]),
        "scenarios": [scenario(one) for one in done],
    }


def scenario(done: Done) -> dict[str, Any]:
    """Return what is told of one scenario."""
    observed = done.observed
    return {
        "name": done.scenario.name,
        "title": done.scenario.title,
        "seconds": observed.seconds,
        "requests": len(observed.records),
        "outcomes": dict(Counter(record.outcome for record in observed.records)),
        "verdict": verdict_word(done),
        "soundness": asdict(done.soundness),
        "invalid": list(done.invalid),
        "verdicts": [_verdict(one) for one in done.verdicts],
        "saturation": {"first": observed.saturation.first, "sentences": observed.saturation.sentences()},
        "marks": [[round(at, 2), text] for at, text in observed.marks],
        "gateway": _gateway(done),
        "over_time": _over_time(observed.records, observed.seconds),
        "in_use": {
            name: _rounded(values)
            for name, values in observed.rates.items()
            if max((value for _, value in values), default=0.0) >= _LEAST_SHARE
        },
        "levels": [{name: _number(value) for name, value in asdict(level).items()} for level in done.levels],
        "knee": done.knee,
        "keys": _keys(observed.records),
        "jain": _number(fairness(observed.records)),
    }


def verdict_word(done: Done) -> str:
    """Return how a scenario ended: `passed`, `missed` or `invalid`."""
    if done.invalid:
        return "invalid"
    return "passed" if all(one.is_met for one in done.verdicts) else "missed"


def _verdict(one: Verdict) -> dict[str, Any]:
    threshold = one.threshold
    return {
        "figure": threshold.figure,
        "meaning": threshold.meaning,
        "wanted": threshold.wanted(),
        "seen": "nothing" if one.seen is None else shown(one.seen, threshold.unit),
        "is_met": one.is_met,
    }


def _gateway(done: Done) -> dict[str, list[list[float | None]]]:
    """Return what the gateway's own metrics say over time."""
    samples = done.observed.samples
    gauges: dict[str, Callable[[int], float]] = {
        "exchanges under way": lambda n: samples[n].metrics.total("headgate_inflight"),
        "retries left, heavy": lambda n: samples[n].metrics.total("headgate_budget_remaining", cluster="heavy"),
        "breaker of heavy (0 closed, 1 open)": lambda n: _breaker(done, n, "heavy"),
        "breaker of lite (0 closed, 1 open)": lambda n: _breaker(done, n, "lite"),
    }
    return {
        name: _rounded([(sample.at_s, gauge(number)) for number, sample in enumerate(samples)])
        for name, gauge in gauges.items()
    }


def _breaker(done: Done, number: int, cluster: str) -> float:
    metrics = done.observed.samples[number].metrics
    return metrics.total("headgate_breaker_state", target=f"{cluster}/{cluster}")


def _over_time(records: Sequence[Record], seconds: float) -> dict[str, list[list[float | None]]]:
    figures: dict[str, Callable[[list[Record]], float]] = {
        "offered": len,
        "answered": lambda inside: sum(map(is_ok, inside)),
        "limited": lambda inside: share(inside, is_limited),
        "failed": lambda inside: share(inside, lambda record: not is_ok(record) and not is_limited(record)),
        "lite": lambda inside: share([record for record in inside if is_ok(record)], is_by("lite")),
        "p50_ms": lambda inside: latency_ms(inside, 50) or math.nan,
        "p99_ms": lambda inside: latency_ms(inside, 99) or math.nan,
    }
    return {name: _rounded(over_time(records, figure, seconds)) for name, figure in figures.items()}


def _keys(records: Sequence[Record]) -> dict[str, list[int]]:
    asked = Counter(record.key for record in records)
    return {key: [asked[key], answered] for key, answered in sorted(answered_by_key(records).items())}


def _rounded(values: Sequence[tuple[float, float]]) -> list[list[float | None]]:
    return [[round(at, 2), _number(value)] for at, value in values]


def _number(value: float) -> float | None:
    """Return a figure with four digits; None for what is none, since JSON has no word for it."""
    return float(f"{value:.4g}") if math.isfinite(value) else None
