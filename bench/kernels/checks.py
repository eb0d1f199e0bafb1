"""Whether a kernel is right: its cases against the oracle, in memory that shows what was written."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from .poison import Poisoned
from .spec import Case, Spec, relative_error

INFINITY = float("inf")
MAX_UNEQUAL = 0.02  # of integers in which two right answers to random inputs may differ, where values nearly tie


@dataclass(frozen=True, slots=True)
class Verdict:
    """The worst of a kernel's cases in one type: right if the error is at most the tolerance.

    `note` says what is wrong beside a large error. The time is that of the kernel and its compiling.
    """

    num_cases: int
    worst_case: str
    error: float
    tolerance: float
    seconds: float
    note: str = ""

    @property
    def is_right(self) -> bool:
        """Whether it is; not a number is wrong."""
        return self.error <= self.tolerance


def check(
    spec: Spec,
    module: ModuleType,
    device: torch.device,
    dtype: torch.dtype,
    *,
    seed: int = 20,
    is_repeated: bool = False,
) -> Verdict:
    """Return the worst case; `is_repeated` runs each twice, and takes results that differ for wrong."""
    torch.manual_seed(seed)
    worst, note, num_cases, seconds = ("no case", 0.0), "", 0, 0.0
    for case in spec.cases(device, dtype):
        began = time.perf_counter()
        got, said = _run(spec, module, case)
        seconds += time.perf_counter() - began
        error = _error(spec, case, got, said)
        if is_repeated and not said and not _same(got, _run(spec, module, case)[0]):
            error, said = INFINITY, "two runs differ"
        num_cases += 1
        if not error <= worst[1]:
            worst, note = (case.name, error), said
    return Verdict(num_cases, *worst, spec.tolerance(dtype), seconds, note)


def is_caught(spec: Spec, module: ModuleType, device: torch.device, dtype: torch.dtype, *, seed: int = 20) -> bool:
    """Whether a case shows that a module is wrong. `check` says the same, and goes on after the first that does."""
    torch.manual_seed(seed)
    bound = spec.tolerance(dtype)
    cases = spec.cases(device, dtype)
    return any(not _error(spec, case, *_run(spec, module, case)) <= bound for case in cases)


def _error(spec: Spec, case: Case, got: tuple[Tensor, ...], said: str) -> float:
    return INFINITY if said else spec.error(got, spec.oracle(case.inputs))


def _run(spec: Spec, module: ModuleType, case: Case) -> tuple[tuple[Tensor, ...], str]:
    with Poisoned() as memory:
        got = spec.run(module, case.inputs)
    if got and got[0].is_cuda:
        torch.cuda.synchronize()
    return got, "" if memory.is_intact() else "wrote outside of its memory"


def _same(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(_bits(a), _bits(b)) for a, b in zip(first, second, strict=True))


def _bits(x: Tensor) -> Tensor:
    return x.contiguous().view(torch.uint8) if x.dim() and x.numel() else x


def difference(got: tuple[Tensor, ...], twin: tuple[Tensor, ...]) -> float:
    """Return by how much two answers to the same inputs differ: relative, of numbers; the part unequal, of integers.

    Integers count only where there is nothing else.
    """
    pairs = list(zip(got, twin, strict=True))
    numbers = [pair for pair in pairs if pair[0].dtype.is_floating_point]
    if numbers:
        return relative_error(tuple(a for a, _ in numbers), tuple(b for _, b in numbers))
    if any(a.shape != b.shape for a, b in pairs):
        return INFINITY
    return max((float((a != b).double().mean()) for a, b in pairs if a.numel()), default=0.0)


def is_far(difference: float, tolerance: float) -> bool:
    """Whether answers differ by more than the errors of both explain, at sizes where no oracle is at hand."""
    return not difference <= max(8 * tolerance, 0.0 if tolerance else MAX_UNEQUAL)
