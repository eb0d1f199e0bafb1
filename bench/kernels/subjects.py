"""The kernels of a run, with their shapes and the names of their peers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from .attempts import Failure, attempt
from .figures import floor_us
from .spec import Shape, Spec
from .work import Done, Item


@dataclass(frozen=True, slots=True)
class Subject:
    """One kernel."""

    name: str
    shapes: Sequence[Shape]
    peers: Sequence[str]
    num_plants: int = 0

    @property
    def weight_us(self) -> float:
        """What it costs a model at best: the floor of its largest shape."""
        return max(map(floor_us, self.shapes), default=0.0)


def subjects(names: Sequence[str]) -> tuple[list[Subject], list[Done]]:
    """Return the kernels, those that weigh most first, and as failures those that cannot even be described."""
    found, failures = list[Subject](), list[Done]()
    for name in names:
        one = attempt(partial(_described, name))
        if isinstance(one, Failure):
            failures.append(Done(Item("describe", name), {}, one.said, one.trace))
        else:
            found.append(one)
    return sorted(found, key=lambda subject: -subject.weight_us), failures


def _described(name: str) -> Subject:
    spec = Spec(name)
    return Subject(name, spec.shapes(), list(spec.peers(is_compiling=False)), len(spec.plants))
