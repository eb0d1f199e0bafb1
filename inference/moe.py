"""Feed-forward blocks: dense, and routed to a few experts beside the shared ones.

Source: DeepSeek-V3 (arXiv 2412.19437) §2.1.2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import ModelConfig


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
    """Choose experts by sigmoid score, in the best groups only.

    The correction bias steers the choice and never the weights; it is a buffer, not trained by gradients.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(config.n_routed_experts, config.hidden_size))
        self.e_score_correction_bias: Tensor
        self.register_buffer("e_score_correction_bias", torch.zeros(config.n_routed_experts))
        self._groups, self._kept_groups = config.n_group, config.topk_group
        self._top_k = config.num_experts_per_tok
        self._is_normalised = config.norm_topk_prob
        self._factor = config.routed_scaling_factor

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give weights and expert ids. Shape: (tokens, hidden) to two of (tokens, num_experts_per_tok)."""
        scores = functional.linear(x.float(), self.weight.float()).sigmoid()
        with torch.no_grad():
            chosen = self._choose(scores)
        weights = scores.gather(1, chosen)
        if self._is_normalised:
            weights = weights / (weights.sum(dim=-1, keepdim=True) + 1e-20)
        return weights * self._factor, chosen

    def _choose(self, scores: Tensor) -> Tensor:
        biased = (scores + self.e_score_correction_bias).view(len(scores), self._groups, -1)
        if self._kept_groups < self._groups:
            group_scores = biased.topk(2, dim=-1).values.sum(dim=-1)
            best = group_scores.topk(self._kept_groups, dim=-1).indices
            is_dropped = torch.ones_like(group_scores, dtype=torch.bool).scatter(1, best, False)
            biased = biased.masked_fill(is_dropped[..., None], float("-inf"))
        best_experts: Tensor = biased.flatten(1).topk(self._top_k, dim=-1).indices
        return best_experts


class Experts(nn.Module):
    """The routed experts, stacked: gate and up halves fused. The checkpoint holds them one by one (weights.py)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        count, inner, hidden = config.n_routed_experts, config.moe_intermediate_size, config.hidden_size
        self.gate_up_proj = nn.Parameter(torch.empty(count, 2 * inner, hidden))
        self.down_proj = nn.Parameter(torch.empty(count, hidden, inner))

    def forward(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """Give the weighted sum of the chosen experts. Shape: (tokens, hidden) both ways."""
        if x.shape[0] == 1:
            return self._run_one_token(x, weights[0], chosen[0])
        result = torch.zeros_like(x)
        for expert in sorted(set(chosen.flatten().tolist())):
            rows, slots = torch.where(chosen == expert)
            gate, up = functional.linear(x[rows], self.gate_up_proj[expert]).chunk(2, dim=-1)
            out = functional.linear(functional.silu(gate) * up, self.down_proj[expert])
            result = result.index_add(0, rows, out * weights[rows, slots, None])
        return result

    def _run_one_token(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """Run the chosen experts in one batched product; for many tokens the gathered copies would cost too much."""
        gate, up = torch.matmul(self.gate_up_proj[chosen], x[0]).chunk(2, dim=-1)
        inner = functional.silu(gate) * up * weights[:, None]
        return torch.bmm(self.down_proj[chosen], inner[..., None]).sum(dim=0).T


class SparseBlock(nn.Module):
    """Routed experts plus shared experts that every token visits."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate = Gate(config)
        self.experts = Experts(config)
        self.shared_experts = DenseBlock(config.hidden_size, config.moe_intermediate_size * config.n_shared_experts)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (batch, tokens, hidden) both ways."""
        flat = x.flatten(0, 1)
        weights, chosen = self.gate(flat)
        routed: Tensor = self.experts(flat, weights, chosen)
        shared: Tensor = self.shared_experts(x)
        return routed.view_as(x) + shared
