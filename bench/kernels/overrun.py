"""A kernel that writes where it must not: a memory checker that does not see it does not work."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _overrun(x, width, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    tl.store(x + width + at, at.to(tl.float32))


def overrun(x: Tensor) -> None:
    """Write 4 KiB from the end of x on, of float32."""
    _overrun[(1,)](x, x.numel(), BLOCK=1024)
