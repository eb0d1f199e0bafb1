"""Activations in 8 bits: float8 (e4m3) with a scale for every row and 128 columns.

    scale = max(|x|) / 448 over the 128        values = x · (1 / scale), rounded to the nearest, ties to even

Reads an element and writes one byte for it, and 4 bytes for each 128; does some 10 operations: bound by memory. A
program takes some rows of one block of columns. The scales of a block stand side by side, those of the next block after
them, as `fp8_gemm` and cuBLAS read them.

Values are rounded in float32 before they become float8, so that this conversion is exact: the interpreter's truncates.
The result is that of the twin to the bit but for the sign of zeros, for which nothing may be fused to other roundings.
A block that holds what is not a number, or is infinite, has a scale that is no number, or infinite.

Tolerance: half a unit in the last place of the exact quotient, and float32's three roundings, 2⁻²¹.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .fp8_quantise_torch import LARGEST, LEAST, WIDTH
from .tuning import Config, pick, power_of_two

_LARGEST, _LEAST = tl.constexpr(LARGEST), tl.constexpr(LEAST)
_MAX_ROWS = 32  # of a program


@triton.jit
def _largest(x):
    """Return the largest |x| of each row, not a number if one is none: as integers they are in this order."""
    bits = tl.max(x.to(tl.int32, bitcast=True) & 0x7FFFFFFF, axis=1)
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def _rounded(x):
    """Return x to the last place that float8 has, by adding what has this place as its last and taking it off."""
    power = (x.to(tl.int32, bitcast=True) & 0x7F800000).to(tl.float32, bitcast=True)
    shift = tl.maximum(power, 0.015625) * 1572864.0  # at least the smallest normal 2⁻⁶; times 1.5 · 2²⁰
    return (x + shift) - shift


@triton.jit(do_not_specialize=["rows"])
def _fp8_quantise(x, values, scales, rows, width, stride, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    block = tl.program_id(0)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    at = block * WIDTH + tl.arange(0, WIDTH)
    inside = (row < rows)[:, None] & (at < width)[None, :]
    wide = row.to(tl.int64)[:, None]
    found = tl.load(x + wide * stride + at[None, :], mask=inside, other=0.0).to(tl.float32)
    largest = _largest(found)
    scale = tl.div_rn(tl.where(largest < _LEAST, _LEAST, largest), _LARGEST)
    value = _rounded(found * tl.div_rn(1.0, scale)[:, None])
    tl.store(values + wide * width + at[None, :], value.to(values.dtype.element_ty), mask=inside)
    tl.store(scales + block.to(tl.int64) * rows + row, scale, mask=row < rows)


def bucket(rows: int, width: int) -> str:
    """Return the bucket of a shape."""
    return f"rows {_rows_of(rows)} width {power_of_two(width)}"


def default(rows: int, width: int) -> Config:
    """Return the configuration of a shape that was not measured: 16 elements a thread."""
    return {"ROWS": _rows_of(rows), "num_warps": max(1, _rows_of(rows) // 4)}


def candidates(rows: int, width: int) -> list[Config]:
    """Return what a sweep tries."""
    return [{"ROWS": size, "num_warps": n} for size in (2, 4, 8, 16, 32, 64) for n in (1, 2, 4, 8) if size <= 16 * n]


def _rows_of(rows: int) -> int:
    """Return how many rows a program has: few where there are few, so that there are programs enough."""
    return min(_MAX_ROWS, max(4, power_of_two(rows) // 64))


def fp8_quantise(x: Tensor, *, config: Config | None = None) -> tuple[Tensor, Tensor]:
    """Return x in float8 and its scales; value times scale is about x.

    Shape: x (rows, width) of any floating type, each row contiguous; values (rows, width), contiguous; scales (rows,
    blocks of 128) in float32, those of one block side by side.
    """
    rows, width = x.shape
    blocks = triton.cdiv(width, WIDTH)
    values = torch.empty(rows, width, dtype=torch.float8_e4m3fn, device=x.device)
    scales = torch.empty(blocks, rows, dtype=torch.float32, device=x.device)
    chosen = config or pick("fp8_quantise", bucket(rows, width), default(rows, width))
    if rows and width:
        grid = (blocks, triton.cdiv(rows, chosen["ROWS"]))
        _fp8_quantise[grid](x, values, scales, rows, width, x.stride(0), WIDTH=WIDTH, enable_fp_fusion=False, **chosen)
    return values, scales.T
