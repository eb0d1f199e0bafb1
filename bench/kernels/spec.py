"""What a module about a kernel says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from . import NAMES

Inputs = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """Inputs to be right on. `name` says what is hard about them."""

    name: str
    inputs: Inputs


@dataclass(frozen=True)
class Shape:
    """A size to be fast at, as a served model has it.

    `make` makes inputs on a device: fresh random ones, or none at all on `meta`. The least that has to be moved and
    computed are `num_bytes` and `num_flops`. `target` is the part of the nearer ceiling that the kernel should reach,
    `is_bound_by_memory` which one that is, `matmul` whose product is the other (`bf16` or `fp8`). `max_us` is the most
    it may take where the time itself counts. 0 is no target. `opcodes` have to be in the machine code of the named
    kernel functions.
    """

    name: str
    make: Callable[[torch.device, torch.dtype], Inputs]
    num_bytes: int
    num_flops: int
    target: float
    is_bound_by_memory: bool = True
    dtype: torch.dtype = torch.bfloat16
    opcodes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    matmul: str = "bf16"
    max_us: float = 0.0


@dataclass(frozen=True)
class Plant:
    """A bug to be planted in the kernel's source: `old` occurs there once and becomes `new`."""

    name: str
    old: str
    new: str


class Spec:
    """One kernel: `kernel` and `reference` are its two modules, the rest comes from `bench/kernels/<name>.py`.

    That module has: `cases(device, dtype)`, `run(module, inputs)` (a tuple of tensors, in a fixed order),
    `oracle(inputs)` (the same in float64 on the CPU), `tolerance(dtype)`, `shapes()`, `peers()` (names to functions of
    the inputs), `PLANTS`, and where the outputs cannot be compared number by number `error(got, wanted)`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._about: ModuleType = import_module(f"bench.kernels.{name}")

    @property
    def kernel(self) -> ModuleType:
        """The module with the Triton kernel."""
        return import_module(f"headgate.inference.kernels.{self.name}")

    @property
    def reference(self) -> ModuleType:
        """The module that does the same with torch."""
        return import_module(f"headgate.inference.kernels.{self.name}_torch")

    def cases(self, device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
        """Yield inputs to be right on; the same for the same seed of torch."""
        yield from self._about.cases(device, dtype)

    def run(self, module: ModuleType, inputs: Inputs) -> tuple[Tensor, ...]:
        """Run the kernel, or its reference, on copies of what it changes."""
        outputs: tuple[Tensor, ...] = self._about.run(module, inputs)
        return outputs

    def oracle(self, inputs: Inputs) -> tuple[Tensor, ...]:
        """Return what is right, in float64 on the CPU, from the formula alone."""
        outputs: tuple[Tensor, ...] = self._about.oracle(inputs)
        return outputs

    def error(self, got: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> float:
        """Return the largest relative error; infinity where anything is not a number, or was never written."""
        own: Callable[..., float] | None = getattr(self._about, "error", None)
        return own(got, wanted) if own is not None else relative_error(got, wanted)

    def tolerance(self, dtype: torch.dtype) -> float:
        """Return the largest error that is right, for inputs of that type."""
        bound: float = self._about.tolerance(dtype)
        return bound

    def shapes(self) -> list[Shape]:
        """Return the sizes to be fast at."""
        found: list[Shape] = self._about.shapes()
        return found

    def peers(self, is_compiling: bool = True) -> Mapping[str, Callable[[Inputs], object]]:
        """Return what torch and others have for the same work; unless `is_compiling`, none goes by torch.compile."""
        with nullcontext() if is_compiling else mock.patch.object(torch, "compile", lambda function, **_: function):
            found: Mapping[str, Callable[[Inputs], object]] = self._about.peers()
        return found

    @property
    def plants(self) -> tuple[Plant, ...]:
        """The bugs to be planted."""
        found: tuple[Plant, ...] = self._about.PLANTS
        return found


def specs() -> list[Spec]:
    """Return all kernels."""
    return [Spec(name) for name in NAMES]


def relative_error(got: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> float:
    """Return the largest |got - wanted| over outputs, each relative to the largest value in its row.

    It is computed in float64, on the device of `got`.
    """
    worst = 0.0
    for mine, right in zip(got, wanted, strict=True):
        value = mine.detach().double()
        exact = right.to(value.device).double()
        if value.shape != exact.shape or not bool((value.isfinite() & exact.isfinite()).all()):
            return float("inf")
        if exact.numel():
            scale = exact.abs().amax(dim=-1, keepdim=True).clamp_min(1e-30)
            worst = max(worst, float(((value - exact).abs() / scale).max()))
    return worst
