"""A product of float8 matrices with block scales, in torch: both become float32, the weights a few rows at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from .tiles_torch import product

WIDTH = 128  # columns and rows of a block
_FACTOR = 256.0  # of a float16 whose exponent is that of a float8, which has 8 less to be taken off


def fp8_gemm(x: Tensor, x_scales: Tensor, w: Tensor, w_scales: Tensor, dtype: torch.dtype) -> Tensor:
    """Return x · wᵀ, scaled, in `dtype`.

    Shape: x (tokens, width) and w (rows, width) in float8 (e4m3), w of numbers alone; x_scales (tokens, blocks of 128
    columns) and w_scales (blocks of 128 rows, blocks of 128 columns) in float32; the result (tokens, rows).
    """

    def fill(some: Tensor, first: int) -> None:
        last = first + len(some)
        some.copy_(_halves(w[first:last]))
        of_rows = w_scales[first // WIDTH : -(-last // WIDTH)].mul(_FACTOR).repeat_interleave(WIDTH, dim=0)
        _scale(some, of_rows[first % WIDTH :][: len(some)])

    left = x.float()
    _scale(left, x_scales)
    return product(left, len(w), fill).to(dtype)


def _halves(values: Tensor) -> Tensor:
    """Return values / 256 in float16, which is exact: the same bits but for the place of the sign.

    A float8's own conversion takes ten times as long on a CPU.
    """
    bits = values.view(torch.int8).to(torch.int16)
    return bits.bitwise_left_shift_(7).bitwise_and_(~0x407F).view(torch.float16)


def _scale(values: Tensor, scales: Tensor) -> None:
    """Multiply values by their scales. Shape: (rows, width), (rows, blocks of columns)."""
    whole = values.shape[1] // WIDTH
    values[:, : whole * WIDTH].unflatten(1, (whole, WIDTH)).mul_(scales[:, :whole, None])
    values[:, whole * WIDTH :].mul_(scales[:, whole:])
