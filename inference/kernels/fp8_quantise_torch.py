"""Activations in 8 bits, in torch: a block of 128 at a time, so that nothing depends on the rows beside it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

WIDTH = 128  # columns of a block
LARGEST = 448.0  # of float8, e4m3
LEAST = 2.0**-100  # that a block's largest value is taken for, so that no scale and none's inverse is 0 or infinite


def fp8_quantise(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return x in float8 and its scales; value times scale is about x.

    Shape: x (rows, width) of any floating type; values (rows, width), contiguous; scales (rows, blocks of 128) in
    float32, those of one block side by side.
    """
    rows, width = x.shape
    blocks = -(-width // WIDTH)
    whole = functional.pad(x.float(), (0, blocks * WIDTH - width)).view(rows, blocks, WIDTH)
    scales = whole.abs().amax(dim=-1).clamp_min(LEAST) / LARGEST
    values = (whole * scales.reciprocal()[..., None]).to(torch.float8_e4m3fn)
    return values.view(rows, blocks * WIDTH)[:, :width].contiguous(), scales.T.contiguous().T
