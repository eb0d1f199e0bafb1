"""Faults in the order in which they come into force."""

from __future__ import annotations

from collections.abc import Sequence

from .spec import Spec

MAX_FAULTS = 1000


class Script:
    """Says which fault is in force. `now` is in seconds on any clock that never goes back.

    A fault comes into force when the one before it has ended: with the last of its `times`, or its time `for` after it
    came into force itself, whichever is first. After the last fault nothing is in force.
    """

    __slots__ = ("_since_s", "met", "position", "specs")

    def __init__(self, specs: Sequence[Spec], now: float) -> None:
        if len(specs) > MAX_FAULTS:
            raise ValueError(f"got a script of {len(specs)} faults, wanted at most {MAX_FAULTS}")
        self.specs = tuple(specs)
        self.met = [0] * len(self.specs)  # how many requests each fault met
        self.position = 0
        self._since_s = now

    def current(self, now: float) -> Spec | None:
        """Return the fault in force. Cost: one step a fault that has ended since the last call."""
        while (until_s := self.ends_at()) is not None and now >= until_s:
            self.position += 1
            self._since_s = until_s
        return self.specs[self.position] if self.position < len(self.specs) else None

    def ends_at(self) -> float | None:
        """Return the instant at which the fault at `position` ends by itself; None where it does not."""
        if self.position >= len(self.specs):
            return None
        spec = self.specs[self.position]
        if spec.kind == "refuse":
            return self._since_s + spec.duration_s
        return None if spec.for_ms is None else self._since_s + spec.for_ms / 1000

    def take(self, now: float, is_completion: bool) -> Spec | None:
        """Return the fault that meets a request, and count it."""
        spec = self.current(now)
        if spec is None or not (is_completion or spec.is_for_all):
            return None
        self.met[self.position] += 1
        if spec.times is not None and self.met[self.position] >= spec.times:
            self.position += 1
            self._since_s = now
        return spec
