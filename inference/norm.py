"""Root-mean-square normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class RMSNorm(nn.Module):
    """Scale each row to unit root mean square, then by a weight. The latent norms keep `eps` at 1e-6."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self._eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (..., width) both ways."""
        return functional.rms_norm(x, self.weight.shape, self.weight, self._eps)
