"""Even use of experts while training, without a loss of its own.

Source: DeepSeek-V3 (arXiv 2412.19437) §2.1.2: after each step the bias of an expert that got too few tokens goes up a
little, that of one that got too many goes down.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..model import Deepseek
from ..moe import Gate


class ExpertBalance:
    """Counts the tokens of each expert during forward passes and moves the biases of the gates."""

    def __init__(self, model: Deepseek) -> None:
        self._counts: dict[Gate, Tensor] = {}
        for module in model.modules():
            if isinstance(module, Gate) and module.e_score_correction_bias is not None:
                self._counts[module] = torch.zeros(len(module.weight))
                module.register_forward_hook(self._count)

    def step(self, rate: float) -> float:
        """Move the biases by `rate` and forget the counts; give the load of the busiest expert over the mean load."""
        worst = 1.0
        for gate, counts in self._counts.items():
            assert gate.e_score_correction_bias is not None
            gate.e_score_correction_bias += rate * torch.sign(counts.mean() - counts)
            worst = max(worst, float(counts.max() / counts.mean()))
            counts.zero_()
        return worst

    def _count(self, gate: Gate, _inputs: object, output: tuple[Tensor, Tensor]) -> None:
        self._counts[gate] += torch.bincount(output[1].flatten(), minlength=len(gate.weight))
