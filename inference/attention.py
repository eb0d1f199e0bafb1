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

from .cache import LatentCache
from .config import ModelConfig
from .norm import RMSNorm
from .rope import Rope, attention_scale


class LatentAttention(nn.Module):
    """The attention block of one layer; parameters are named as in the checkpoint."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self._layer = layer
        self._heads = config.num_attention_heads
        self._nope, self._rope, self._value = config.qk_nope_head_dim, config.qk_rope_head_dim, config.v_head_dim
        self._rank = config.kv_lora_rank
        self._scale = attention_scale(config)
        width, bias = config.hidden_size, config.attention_bias
        query_width = self._heads * config.qk_head_dim
        self.q_proj: nn.Module | None = None
        if config.q_lora_rank is None:
            self.q_proj = nn.Linear(width, query_width, bias=False)
        else:
            self.q_a_proj = nn.Linear(width, config.q_lora_rank, bias=bias)
            self.q_a_layernorm = RMSNorm(config.q_lora_rank)
            self.q_b_proj = nn.Linear(config.q_lora_rank, query_width, bias=False)
        self.kv_a_proj_with_mqa = nn.Linear(width, self._rank + self._rope, bias=bias)
        self.kv_a_layernorm = RMSNorm(self._rank)
        self.kv_b_proj = nn.Linear(self._rank, self._heads * (self._nope + self._value), bias=False)
        self.o_proj = nn.Linear(self._heads * self._value, width, bias=bias)

    def forward(self, x: Tensor, rope: Rope, angles: tuple[Tensor, Tensor], cache: LatentCache | None) -> Tensor:
        """Attend causally to the cached tokens and to those given. Shape: (batch, tokens, hidden) both ways."""
        cos, sin = angles
        query = self._split_heads(self._project_query(x))
        q_nope, q_rope = torch.split(query, [self._nope, self._rope], dim=-1)
        q_rope = rope.rotate(q_rope, cos, sin)
        latent, k_rope = torch.split(self.kv_a_proj_with_mqa(x), [self._rank, self._rope], dim=-1)
        rows = torch.cat((self.kv_a_layernorm(latent), rope.rotate(k_rope, cos, sin)), dim=-1)
        if cache is not None:
            rows = cache.append(self._layer, rows)
        if cache is not None and x.shape[1] == 1:
            attended = self._attend_folded(q_nope, q_rope, rows)
        else:
            attended = self._attend_expanded(q_nope, q_rope, rows)
        result: Tensor = self.o_proj(attended.transpose(1, 2).flatten(2))
        return result

    def _project_query(self, x: Tensor) -> Tensor:
        if self.q_proj is not None:
            direct: Tensor = self.q_proj(x)
            return direct
        query: Tensor = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x)))
        return query

    def _split_heads(self, x: Tensor) -> Tensor:
        """Shape: (batch, tokens, heads * width) to (batch, heads, tokens, width)."""
        return x.view(*x.shape[:2], self._heads, -1).transpose(1, 2)

    def _attend_expanded(self, q_nope: Tensor, q_rope: Tensor, rows: Tensor) -> Tensor:
        """Attend with full keys and values. Shape: (batch, heads, tokens, v_head_dim)."""
        latent, k_rope = torch.split(rows, [self._rank, self._rope], dim=-1)
        k_nope, value = torch.split(self._split_heads(self.kv_b_proj(latent)), [self._nope, self._value], dim=-1)
        key = torch.cat((k_nope, k_rope[:, None].expand(-1, self._heads, -1, -1)), dim=-1)
        query = torch.cat((q_nope, q_rope), dim=-1)
        tokens, total = query.shape[2], key.shape[2]
        if tokens == total:
            return functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=self._scale)
        mask = torch.ones(tokens, total, dtype=torch.bool).tril(total - tokens)
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=self._scale)

    def _attend_folded(self, q_nope: Tensor, q_rope: Tensor, rows: Tensor) -> Tensor:
        """Attend for one token in the latent space. Shape: (batch, heads, 1, v_head_dim)."""
        weight = self.kv_b_proj.weight.view(self._heads, -1, self._rank)
        w_key, w_value = torch.split(weight, [self._nope, self._value], dim=1)
        query = torch.cat((torch.matmul(q_nope, w_key), q_rope), dim=-1)[:, :, 0]
        scores = torch.matmul(query, rows.transpose(1, 2)) * self._scale
        attended = torch.matmul(scores.softmax(dim=-1), rows[..., : self._rank])
        return torch.matmul(attended[:, :, None], w_value.transpose(1, 2))
