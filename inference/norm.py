"""Root-mean-square normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .ops import Ops


class RMSNorm(nn.Module):
    """Scale each row to unit root mean square, then by a weight. The latent norms keep `eps` at 1e-6."""

    def __init__(self, width: int, ops: Ops, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps
        self._ops = ops

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (..., width) both ways."""
        return self.add(x, None)[0]

    def add(self, x: Tensor, residual: Tensor | None) -> tuple[Tensor, Tensor]:
        """Give the normalised sum of both, and the sum: the residual of what follows. Shape: (..., width) all."""
        return self._ops.rms_norm(x, self.weight, self.eps, residual)
