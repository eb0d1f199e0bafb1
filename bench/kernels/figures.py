"""What times mean: parts of what the card was seen to do in the same run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .spec import Shape

NOMINAL = {"copy": 3e12, "bf16": 8e14, "fp8": 12e14}  # of a Hopper card, where nothing was measured


@dataclass(frozen=True, slots=True)
class Figures:
    """A time's bytes and operations a second, and its part of the nearer ceiling; None where that was not measured."""

    gb_per_s: float
    tflop_per_s: float
    part: float | None
    is_met: bool | None


def figures(shape: Shape, us: float, ceilings: Mapping[str, float]) -> Figures:
    """Return what a time of a shape means. `is_met` is None where the shape has no target."""
    bytes_per_s, flop_per_s = shape.num_bytes / us * 1e6, shape.num_flops / us * 1e6
    ceiling = ceilings.get(bound(shape))
    reached = bytes_per_s if shape.is_bound_by_memory else flop_per_s
    part = reached / ceiling if ceiling else None
    wanted = []
    if shape.target and part is not None:
        wanted.append(part >= shape.target)
    if shape.max_us:
        wanted.append(us <= shape.max_us)
    return Figures(bytes_per_s / 1e9, flop_per_s / 1e12, part, all(wanted) if wanted else None)


def bound(shape: Shape) -> str:
    """Return the name of the ceiling that is nearer."""
    return "copy" if shape.is_bound_by_memory else shape.matmul


def floor_us(shape: Shape, ceilings: Mapping[str, float] = NOMINAL) -> float:
    """Return the time below which no version of it gets, in microseconds."""
    flops = ceilings.get(shape.matmul, NOMINAL[shape.matmul])
    return max(shape.num_bytes / ceilings.get("copy", NOMINAL["copy"]), shape.num_flops / flops) * 1e6


def has_target(shape: Shape) -> bool:
    """Whether the shape is held to a figure."""
    return bool(shape.target or shape.max_us)


def target(shape: Shape) -> str:
    """Return what it is held to."""
    parts = [f"{shape.target:.2f}"] if shape.target else []
    return " ".join([*parts, *([f"{shape.max_us:g} us"] if shape.max_us else [])]) or "-"
