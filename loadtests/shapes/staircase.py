"""The search for saturation: steps of a rate that grows until something is used up."""

from __future__ import annotations

from dataclasses import dataclass

from .curve import Curve, joined


@dataclass(frozen=True, slots=True)
class Step:
    """One rate that is held from `begin_s` to `end_s`."""

    begin_s: float
    end_s: float
    rate: float


@dataclass(frozen=True, slots=True)
class Staircase:
    """Steps of equal length, each rate the same multiple of the one before."""

    lowest: float
    highest: float
    num_steps: int
    seconds: float

    def steps(self) -> list[Step]:
        """Return the steps in order."""
        if self.num_steps < 2 or not 0 < self.lowest < self.highest:
            raise ValueError(f"expected two or more steps up from a rate above 0, got {self}")
        width = self.seconds / self.num_steps
        factor = (self.highest / self.lowest) ** (1 / (self.num_steps - 1))
        return [Step(n * width, (n + 1) * width, self.lowest * factor**n) for n in range(self.num_steps)]

    def curve(self) -> Curve:
        """Return the steps as a rate over time."""
        return joined([(step.end_s - step.begin_s, step.rate) for step in self.steps()])
