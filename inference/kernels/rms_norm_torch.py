"""RMSNorm with the residual added first, in torch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def rms_norm(x: Tensor, weight: Tensor, eps: float, residual: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the normalised rows and what they were made of: x, plus the residual where there is one.

    Shape: x and residual (rows, width), weight (width,); both results like x.
    """
    total = x if residual is None else (x.float() + residual.float()).to(x.dtype)
    if x.dtype == torch.float32:
        return functional.rms_norm(total, weight.shape, weight, eps), total
    normed = functional.rms_norm(total.float(), weight.shape, weight.float(), eps)
    return normed.to(x.dtype), total
