"""What a scenario is: a configuration, tiers, crowds, what is done to them meanwhile, and what has to hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml

from ..crowd import Crowd
from ..records import BROKEN, UNANSWERED, UNSENT, Record
from ..resources import Bounds, Rates
from ..sampling import Sample
from ..saturation import Saturation
from ..shapes.staircase import Staircase
from ..slo import Threshold
from ..stand import TierSpec

FOLDER = Path(__file__).parent
KEYS = tuple(range(1, 11))


class Actions(Protocol):
    """What a scenario may do to a running stand."""

    config: Path
    folder: Path

    async def start_tier(self, name: str) -> None:
        """Start a tier."""

    def kill_tier(self, name: str) -> None:
        """Kill a tier."""

    async def reload(self) -> int:
        """Reload; return the status."""


class Timeline:
    """The clock of a run, and the marks put on it."""

    def __init__(self, begin_s: float) -> None:
        self._begin_s = begin_s
        self.marks: list[tuple[float, str]] = []

    def now_s(self) -> float:
        """Return the time since the beginning."""
        return asyncio.get_running_loop().time() - self._begin_s

    async def until(self, at_s: float) -> None:
        """Wait for an instant."""
        await asyncio.sleep(max(at_s - self.now_s(), 0.0))

    def mark(self, text: str) -> None:
        """Put down that something happened now."""
        self.marks.append((self.now_s(), text))


@dataclass(frozen=True, slots=True)
class Observed:
    """All that was seen of a run."""

    seconds: float
    records: Sequence[Record]
    samples: Sequence[Sample]
    marks: Sequence[tuple[float, str]]
    bounds: Bounds
    rates: Rates
    saturation: Saturation

    @property
    def before(self) -> Sample:
        """The first look, before the load."""
        return self.samples[0]

    @property
    def after(self) -> Sample:
        """The last look, when everything should have ended."""
        return self.samples[-1]

    def grown(self, metric: str, **labels: str) -> float:
        """Return by how much a metric grew in the run."""
        return self.after.metrics.total(metric, **labels) - self.before.metrics.total(metric, **labels)

    def mark_s(self, text: str) -> float:
        """Return when something happened. Raises: LookupError where it did not."""
        for at_s, found in self.marks:
            if found == text:
                return at_s
        raise LookupError(f"expected a mark {text!r}, got {[found for _, found in self.marks]}")


Disturb = Callable[[Actions, Timeline, float], Coroutine[Any, Any, None]]


async def undisturbed(_actions: Actions, _timeline: Timeline, _seconds: float) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. `crowds` and `steps` are made for a length in seconds, of which it needs `least_seconds`."""

    name: str
    title: str
    seconds: float
    least_seconds: float
    tiers: Mapping[str, TierSpec]
    crowds: Callable[[float], tuple[Crowd, ...]]
    thresholds: tuple[Threshold, ...]
    figures: Callable[[Observed], Mapping[str, float]]
    disturb: Disturb = undisturbed
    staircase: Callable[[float], Staircase] | None = None
    seed: int = field(default=1)

    @property
    def config(self) -> Path:
        """The gateway's file, beside the scenario."""
        return FOLDER / f"{self.name.replace('-', '_')}.yaml"

    def pools(self) -> dict[str, int]:
        """Return how many connections the gateway may have to each tier, where its file says so."""
        clusters = yaml.safe_load(self.config.read_text())["clusters"]
        found = {name: cluster.get("pool", {}).get("max_connections") for name, cluster in clusters.items()}
        return {name: most for name, most in found.items() if most is not None}


# What holds in every scenario, whatever happens in it.
ALWAYS = (
    Threshold("crashes", "exchanges that ended by a fault of the gateway", at_most=0),
    Threshold("left_over", "exchanges still under way when all clients had gone", at_most=0),
    Threshold("slots_left_over", "slots of tiers still taken then", at_most=0),
    Threshold("miscounted", "requests answered but not counted in the metrics, or counted but not sent", at_most=0),
    Threshold("unanswered", "requests without any answer", at_most=0, unit="%"),
)


def always(observed: Observed) -> dict[str, float]:
    """Return the figures of `ALWAYS`."""
    sent = [record for record in observed.records if record.outcome != UNSENT]
    answered = sum(record.status > 0 for record in sent)
    counted, refused = observed.grown("headgate_requests_total"), observed.grown("headgate_refused_total")
    return {
        "crashes": observed.grown("headgate_crashes_total"),
        "left_over": observed.after.metrics.total("headgate_inflight"),
        "slots_left_over": sum(state.in_use + state.waiting for state in observed.after.tiers.values()),
        "miscounted": max(answered - counted - refused, counted - len(sent), 0),
        "unanswered": sum(record.outcome == UNANSWERED for record in sent) / max(len(sent), 1),
        "broken": sum(record.outcome == BROKEN for record in sent),
    }
