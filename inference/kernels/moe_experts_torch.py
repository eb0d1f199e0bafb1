"""The routed experts of a batch in torch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def moe_experts(x: Tensor, gate_up: Tensor, down: Tensor, weights: Tensor, ids: Tensor) -> Tensor:
    """Return the weighted sum of what each token's experts give.

    Shape: x (tokens, hidden), gate_up (experts, 2 · inner, hidden) with the gate's rows first, down
    (experts, hidden, inner), weights (tokens, top_k) in float32, ids (tokens, top_k); the result like x.
    """
    if x.shape[0] == 1:
        return _one_token(x, gate_up, down, weights, ids[0])
    top_k = ids.shape[1]
    counts = torch.bincount(ids.flatten(), minlength=len(down)).tolist()
    order = ids.flatten().argsort(stable=True)
    runs = x[order // top_k].split(counts)
    rows = torch.cat([_expert(run, gate_up[e], down[e]) for e, run in enumerate(runs) if len(run)] or [x])
    parts = rows[order.argsort()].view(*ids.shape, x.shape[1])
    return (parts.float() * weights[..., None]).sum(dim=1).to(x.dtype)


def _expert(x: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    gate, up = functional.linear(x, gate_up).chunk(2, dim=-1)
    return functional.linear(functional.silu(gate) * up, down)


def _one_token(x: Tensor, gate_up: Tensor, down: Tensor, weights: Tensor, ids: Tensor) -> Tensor:
    """Run the chosen experts in one batched product; for many tokens the gathered copies would cost too much."""
    gate, up = torch.matmul(gate_up[ids], x[0]).chunk(2, dim=-1)
    rows = torch.bmm(down[ids], (functional.silu(gate) * up)[..., None])[..., 0]
    return (weights @ rows.float()).to(x.dtype)
