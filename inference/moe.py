"""Feed-forward blocks: dense, and routed to a few experts beside the shared ones.

Source: DeepSeek-V2 (arXiv 2405.04434) §2.2, DeepSeek-V3 (arXiv 2412.19437) §2.1.2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import ModelConfig
from .ops import Ops


class DenseBlock(nn.Module):
    """down(silu(gate(x)) · up(x))."""

    def __init__(self, hidden_size: int, inner_size: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden_size, inner_size, bias=False)
        self.up_proj = nn.Linear(hidden_size, inner_size, bias=False)
        self.down_proj = nn.Linear(inner_size, hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (..., hidden) both ways."""
        result: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return result


class Gate(nn.Module):
    """Choose experts, by the method of V3 or V2.

    V3 scores by a sigmoid, and its correction bias steers the choice and never the weights; it is a buffer, not
    trained by gradients. V2 scores by a softmax over all experts, and has no bias.
    """

    def __init__(self, config: ModelConfig, ops: Ops) -> None:
        super().__init__()
        self._ops = ops
        self.weight = nn.Parameter(torch.empty(config.n_routed_experts, config.hidden_size))
        self.e_score_correction_bias: Tensor | None
        has_bias = config.scoring_func == "sigmoid"
        self.register_buffer("e_score_correction_bias", torch.zeros(config.n_routed_experts) if has_bias else None)
        self._choice = (config.num_experts_per_tok, config.n_group, config.topk_group)
        self._kind = config.scoring_func
        self._is_normalised = config.norm_topk_prob
        self._factor = config.routed_scaling_factor

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give weights and expert ids, best first. Shape: (tokens, hidden) to two of (tokens, num_experts_per_tok)."""
        logits = functional.linear(x.float(), self.weight.float())
        return self._ops.gate(
            logits,
            self.e_score_correction_bias,
            *self._choice,
            kind=self._kind,
            is_normalised=self._is_normalised,
            factor=self._factor,
        )


class Experts(nn.Module):
    """The routed experts, stacked: gate and up halves fused. The checkpoint holds them one by one (weights.py)."""

    def __init__(self, config: ModelConfig, ops: Ops) -> None:
        super().__init__()
        self._ops = ops
        count, inner, hidden = config.n_routed_experts, config.moe_intermediate_size, config.hidden_size
        self.gate_up_proj = nn.Parameter(torch.empty(count, 2 * inner, hidden))
        self.down_proj = nn.Parameter(torch.empty(count, hidden, inner))

    def forward(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """Give the weighted sum of the chosen experts. Shape: (tokens, hidden) both ways."""
        return self._ops.moe_experts(x, self.gate_up_proj, self.down_proj, weights, chosen)


class SparseBlock(nn.Module):
    """Routed experts plus shared experts that every token visits."""

    def __init__(self, config: ModelConfig, ops: Ops) -> None:
        super().__init__()
        self.gate = Gate(config, ops)
        self.experts = Experts(config, ops)
        self.shared_experts = DenseBlock(config.hidden_size, config.moe_intermediate_size * config.n_shared_experts)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (..., hidden) both ways."""
        flat = x.flatten(0, -2)
        weights, chosen = self.gate(flat)
        routed: Tensor = self.experts(flat, weights, chosen)
        shared: Tensor = self.shared_experts(x)
        return routed.view_as(x) + shared
