"""The gateway's own figures, read from its `/metrics`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Metrics:
    """The samples of one look."""

    samples: Mapping[tuple[str, Labels], float]

    @classmethod
    def parse(cls, text: str) -> Metrics:
        """Read OpenMetrics text; lines that are no samples are left out."""
        found: dict[tuple[str, Labels], float] = {}
        for line in text.splitlines():
            match = _SAMPLE.match(line)
            if match is not None:
                found[match[1], frozenset(_LABEL.findall(match[2] or ""))] = float(match[3])
        return cls(found)

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of all samples of a metric that have these labels; 0 where there are none."""
        wanted = labels.items()
        return sum(value for (found, given), value in self.samples.items() if found == name and given >= wanted)


NOTHING = Metrics({})
