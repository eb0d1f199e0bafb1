"""The choice of a token.

The random number of a token is a function of (seed, position) alone: not of earlier draws, of other requests, or of
the process. A generation can so be continued anywhere from its seed and its tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .ops import Ops


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. Temperature 0 takes the likeliest token; `top_p` keeps the smallest likeliest set."""

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0


def choose_token(ops: Ops, logits: Tensor, sampling: Sampling, position: int) -> int:
    """Choose the token for a position of the whole sequence. Shape: logits (vocab,).

    Raises: FloatingPointError where the logits are not numbers.
    Cost: O(vocab).
    """
    highest = float(logits.max())
    if not math.isfinite(highest):
        raise FloatingPointError(f"expected finite logits at position {position}, got {highest}")

    def column(number: float, dtype: torch.dtype) -> Tensor:
        return torch.tensor([number], dtype=dtype, device=logits.device)

    chosen = ops.sample(
        logits[None],
        column(sampling.seed, torch.int64),
        column(position, torch.int64),
        column(sampling.temperature, torch.float32),
        column(0, torch.int32),
        column(sampling.top_p, torch.float32),
        column(0.0, torch.float32),
    )
    return int(chosen)
