"""A product with weights of 8 bits, in torch, in float32."""

from __future__ import annotations

from torch import Tensor

from .tiles_torch import product


def int8_gemm(x: Tensor, w: Tensor, scales: Tensor) -> Tensor:
    """Return x · wᵀ, each column times its scale.

    Shape: x (tokens, width) and w (rows, width) in int8; scales (rows,) in float32; the result (tokens, rows) of x's
    type.
    """
    found = product(x.float(), len(w), lambda some, first: some.copy_(w[first : first + len(some)]))
    return found.mul_(scales).to(x.dtype)
