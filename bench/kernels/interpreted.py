"""What a worker does in Triton's interpreter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch

from .checks import check, is_caught
from .planted import planted
from .spec import Spec
from .work import Item

CPU = torch.device("cpu")


def checked(item: Item) -> dict[str, Any]:
    """Return the verdict on a kernel in one type."""
    spec = Spec(item.kernel)
    verdict = check(spec, spec.kernel, CPU, getattr(torch, item.detail), seed=item.seed)
    return {**asdict(verdict), "is_right": verdict.is_right}


def plant(item: Item) -> dict[str, Any]:
    """Return whether a planted bug is noticed."""
    spec = Spec(item.kernel)
    bug = spec.plants[item.number]
    with planted(spec, bug) as module:
        return {"name": bug.name, "is_caught": is_caught(spec, module, CPU, torch.float32, seed=item.seed)}


def is_sound() -> bool:
    """Whether the process can go on: always."""
    return True


DOES: dict[str, Callable[[Item], Mapping[str, Any]]] = {"check": checked, "plant": plant}
