"""What was measured, and the ratios that count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

PEER = "nginx"


class InvalidRun(Exception):
    """Something did not go as it must for the figures to mean anything."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a generator of load saw. `units` are whole answers, or events of a stream."""

    units: int
    duration_s: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One proxy on one work in one round."""

    units: int
    cpu_us: float
    per_s: float
    p50_ms: float
    p99_ms: float
    rss_kib: int


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


Samples = Mapping[str, Sequence[Sample]]  # by proxy, one for each round


def ratios(samples: Samples, proxy: str) -> Spread:
    """Return the CPU time of `proxy` as a multiple of the peer's in the same round."""
    pairs = zip(samples[proxy], samples[PEER], strict=True)
    return Spread.of([sample.cpu_us / peer.cpu_us for sample, peer in pairs])


def table(title: str, unit: str, samples: Samples) -> str:
    """Return the figures of one work as text."""
    times = f"{'CPU µs/' + unit:>26} {'times ' + PEER:>23}"
    head = f"{'':10} {times} {unit + 's/s':>11} {'p50 ms':>8} {'p99 ms':>8} {'RSS MiB':>8}"
    rows = [_row(name, samples) for name in samples]
    return "\n".join([f"{title} (min, median, max)", head, *rows])


def _row(name: str, samples: Samples) -> str:
    own = samples[name]
    cpu, ratio = Spread.of([sample.cpu_us for sample in own]), ratios(samples, name)
    cost = f"{cpu.min:8.1f} {cpu.median:8.1f} {cpu.max:8.1f}"
    times = f"{ratio.min:7.2f} {ratio.median:7.2f} {ratio.max:7.2f}" if name != PEER else ""
    per_s, p50, p99 = (median(getattr(sample, part) for sample in own) for part in ("per_s", "p50_ms", "p99_ms"))
    rss_mib = max(sample.rss_kib for sample in own) / 1024
    return f"{name:10} {cost:>26} {times:>23} {per_s:>11.0f} {p50:>8.2f} {p99:>8.2f} {rss_mib:>8.1f}"
