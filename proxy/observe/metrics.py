"""Counters, gauges and histograms, shown as OpenMetrics text.

Source: OpenMetrics 1.0. A metric keeps at most `MAX_SERIES` label sets; further ones are counted under `other`.
"""

from __future__ import annotations

import bisect
import logging
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from ...ext.tally import Row, Step
from .arena import Merge, Shared, merge, new_row

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
    merge: Merge = staticmethod(operator.add)  # the numbers of two workers

    def __init__(self, name: str, help_text: str, label_names: Sequence[str] = ()) -> None:
        for part in (name, *label_names):
            if not _NAME.fullmatch(part):
                raise ValueError(f"expected a metric or label name of letters, digits and `_`, got {part!r}")
        self.name = name
        self.help_text = help_text
        self.label_names = tuple(label_names)
        self._shared: Shared | None = None

    def attach(self, shared: Shared) -> None:
        """Count where all workers count. To be called before anything is counted."""
        self._shared = shared

    @property
    def names(self) -> set[str]:
        """Every name that its lines may bear."""
        return {self.name, *(self.name + suffix for suffix in self.suffixes)}

    def rows(self) -> Iterator[tuple[Labels, Sequence[float]]]:
        """Yield the numbers of each set of labels, as this process has counted them."""
        raise NotImplementedError

    def lines(self, rows: Iterable[tuple[Labels, Sequence[float]]]) -> Iterator[str]:
        """Yield the sample lines of rows."""
        raise NotImplementedError

    def samples(self) -> Iterator[str]:
        """Yield the sample lines of what this process has counted."""
        return self.lines(self.rows())

    def _row(self, rows: dict[Labels, Row], labels: Labels, size: int) -> Row:
        """Return the row of labels that were not seen before."""
        labels = self._bounded(labels, len(rows), labels in rows)
        row = rows.get(labels)
        if row is None:
            row = self._shared.row(self.name, labels, size) if self._shared is not None else new_row(size)
            rows[labels] = row
        return row

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
        self._rows: dict[Labels, Row] = {}

    def add(self, *labels: str, amount: float = 1) -> None:
        """Count `amount` (finite, not negative) for these label values."""
        if not 0 <= amount < math.inf:
            raise ValueError(f"expected a counter to grow, got {amount}")
        row = self._rows.get(labels)
        if row is None:
            row = self._row(self._rows, labels, 1)
        row[0] += amount

    def step(self, *labels: str, place: int | None = None) -> Step:
        """Return the step of a tally that counts for these label values: what is at `place`, or 1."""
        row = self._rows.get(labels)
        return Step(self._row(self._rows, labels, 1) if row is None else row, place)

    def value(self, *labels: str) -> float:
        """Return the count of this process for these label values."""
        row = self._rows.get(labels)
        return row[0] if row is not None else 0

    def rows(self) -> Iterator[tuple[Labels, Sequence[float]]]:
        """Yield the count of each set of labels."""
        yield from self._rows.items()

    def lines(self, rows: Iterable[tuple[Labels, Sequence[float]]]) -> Iterator[str]:
        """Yield the sample lines of rows."""
        for labels, row in rows:
            yield f"{self.name}_total{self._text(labels)} {_number(row[0])}"


class Gauge(Metric):
    """A number as it is now: set, or read when shown. One that cannot be read is left out.

    `merge` makes one number of those of two workers: without it they are added up.
    """

    kind = "gauge"

    def __init__(self, name: str, help_text: str, label_names: Sequence[str] = (), merge: Merge = operator.add) -> None:
        super().__init__(name, help_text, label_names)
        self.merge = merge
        self._values: dict[Labels, float | Callable[[], float]] = {}

    def set(self, value: float | Callable[[], float], *labels: str) -> None:
        """Set the value, or the function that tells it."""
        self._values[self._bounded(labels, len(self._values), labels in self._values)] = value

    def add(self, amount: float, *labels: str) -> None:
        """Change the value by `amount`."""
        now = self._values.get(labels, 0)
        self.set((now() if callable(now) else now) + amount, *labels)

    def rows(self) -> Iterator[tuple[Labels, Sequence[float]]]:
        """Yield the number of each set of labels."""
        for labels, value in self._values.items():
            try:
                number = float(value() if callable(value) else value)
            except Exception as error:  # a plugin's function: its failure must not cost the others their place
                _log.error("metric %s could not be read: %r", self.name, error, exc_info=error)
                continue
            yield labels, (number,)

    def lines(self, rows: Iterable[tuple[Labels, Sequence[float]]]) -> Iterator[str]:
        """Yield the sample lines of rows."""
        for labels, row in rows:
            yield f"{self.name}{self._text(labels)} {_number(row[0])}"

    def publish(self, shared: Shared) -> None:
        """Write down what the other workers may show; what is not there any more is not a number."""
        now = dict(self.rows())
        for row in shared.own_rows(self.name):
            row[0] = math.nan
        for labels, (number,) in now.items():
            shared.row(self.name, labels, 1)[0] = number


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
        self._bounds = tuple(map(float, buckets))
        self._series: dict[Labels, Row] = {}  # one count per bucket, +Inf, the sum

    def observe(self, value: float, *labels: str) -> None:
        """Count one value. Raises: ValueError for NaN. Cost: O(log buckets)."""
        if math.isnan(value):
            raise ValueError(f"expected a number to observe in {self.name}, got NaN")
        series = self._series.get(labels)
        if series is None:
            series = self._row(self._series, labels, len(self._bounds) + 2)
        series[bisect.bisect_left(self._bounds, value)] += 1
        series[-1] += value

    def step(self, place: int, *labels: str) -> Step:
        """Return the step of a tally that counts the value at `place` for these label values."""
        series = self._series.get(labels)
        row = self._row(self._series, labels, len(self._bounds) + 2) if series is None else series
        return Step(row, place, self._bounds)

    def rows(self) -> Iterator[tuple[Labels, Sequence[float]]]:
        """Yield the counts and the sum of each set of labels."""
        yield from self._series.items()

    def lines(self, rows: Iterable[tuple[Labels, Sequence[float]]]) -> Iterator[str]:
        """Yield the sample lines of rows."""
        for labels, series in rows:
            total = 0.0
            for bound, count in zip((*self._bounds, float("inf")), series[:-1], strict=True):
                total += count
                yield f"{self.name}_bucket{self._text(labels, ('le', _bound(bound)))} {_number(total)}"
            yield f"{self.name}_count{self._text(labels)} {_number(total)}"
            yield f"{self.name}_sum{self._text(labels)} {_number(series[-1])}"


AnyMetric = TypeVar("AnyMetric", bound=Metric)


class Registry:
    """Every metric of the process, by name. With `shared` it shows what all workers have counted."""

    def __init__(self, shared: Shared | None = None) -> None:
        self._shared = shared
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
        if self._shared is not None:
            metric.attach(self._shared)
        self._metrics[metric.name] = metric
        self._names |= dict.fromkeys(metric.names, metric)
        return metric

    def publish(self) -> None:
        """Write the gauges down for the other workers. Cost: O(series)."""
        if self._shared is not None:
            for metric in self._metrics.values():
                if isinstance(metric, Gauge):
                    metric.publish(self._shared)

    def render(self) -> bytes:
        """Return everything as OpenMetrics text. Cost: O(series of all workers)."""
        self.publish()
        merged = self._shared.merged() if self._shared is not None else None
        lines: list[str] = []
        for metric in self._metrics.values():
            lines.append(f"# TYPE {metric.name} {metric.kind}")
            lines.append(f"# HELP {metric.name} {metric.help_text.translate(_ESCAPES)}")
            lines += metric.samples() if merged is None else metric.lines(_merged(metric, merged))
        lines.append("# EOF\n")
        return "\n".join(lines).encode("utf-8", "replace")


def _merged(
    metric: Metric, rows: Mapping[str, Sequence[tuple[Labels, list[float]]]]
) -> Iterator[tuple[Labels, Sequence[float]]]:
    return merge(rows.get(metric.name, ()), metric.merge)


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _bound(value: float) -> str:
    return "+Inf" if value == float("inf") else repr(float(value))
