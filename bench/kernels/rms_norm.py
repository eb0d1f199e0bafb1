"""RMSNorm with the residual added first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional

from .spec import Case, Inputs, Plant, Shape

EPS = 1e-6
_TOLERANCES = {torch.float32: 1e-6, torch.float16: 2**-9, torch.bfloat16: 2**-6}

PLANTS = (
    Plant(
        "eps outside of the root",
        "tl.sum(values * values, axis=0) / width + eps)",
        "tl.sum(values * values, axis=0) / width) + eps",
    ),
    Plant("mean over the block", "axis=0) / width", "axis=0) / BLOCK"),
    Plant("no residual", "        values += tl.load(residual", "        values += 0 * tl.load(residual"),
    Plant("the weight of the first", "tl.load(weight + at,", "tl.load(weight + 0 * at,"),
)


def _make(device: torch.device, dtype: torch.dtype, rows: int, width: int, scale: float = 1.0) -> Inputs:
    def draw(*shape: int) -> Tensor:
        return (torch.randn(*shape, device=device) * scale).to(dtype)

    return {"x": draw(rows, width), "weight": draw(width), "eps": EPS, "residual": draw(rows, width)}


def cases(device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    """Yield cases."""
    for rows, width in ((1, 1), (3, 7), (5, 128), (2, 1536), (4, 2048), (1, 7168)):
        yield Case(f"{rows} x {width}", _make(device, dtype, rows, width))
    yield Case("no rows", _make(device, dtype, 0, 64))
    yield Case("tiny values, where eps counts", _make(device, dtype, 3, 64, 1e-3))
    yield Case("large values", _make(device, dtype, 3, 64, 100.0))
    yield Case("a row of zeros", {**_make(device, dtype, 2, 48), "x": torch.zeros(2, 48, device=device, dtype=dtype)})
    plain = _make(device, dtype, 3, 100)
    yield Case("no residual", {**plain, "residual": None})


def run(module: ModuleType, inputs: Inputs) -> tuple[Tensor, ...]:
    """Run it."""
    y, total = module.rms_norm(**inputs)
    return y, total


def oracle(inputs: Inputs) -> tuple[Tensor, ...]:
    """Return y and total."""
    x, weight = inputs["x"].cpu(), inputs["weight"].cpu()
    residual = None if inputs["residual"] is None else inputs["residual"].cpu()
    total = x.double() if residual is None else x.double() + residual.double()
    rounded = total.to(x.dtype).double()  # what is kept is what is normalised
    y = rounded / (rounded.square().mean(dim=-1, keepdim=True) + inputs["eps"]).sqrt() * weight.double()
    return y, total


def tolerance(dtype: torch.dtype) -> float:
    """Two roundings to the type, or a sum in float32."""
    return _TOLERANCES[dtype]


def shapes() -> list[Shape]:
    """Return the norms of DeepSeek-V2-Lite and V3, by their widths."""
    found = []
    for rows, width in ((1, 2048), (64, 2048), (4096, 2048), (16384, 2048), (64, 7168), (4096, 7168)):
        size = 4 * rows * width * 2 + width * 2
        make = _maker(rows, width)
        found.append(Shape(f"{rows} x {width}", make, size, 5 * rows * width, target=0.85 if rows >= 4096 else 0.0))
    return found


def _maker(rows: int, width: int) -> Callable[[torch.device, torch.dtype], Inputs]:
    return lambda device, dtype: _make(device, dtype, rows, width)


def peers() -> Mapping[str, Callable[[Inputs], object]]:
    """Return torch's own."""

    def eager(inputs: Inputs) -> object:
        total = inputs["x"] + inputs["residual"]
        return functional.rms_norm(total, inputs["weight"].shape, inputs["weight"], inputs["eps"]), total

    return {"torch add + rms_norm": eager, "torch.compile": torch.compile(eager)}
