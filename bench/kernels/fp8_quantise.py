"""Activations in 8 bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional

from .spec import Case, Inputs, Plant, Shape

_BLOCK, _LARGEST, _LEAST = 128, 448.0, 2.0**-100

PLANTS = (
    Plant("cut off instead of rounded", "value = _rounded(found * ", "value = (found * "),
    Plant("the last places of what is small", "tl.maximum(power, 0.015625)", "power"),
    Plant("the largest value has 16 bits", "0x7FFFFFFF", "0x7FFF0000"),
    Plant(
        "the largest value is the sum's",
        "tl.div_rn(tl.where(largest < _LEAST",
        "tl.div_rn(2.0 * tl.where(largest < _LEAST",
    ),
    Plant(
        "the scales of the first block", "scales + block.to(tl.int64) * rows", "scales + 0 * block.to(tl.int64) * rows"
    ),
    Plant("rows that lie apart", "wide * stride + at[None, :]", "wide * width + at[None, :]"),
)


def _make(device: torch.device, dtype: torch.dtype, rows: int, width: int, scale: float = 1.0) -> Inputs:
    return {"x": (torch.randn(rows, width, device=device) * scale).to(dtype)}


def cases(device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    """Yield cases."""
    for rows, width in ((1, 1), (1, 128), (3, 129), (5, 127), (2, 1536), (9, 200)):
        yield Case(f"{rows} x {width}", _make(device, dtype, rows, width))
    yield Case("no rows", _make(device, dtype, 0, 256))
    yield Case("no columns", _make(device, dtype, 3, 0))
    yield Case("tiny values", _make(device, dtype, 3, 256, 2.0**-20 if dtype == torch.float16 else 1e-32))
    yield Case("large values", _make(device, dtype, 3, 256, 1e4 if dtype == torch.float16 else 1e37))
    yield Case("zeros beside what is none", {"x": torch.eye(4, 300, device=device, dtype=dtype)})
    spread = _make(device, dtype, 4, 256)["x"].float() * 2.0 ** torch.randint(-15, 1, (4, 256), device=device)
    yield Case("values of every size, down to what float8 has no normal numbers for", {"x": spread.to(dtype)})
    steps = torch.arange(-128, 128, device=device).float().view(2, 128) / 128 * _LARGEST
    yield Case("a scale of 1, and ties", {"x": steps.clamp(-_LARGEST, _LARGEST).to(dtype)})
    yield Case("all of one value, below 0", {"x": torch.full((2, 140), -3.0, device=device, dtype=dtype)})
    yield Case("rows that lie apart", {"x": _make(device, dtype, 6, 300)["x"][:, 20:180]})


def run(module: ModuleType, inputs: Inputs) -> tuple[Tensor, ...]:
    """Run it."""
    values, scales = module.fp8_quantise(**inputs)
    return values, scales


def oracle(inputs: Inputs) -> tuple[Tensor, ...]:
    """Return the quotients, not rounded, and the scales."""
    x = inputs["x"].cpu().double()
    quotients, scales = [x[:, :0]], [x[:, :0]]
    for block in x.split(_BLOCK, dim=1) if x.shape[1] else ():
        scale = block.abs().amax(dim=1, keepdim=True).clamp_min(_LEAST) / _LARGEST
        quotients.append(block / scale)
        scales.append(scale)
    return torch.cat(quotients, dim=1), torch.cat(scales, dim=1)


def error(got: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> float:
    """Return by how much scales are off, and values beyond the half of a last place that rounding may take."""
    values, scales = (part.detach().double().cpu() for part in got)
    quotients, exact = wanted
    if values.shape != quotients.shape or not (values.isfinite().all() and scales.isfinite().all()):
        return float("inf")
    if not values.numel():
        return 0.0
    if scales.shape != exact.shape:
        return float("inf")
    place = 2.0 ** (quotients.abs().clamp_min(2.0**-6).log2().floor() - 3)
    beyond = ((values - quotients).abs() - place / 2).clamp_min(0) / quotients.abs().clamp_min(2.0**-6)
    return float(torch.maximum(beyond.max(), ((scales - exact).abs() / exact).max()))


def tolerance(dtype: torch.dtype) -> float:
    """Three roundings in float32, of whatever type."""
    return 2.0**-21


def shapes() -> list[Shape]:
    """Return activations of DeepSeek-V2-Lite and V3: the hidden ones, and those before `o` and `down`."""
    found = []
    for rows, width in ((64, 2048), (4096, 2048), (64, 7168), (4096, 7168), (4096, 16384), (4096, 18432)):
        size = rows * (3 * width + 4 * -(-width // _BLOCK))
        target = 0.8 if rows >= 4096 else 0.0
        found.append(Shape(f"{rows} x {width}", _maker(rows, width), size, 10 * rows * width, target=target))
    return found


def _maker(rows: int, width: int) -> Callable[[torch.device, torch.dtype], Inputs]:
    return lambda device, dtype: _make(device, dtype, rows, width)


def peers() -> Mapping[str, Callable[[Inputs], object]]:
    """Return torch's own, as it is and compiled."""

    def eager(inputs: Inputs) -> object:
        x = inputs["x"]
        width = x.shape[1]
        blocks = functional.pad(x.float(), (0, -width % _BLOCK)).view(len(x), -(-width // _BLOCK), _BLOCK)
        scales = blocks.abs().amax(dim=-1, keepdim=True).clamp_min(_LEAST) / _LARGEST
        return (blocks / scales).to(torch.float8_e4m3fn).flatten(1)[:, :width], scales[..., 0]

    return {"torch eager": eager, "torch.compile": torch.compile(eager)}
