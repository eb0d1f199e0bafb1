"""What was measured, and the ratios that count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

PEERS = ("nginx", "envoy")  # what every figure is a multiple of


class InvalidRun(Exception):
    """Something did not go as it must for the figures to mean anything."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a generator of load saw. `units` are whole answers, or events of a stream; `more` is the work's own."""

    units: int
    duration_s: float
    p50_ms: float
    p99_ms: float
    more: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """One proxy on one work in one round."""

    units: int
    cpu_us: float
    per_s: float
    p50_ms: float
    p99_ms: float
    rss_kib: int
    more: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the rounds."""

    min: float
    median: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise at least one value."""
        return cls(min(values), median(values), max(values))


Samples = Mapping[str, Sequence[Sample]]  # by proxy, one for each round that it took part in, from the first on


def ratios(samples: Samples, proxy: str, peer: str) -> Spread | None:
    """Return the CPU time of `proxy` as a multiple of `peer`'s in the same round; None where one did not take part."""
    pairs = list(zip(samples.get(proxy, ()), samples.get(peer, ()), strict=False))
    return Spread.of([sample.cpu_us / other.cpu_us for sample, other in pairs]) if pairs else None


def added(samples: Samples, proxy: str, part: str, direct: str) -> Spread | None:
    """Return how much longer a part of the latencies took through `proxy` than `direct`, in the same round."""
    pairs = list(zip(samples.get(proxy, ()), samples.get(direct, ()), strict=False))
    return Spread.of([getattr(sample, part) - getattr(other, part) for sample, other in pairs]) if pairs else None
