"""Counters, gauges and histograms, shown as OpenMetrics text.

Source: OpenMetrics 1.0. A metric keeps at most `MAX_SERIES` label sets; further ones are counted under `other`.
"""

from __future__ import annotations

import bisect
import logging
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

MAX_SERIES = 1000
CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
DURATION_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)

_log = logging.getLogger("headgate")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
Labels = tuple[str, ...]


class Metric:
    """What every kind of metric has: a name, a help text, label names."""

    kind = ""
    suffixes: tuple[str, ...] = ()

    def __init__(self, name: str, help_text: str, label_names: Sequence[str] = ()) -> None:
        for part in (name, *label_names):
            if not _NAME.fullmatch(part):
                raise ValueError(f"expected a metric or label name of letters, digits and `_`, got {part!r}")
        self.name = name
        self.help_text = help_text
        self.label_names = tuple(label_names)

    @property
    def names(self) -> set[str]:
        """Every name that its lines may bear."""
        return {self.name, *(self.name + suffix for suffix in self.suffixes)}

    def samples(self) -> Iterator[str]:
        """Yield the sample lines."""
        raise NotImplementedError

    def _bounded(self, labels: Labels, known: int, is_known: bool) -> Labels:
        if len(labels) != len(self.label_names):
            raise ValueError(f"expected {len(self.label_names)} labels of {self.name}, got {len(labels)}")
        return labels if is_known or known < MAX_SERIES else ("other",) * len(labels)

    def _text(self, labels: Labels, *more: tuple[str, str]) -> str:
        pairs = (*zip(self.label_names, labels, strict=True), *more)
        inner = ",".join(f'{name}="{str(value).translate(_ESCAPES)}"' for name, value in pairs)
        return f"{{{inner}}}" if inner else ""


class Counter(Metric):
    """A number that only grows."""

    kind = "counter"
    suffixes = ("_total",)

    def __init__(self, name: str, help_text: str, label_names: Sequence[str] = ()) -> None:
        super().__init__(name.removesuffix("_total"), help_text, label_names)
        self._values: dict[Labels, float] = {}

    def add(self, *labels: str, amount: float = 1) -> None:
        """Count `amount` (finite, not negative) for these label values."""
        if not 0 <= amount < math.inf:
            raise ValueError(f"expected a counter to grow, got {amount}")
        key = self._bounded(labels, len(self._values), labels in self._values)
        self._values[key] = self._values.get(key, 0) + amount

    def value(self, *labels: str) -> float:
        """Return the count for these label values."""
        return self._values.get(labels, 0)

    def samples(self) -> Iterator[str]:
        """Yield the sample lines."""
        for labels, value in self._values.items():
            yield f"{self.name}_total{self._text(labels)} {_number(value)}"


class Gauge(Metric):
    """A number as it is now: set, or read when shown. One that cannot be read is left out."""

    kind = "gauge"

    def __init__(self, name: str, help_text: str, label_names: Sequence[str] = ()) -> None:
        super().__init__(name, help_text, label_names)
        self._values: dict[Labels, float | Callable[[], float]] = {}

    def set(self, value: float | Callable[[], float], *labels: str) -> None:
        """Set the value, or the function that tells it."""
        self._values[self._bounded(labels, len(self._values), labels in self._values)] = value

    def add(self, amount: float, *labels: str) -> None:
        """Change the value by `amount`."""
        now = self._values.get(labels, 0)
        self.set((now() if callable(now) else now) + amount, *labels)

    def samples(self) -> Iterator[str]:
        """Yield the sample lines."""
        for labels, value in self._values.items():
            try:
                number = _number(value() if callable(value) else value)
            except Exception as error:  # a plugin's function: its failure must not cost the others their place
                _log.error("metric %s could not be read: %r", self.name, error, exc_info=error)
                continue
            yield f"{self.name}{self._text(labels)} {number}"


class Histogram(Metric):
    """How values are spread over buckets (upper bounds, ascending; +Inf is added)."""

    kind = "histogram"
    suffixes = ("_bucket", "_count", "_sum")

    def __init__(
        self, name: str, help_text: str, label_names: Sequence[str] = (), buckets: Sequence[float] = DURATION_BUCKETS_S
    ) -> None:
        super().__init__(name, help_text, label_names)
        if list(buckets) != sorted(set(buckets)):
            raise ValueError(f"expected ascending buckets of {name}, got {buckets}")
        if "le" in label_names:
            raise ValueError(f"expected no label `le` of {name}: it names the bucket")
        self._bounds = tuple(buckets)
        self._series: dict[Labels, list[float]] = {}  # one count per bucket, +Inf, the sum

    def observe(self, value: float, *labels: str) -> None:
        """Count one value. Raises: ValueError for NaN. Cost: O(log buckets)."""
        if math.isnan(value):
            raise ValueError(f"expected a number to observe in {self.name}, got NaN")
        key = self._bounded(labels, len(self._series), labels in self._series)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = [0.0] * (len(self._bounds) + 2)
        series[bisect.bisect_left(self._bounds, value)] += 1
        series[-1] += value

    def samples(self) -> Iterator[str]:
        """Yield the sample lines."""
        for labels, series in self._series.items():
            total = 0.0
            for bound, count in zip((*self._bounds, float("inf")), series[:-1], strict=True):
                total += count
                yield f"{self.name}_bucket{self._text(labels, ('le', _bound(bound)))} {_number(total)}"
            yield f"{self.name}_count{self._text(labels)} {_number(total)}"
            yield f"{self.name}_sum{self._text(labels)} {_number(series[-1])}"


AnyMetric = TypeVar("AnyMetric", bound=Metric)


class Registry:
    """Every metric of the process, by name."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}
        self._names: dict[str, Metric] = {}

    def register(self, metric: AnyMetric) -> AnyMetric:
        """Add a metric and return it; one of the same name, kind and labels is returned in its place.

        Raises: ValueError where the name, or that of one of its samples, stands for something else.
        """
        for name in sorted(metric.names):
            known = self._names.get(name)
            if known is None:
                continue
            is_same = (known.name, known.kind, known.label_names) == (metric.name, metric.kind, metric.label_names)
            if not is_same or not isinstance(known, type(metric)):
                raise ValueError(f"metric {name}: registered before as {known.kind} with labels {known.label_names}")
            return known
        self._metrics[metric.name] = metric
        self._names |= dict.fromkeys(metric.names, metric)
        return metric

    def render(self) -> bytes:
        """Return everything as OpenMetrics text. Cost: O(series)."""
        lines: list[str] = []
        for metric in self._metrics.values():
            lines.append(f"# TYPE {metric.name} {metric.kind}")
            lines.append(f"# HELP {metric.name} {metric.help_text.translate(_ESCAPES)}")
            lines += metric.samples()
        lines.append("# EOF\n")
        return "\n".join(lines).encode("utf-8", "replace")


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _bound(value: float) -> str:
    return "+Inf" if value == float("inf") else repr(float(value))
