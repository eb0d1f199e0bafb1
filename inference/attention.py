"""Multi-head latent attention (MLA).

Keys and values are expanded from one latent row a token. A prefill (and training) expands them and attends head by
head; a one-token step folds the expansion into the query instead, so it reads each cached row once for all heads:

    score = (q_nope · W_uk) · latent + q_rope · k_rope        out = (softmax(score) · latent) · W_uv

Source: DeepSeek-V2 (arXiv 2405.04434) §2.1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .batch import Batch, Prefill
from .config import ModelConfig
from .kernels.rope_latent_torch import rotated
from .norm import RMSNorm
from .ops import Ops
from .rope import attention_scale


class LatentAttention(nn.Module):
    """The attention block of one layer; parameters are named as in the checkpoint."""

    def __init__(self, config: ModelConfig, layer: int, ops: Ops) -> None:
        super().__init__()
        self._ops = ops
        self._layer = layer
        self._heads = config.num_attention_heads
        self._nope, self._rope, self._value = config.qk_nope_head_dim, config.qk_rope_head_dim, config.v_head_dim
        self._rank = config.kv_lora_rank
        self._scale = attention_scale(config)
        self._is_interleaved = config.rope.is_interleaved
        width, bias = config.hidden_size, config.attention_bias
        query_width = self._heads * config.qk_head_dim
        self.q_proj: nn.Module | None = None
        if config.q_lora_rank is None:
            self.q_proj = nn.Linear(width, query_width, bias=False)
        else:
            self.q_a_proj = nn.Linear(width, config.q_lora_rank, bias=bias)
            self.q_a_layernorm = RMSNorm(config.q_lora_rank, ops)
            self.q_b_proj = nn.Linear(config.q_lora_rank, query_width, bias=False)
        self.kv_a_proj_with_mqa = nn.Linear(width, self._rank + self._rope, bias=bias)
        self.kv_a_layernorm = RMSNorm(self._rank, ops)
        self.kv_b_proj = nn.Linear(self._rank, self._heads * (self._nope + self._value), bias=False)
        self.o_proj = nn.Linear(self._heads * self._value, width, bias=bias)

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor], batch: Batch | None) -> Tensor:
        """Attend causally: to the cached tokens and the new ones, or without a batch to those given.

        Shape: (tokens, hidden) both ways; (sequences, tokens, hidden) without a batch.
        """
        query = self._split_heads(self._project_query(x))
        kv = self.kv_a_proj_with_mqa(x)
        if batch is None:
            attended = self._attend_whole(query, kv, angles)
        else:
            attended = self._attend_cached(query, kv, angles, batch)
        result: Tensor = self.o_proj(attended.flatten(-2))
        return result

    def _project_query(self, x: Tensor) -> Tensor:
        if self.q_proj is not None:
            direct: Tensor = self.q_proj(x)
            return direct
        query: Tensor = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x)))
        return query

    def _split_heads(self, x: Tensor) -> Tensor:
        """Shape: (..., heads * width) to (..., heads, width)."""
        return x.view(*x.shape[:-1], self._heads, -1)

    def _attend_cached(self, query: Tensor, kv: Tensor, angles: tuple[Tensor, Tensor], batch: Batch) -> Tensor:
        """Store the new rows, then attend. Shape: (tokens, heads, width) to (tokens, heads, v_head_dim)."""
        q_nope, q_rope = torch.split(query, [self._nope, self._rope], dim=-1)
        norm, layer, split = self.kv_a_layernorm, batch.layers[self._layer], batch.num_decodes
        q_rope = self._ops.rope_latent(
            q_rope, kv, norm.weight, norm.eps, *angles, layer, batch.slots, is_interleaved=self._is_interleaved
        )
        parts = []
        if split:
            parts.append(self._decode(q_nope[:split], q_rope[:split], layer, batch))
        if batch.prefill is not None:
            whole = torch.cat((q_nope[split:], q_rope[split:]), dim=-1)
            parts.append(self._prefill(whole, layer, batch.prefill))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _decode(self, q_nope: Tensor, q_rope: Tensor, layer: Tensor, batch: Batch) -> Tensor:
        """Attend for one token a sequence in the latent space. Shape: (decodes, heads, v_head_dim)."""
        weight = self.kv_b_proj.weight.view(self._heads, -1, self._rank)
        w_key, w_value = torch.split(weight, [self._nope, self._value], dim=1)
        folded = torch.matmul(q_nope.transpose(0, 1), w_key).transpose(0, 1)
        query = torch.cat((folded, q_rope), dim=-1)
        latent = self._ops.mla_decode(query, layer, batch.page_table, batch.lengths, self._scale, self._rank)
        return torch.matmul(latent.transpose(0, 1), w_value.transpose(1, 2)).transpose(0, 1)

    def _prefill(self, query: Tensor, layer: Tensor, prefill: Prefill) -> Tensor:
        """Attend with full keys and values. Shape: (tokens, heads, v_head_dim)."""
        key, value = self._expand(layer.flatten(0, 1)[prefill.key_slots])
        starts = prefill.query_starts, prefill.key_starts
        return self._ops.mla_prefill(query, key, value, *starts, self._scale, prefill.max_queries)

    def _expand(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Make keys and values of latent rows.

        Shape: (..., rank + rope) to (..., heads, width) and (..., heads, v_head_dim).
        """
        latent, k_rope = torch.split(rows, [self._rank, self._rope], dim=-1)
        expanded = self._split_heads(self.kv_b_proj(latent))
        k_nope, value = torch.split(expanded, [self._nope, self._value], dim=-1)
        shared = k_rope[..., None, :].expand(*k_nope.shape[:-1], -1)
        return torch.cat((k_nope, shared), dim=-1), value

    def _attend_whole(self, query: Tensor, kv: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
        """Attend without a cache. Shape: (sequences, tokens, heads, width) to (..., heads, v_head_dim)."""
        cos, sin = angles
        q_nope, q_rope = torch.split(query, [self._nope, self._rope], dim=-1)
        latent, k_rope = torch.split(kv, [self._rank, self._rope], dim=-1)
        rotated_key = rotated(k_rope, cos, sin, self._is_interleaved)
        key, value = self._expand(torch.cat((self.kv_a_layernorm(latent), rotated_key), dim=-1))
        rotated_query = rotated(q_rope, cos[:, None], sin[:, None], self._is_interleaved)
        query, key, value = (part.transpose(1, 2) for part in (torch.cat((q_nope, rotated_query), dim=-1), key, value))
        out = functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=self._scale)
        return out.transpose(1, 2)
