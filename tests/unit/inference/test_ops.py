"""The registry of operations."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from headgate.inference import kernels
from headgate.inference.ops import NAMES, Backend, Ops, ops_for


def test_every_operation_is_torchs_without_a_gpu() -> None:
    ops = ops_for("cpu")
    for name in NAMES:
        assert getattr(ops, name) is getattr(import_module(f"headgate.inference.kernels.{name}_torch"), name)


def test_each_operation_is_picked_by_itself() -> None:
    for name in NAMES:
        chosen: dict[str, Backend] = {name: "triton"}
        ops = Ops(chosen=chosen)
        assert getattr(ops, name).__module__ == f"headgate.inference.kernels.{name}"
        assert all(getattr(ops, other) is getattr(Ops(), other) for other in NAMES if other != name)
        assert f"{name} triton" in str(ops) and str(ops).count("triton") == 1


def test_on_a_gpu_every_operation_is_a_kernel() -> None:
    ops = ops_for("cuda")
    assert all(getattr(ops, name).__module__ == f"headgate.inference.kernels.{name}" for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_kernel_and_twin_have_one_signature(name: str) -> None:
    kernel, twin = (
        inspect.signature(getattr(import_module(f"headgate.inference.kernels.{name}{kind}"), name))
        for kind in ("", "_torch")
    )
    assert [each for each in kernel.parameters.values() if each.name != "config"] == [*twin.parameters.values()]
    assert kernel.return_annotation == twin.return_annotation


def test_what_is_no_operation_is_refused() -> None:
    wrong: Any = {"gelu": "torch"}
    with pytest.raises(ValueError, match=r"expected operations out of fp8_gemm, .*, got gelu"):
        Ops(chosen=wrong)
    unknown: Any = {"gate": "cuda"}
    with pytest.raises(ValueError, match="gate: expected torch or triton, got 'cuda'"):
        Ops(chosen=unknown)


def test_every_kernel_of_the_model_has_a_twin() -> None:
    folder = Path(kernels.__path__[0])
    assert all((folder / f"{name}{kind}.py").is_file() for name in NAMES for kind in ("", "_torch"))
