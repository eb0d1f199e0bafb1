"""RMSNorm with the residual added first.

    total = x + residual        y = total / sqrt(mean(total²) + eps) · weight

Moves 4 elements for each (x, residual, total, y; 2 without residual) and does some 5 operations: bound by memory.
One program takes a row whole, so that it is read once; rows of up to 16,384 fit into registers.

Tolerance: float32 1e-6 relative to the row's largest value, a sum over the row in a tree. 16 bits: one rounding of
`total`, which is rounded before it is used so that both results agree, and one of `y`.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .tuning import Config, pick, power_of_two

MAX_WIDTH = 16_384


@triton.jit
def _rms_norm(x, residual, weight, y, total, width, eps, HAS_RESIDUAL: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * width
    at = tl.arange(0, BLOCK)
    inside = at < width
    values = tl.load(x + row + at, mask=inside, other=0.0).to(tl.float32)
    if HAS_RESIDUAL:
        values += tl.load(residual + row + at, mask=inside, other=0.0).to(tl.float32)
        rounded = values.to(total.dtype.element_ty)
        tl.store(total + row + at, rounded, mask=inside)
        values = rounded.to(tl.float32)
    scale = tl.rsqrt(tl.sum(values * values, axis=0) / width + eps)
    weights = tl.load(weight + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(y + row + at, (values * scale * weights).to(y.dtype.element_ty), mask=inside)


def bucket(rows: int, width: int) -> str:
    """Return the bucket of a shape."""
    return f"width {power_of_two(width)}"


def default(rows: int, width: int) -> Config:
    """Return the configuration of a shape that was not measured."""
    return {"num_warps": min(16, max(1, power_of_two(width) // 512))}


def candidates(rows: int, width: int) -> list[Config]:
    """Return what a sweep tries."""
    return [{"num_warps": warps} for warps in (1, 2, 4, 8, 16)]


def rms_norm(
    x: Tensor, weight: Tensor, eps: float, residual: Tensor | None = None, *, config: Config | None = None
) -> tuple[Tensor, Tensor]:
    """Return the normalised rows and what they were made of: x, plus the residual where there is one.

    Shape: x and residual (rows, width), weight (width,); both results like x. Rows lie one after the other.
    Raises: ValueError for rows wider than `MAX_WIDTH`.
    """
    rows, width = x.shape
    if width > MAX_WIDTH:
        raise ValueError(f"expected rows of at most {MAX_WIDTH}, got {width}")
    y = torch.empty_like(x)
    total = x if residual is None else torch.empty_like(x)
    chosen = config or pick("rms_norm", bucket(rows, width), default(rows, width))
    if rows:
        _rms_norm[(rows,)](
            x,
            x if residual is None else residual,
            weight,
            y,
            total,
            width,
            eps,
            HAS_RESIDUAL=residual is not None,
            BLOCK=power_of_two(width),
            **chosen,
        )
    return y, total
