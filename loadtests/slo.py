"""What a scenario has to show, and the exit code that follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

PASSED, MISSED, INVALID = 0, 1, 2

# Above this share of a core the generator itself is what is measured.
GENERATOR_CORE_SHARE = 0.8
GENERATOR_WINDOW_S = 5.0
GENERATOR_LATE_MS = 250.0
# Above this share of the machine's cores, over the whole run, it is others that are measured.
OTHERS_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Soundness:
    """What says whether a run means anything: shares of a core and of all cores, lateness, and what was not sent."""

    generator_share: float
    others_share: float
    late_ms: float
    num_unsent: int


@dataclass(frozen=True, slots=True)
class Threshold:
    """A bound of one figure. `at_least` and `at_most` may both be there."""

    figure: str
    meaning: str
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"expected a bound of {self.figure!r}, got none")

    def wanted(self) -> str:
        """Return the bound as text."""
        parts = []
        if self.at_least is not None:
            parts.append(f"≥ {shown(self.at_least, self.unit)}")
        if self.at_most is not None:
            parts.append(f"≤ {shown(self.at_most, self.unit)}")
        return " and ".join(parts)

    def is_met(self, value: float) -> bool:
        """Whether the figure is inside; one that is not a number is not."""
        is_enough = self.at_least is None or value >= self.at_least
        return is_enough and (self.at_most is None or value <= self.at_most)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One threshold, and what was seen; None where the figure is not there."""

    threshold: Threshold
    seen: float | None

    @property
    def is_met(self) -> bool:
        """Whether the threshold was kept. A figure that is not there keeps none."""
        return self.seen is not None and self.threshold.is_met(self.seen)


def judge(thresholds: Iterable[Threshold], figures: Mapping[str, float]) -> list[Verdict]:
    """Compare every threshold with its figure."""
    return [Verdict(threshold, figures.get(threshold.figure)) for threshold in thresholds]


def why_invalid(seen: Soundness) -> list[str]:
    """Return why a run means nothing: its generator or its machine was at the limit. Empty for a sound run."""
    reasons = []
    if not seen.generator_share <= GENERATOR_CORE_SHARE:
        reasons.append(
            f"the generator used {seen.generator_share:.0%} of a core over {GENERATOR_WINDOW_S:g} s, "
            f"more than {GENERATOR_CORE_SHARE:.0%}"
        )
    if not seen.others_share <= OTHERS_SHARE:
        reasons.append(f"other programs used {seen.others_share:.0%} of the machine, more than {OTHERS_SHARE:.0%}")
    if not seen.late_ms <= GENERATOR_LATE_MS:
        reasons.append(
            f"1 % of the requests were sent {seen.late_ms:.0f} ms late or more, above {GENERATOR_LATE_MS:g} ms"
        )
    if seen.num_unsent:
        reasons.append(f"{seen.num_unsent} requests were not sent: too many were under way")
    return reasons


def exit_code(runs: Sequence[tuple[Sequence[Verdict], Sequence[str]]]) -> int:
    """Return the exit code of runs, each its verdicts and why it is invalid. An invalid run is neither good nor bad."""
    if any(reasons for _, reasons in runs):
        return INVALID
    return PASSED if all(verdict.is_met for verdicts, _ in runs for verdict in verdicts) else MISSED


def shown(value: float, unit: str) -> str:
    """Return a figure as text."""
    if unit == "%":
        return f"{value * 100:.4g} %"
    number = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{number} {unit}".rstrip()
