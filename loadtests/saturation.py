"""Which resource was used up first, and how that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

USED_UP = 0.9
LASTING_S = 1.5

Series = Sequence[tuple[float, float]]  # (instant in s, share in use)


@dataclass(frozen=True, slots=True)
class Found:
    """A resource that was used up: since when, how much of it, and the most of it that was seen at all."""

    name: str
    at_s: float
    share: float
    most: float


@dataclass(frozen=True, slots=True)
class Saturation:
    """The resources that were used up, in order, and the most that was in use of every resource."""

    found: tuple[Found, ...]
    most: Mapping[str, float]

    @property
    def first(self) -> str:
        """The resource that was used up first, "" where none was."""
        return self.found[0].name if self.found else ""

    def sentences(self) -> list[str]:
        """Say it, with the evidence."""
        others = ", ".join(f"{name} {most:.0%}" for name, most in sorted(self.most.items(), key=lambda one: -one[1]))
        if not self.found:
            return [f"Nothing was used up for {LASTING_S:g} s (≥ {USED_UP:.0%}).", f"Most seen of each: {others}."]
        first, *later = self.found
        told = [f"{first.name} was used up first: {first.share:.0%} in use from {first.at_s:.1f} s on."]
        told += [f"Then {one.name}, from {one.at_s:.1f} s on." for one in later]
        return [*told, f"Most seen of each: {others}."]


def used_up(series: Mapping[str, Series]) -> Saturation:
    """Find every resource of which `USED_UP` or more was in use for `LASTING_S`, the earliest first.

    A value stands for the time since the one before it: a resource is used up from the beginning of the first one.
    """
    found = [one for name, values in series.items() if (one := _found(name, values)) is not None]
    order = sorted(found, key=lambda one: (one.at_s, -one.share, one.name))
    most = {name: max((share for _, share in values), default=0.0) for name, values in series.items()}
    return Saturation(tuple(order), most)


def _found(name: str, values: Series) -> Found | None:
    begin_s, before_s = None, 0.0
    held: list[float] = []
    for at_s, share in values:
        if share < USED_UP:
            begin_s, held = None, []
        else:
            begin_s = before_s if begin_s is None else begin_s
            held.append(share)
            if at_s - begin_s >= LASTING_S:
                return Found(name, begin_s, sum(held) / len(held), max(share for _, share in values))
        before_s = at_s
    return None
