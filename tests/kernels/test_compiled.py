"""Every kernel compiles for Hopper at the sizes of served models: no spills, fits, and uses what it is meant to."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import pytest
import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from bench.kernels import NAMES
from bench.kernels.compile_only import MAX_SHARED_BYTES, META, CompileOnly, activate, compiled
from bench.kernels.planted import planted
from bench.kernels.spec import Plant, Spec


@pytest.fixture(scope="module")
def driver() -> CompileOnly:
    return activate()


@pytest.mark.parametrize(("name", "shape"), [(n, shape.name) for n in NAMES for shape in Spec(n).shapes()])
def test_it_compiles_without_spills_and_fits(name: str, shape: str, driver: CompileOnly) -> None:
    spec = Spec(name)
    (meant,) = [one for one in spec.shapes() if one.name == shape]
    made = compiled(driver, spec, meant)
    assert made
    for kernel in made:
        assert kernel.num_spilled_bytes == 0, kernel
        assert kernel.num_shared_bytes <= MAX_SHARED_BYTES, kernel
        wanted = meant.opcodes.get(kernel.name)
        assert not wanted or wanted <= kernel.opcodes, kernel
    missing = meant.opcodes.keys() - {kernel.name for kernel in made}
    assert not missing, f"{missing} did not run"


class Launched:
    """A kernel function whose launches are kept, with what the compiler made of it."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self.kernels: list[Any] = []

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return lambda *arguments, **options: self.kernels.append(self._function[grid](*arguments, **options))


def steps_of_weights(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Return the kinds of float32 products and sums in the PTX of the kernels that weigh tokens, by kernel."""
    found = {name: Launched(getattr(module, name)) for name in ("_weigh", "_choose")}
    spec, shape = Spec("sample"), Spec("sample").shapes()[0]
    with monkeypatch.context() as patched:
        for name, launched in found.items():
            patched.setattr(module, name, launched)
        spec.run(module, shape.make(META, shape.dtype))
    steps = re.compile(r"\b((?:fma|mad|mul|add|sub)\.[\w.]*f32\w*)\b")
    return {name: set(steps.findall(launched.kernels[0].asm["ptx"])) for name, launched in found.items()}


def test_no_step_of_a_weight_is_fused(driver: CompileOnly, monkeypatch: pytest.MonkeyPatch) -> None:
    """The assembler may fuse a product and a sum that do not say how they round (PTX ISA, mul and add of f32)."""
    for kinds in steps_of_weights(Spec("sample").kernel, monkeypatch).values():
        assert kinds == {"mul.rn.f32", "add.rn.f32", "sub.rn.f32"}


def test_steps_of_weights_would_be_fused_if_nothing_were_said(
    driver: CompileOnly, monkeypatch: pytest.MonkeyPatch
) -> None:
    silence = Plant("fused", 'options["enable_fp_fusion"] = False', "")
    with planted(Spec("sample"), silence) as module:
        for kinds in steps_of_weights(module, monkeypatch).values():
            assert "fma.rn.f32" in kinds


@triton.jit
def _first(parts, out):  # type: ignore[no-untyped-def]
    tl.store(out, tl.load(parts[0]))


@triton.jit
def _described(tile, out):  # type: ignore[no-untyped-def]
    at = tl.arange(0, 16)
    parts = tile, out
    tl.store(out + at[:, None] * 16 + at[None, :], parts[0].load([0, 0]))


def described() -> tuple[TensorDescriptor, Tensor]:
    out = torch.empty(16, 16, device=META)
    return TensorDescriptor.from_tensor(out, [16, 16]), out


@pytest.mark.parametrize("is_nested", [False, True])
def test_descriptors_in_a_tuple_are_refused_as_a_launcher_on_a_gpu_does(is_nested: bool, driver: CompileOnly) -> None:
    tile, out = described()
    with pytest.raises(TypeError, match=r"descriptors to be arguments.* in the tuple `parts` of `_first`: make"):
        _first[(1,)]((out, (1, tile)) if is_nested else (out, tile), out)


def test_a_tuple_of_tensors_and_one_that_the_kernel_makes_are_none_of_that(driver: CompileOnly) -> None:
    driver.launched.clear()
    tile, out = described()
    _first[(1,)]((out, 1), out)
    _described[(1,)](tile, out)
    assert [kernel.name for kernel in driver.launched] == ["_first", "_described"]


def test_a_kernel_that_is_launched_again_is_not_loaded_again(driver: CompileOnly) -> None:
    driver.launched.clear()
    for _ in range(2):
        _described[(1,)](*described())
    first, second = driver.launched
    assert first is second
    assert list(driver.utils.by_handle.values()).count(first) == 1
