"""What the kernels share of the Triton language."""

from __future__ import annotations

import os

import triton
import triton.language as tl

IS_INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")


@triton.jit
def dot(a, b, acc):
    """Return acc + a · b, summed in float32; operands of float32 are multiplied as such, not rounded to tf32."""
    if IS_INTERPRETED:  # it takes the bits of a bf16 for an integer
        return tl.dot(a.to(tl.float32), b.to(tl.float32), acc, input_precision="ieee")
    return tl.dot(a, b, acc, input_precision="ieee")
