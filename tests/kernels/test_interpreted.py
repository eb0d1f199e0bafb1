"""Every kernel against its float64 oracle, in Triton's interpreter: run with TRITON_INTERPRET=1, in its own process."""

from __future__ import annotations

import pytest
import torch

from bench.kernels import NAMES
from bench.kernels.checks import check, is_caught
from bench.kernels.planted import planted
from bench.kernels.spec import Plant, Spec

CPU = torch.device("cpu")
DTYPES = (torch.float32, torch.float16)  # bfloat16 is wrong in the interpreter: that is what a GPU is for


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_the_kernel_is_right(name: str, dtype: torch.dtype) -> None:
    spec = Spec(name)
    verdict = check(spec, spec.kernel, CPU, dtype)
    assert verdict.num_cases and verdict.is_right, verdict


@pytest.mark.parametrize("dtype", (*DTYPES, torch.bfloat16), ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_the_reference_is_right(name: str, dtype: torch.dtype) -> None:
    spec = Spec(name)
    verdict = check(spec, spec.reference, CPU, dtype)
    assert verdict.num_cases and verdict.is_right, verdict


@pytest.mark.parametrize(("name", "plant"), [(name, plant) for name in NAMES for plant in Spec(name).plants], ids=str)
def test_a_planted_bug_is_seen(name: str, plant: Plant) -> None:
    spec = Spec(name)
    with planted(spec, plant) as module:
        assert is_caught(spec, module, CPU, torch.float32)


@pytest.mark.parametrize("name", NAMES)
def test_at_least_three_bugs_are_planted_in_every_kernel(name: str) -> None:
    assert len(Spec(name).plants) >= 3
