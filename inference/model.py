"""The DeepSeek-V3 forward pass in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import LatentAttention
from .cache import LatentCache
from .config import ModelConfig
from .moe import DenseBlock, Experts, Gate, SparseBlock
from .norm import RMSNorm
from .rope import Rope


class DeepseekV3(nn.Module):
    """A causal language model; parameters are named as in the checkpoint (experts stacked, see weights.py)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.model = _Decoder(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, ids: Tensor, cache: LatentCache | None = None, *, is_last_only: bool = False) -> Tensor:
        """Give logits for each token, or for the last one only; differentiable where `cache` is None.

        Shape: ids (batch, tokens) to (batch, tokens or 1, vocab). A cache holds the tokens before `ids`.
        """
        hidden = self.model(ids, cache)
        if is_last_only:
            hidden = hidden[:, -1:]
        logits: Tensor = self.lm_head(hidden)
        return logits

    def init_weights(self, seed: int, std: float = 0.02) -> None:
        """Fill every parameter for training: normal weights, unit norms, zero biases."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, RMSNorm):
                    module.weight.fill_(1.0)
                elif isinstance(module, (nn.Linear, nn.Embedding, Gate, Experts)):
                    for parameter in module.parameters(recurse=False):
                        parameter.normal_(0.0, std, generator=generator)
                if isinstance(module, nn.Linear) and module.bias is not None:
                    module.bias.zero_()


class _Decoder(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self._rope = Rope(config)
        # Without the filling by chance that is made for training: it loads torch's compiler to do nothing on "meta".
        rows = torch.empty(config.vocab_size, config.hidden_size)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, _weight=rows)
        self.layers = nn.ModuleList(_Layer(config, index) for index in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, ids: Tensor, cache: LatentCache | None) -> Tensor:
        count = ids.shape[1]
        angles = self._rope.angles(0 if cache is None else cache.length, count)
        x: Tensor = functional.embedding(ids, self.embed_tokens.weight)
        for layer in self.layers:
            x = layer(x, self._rope, angles, cache)
        if cache is not None:
            cache.advance(count)
        result: Tensor = self.norm(x)
        return result


class _Layer(nn.Module):
    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = LatentAttention(config, index)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp: nn.Module
        if config.is_sparse(index):
            self.mlp = SparseBlock(config)
        else:
            self.mlp = DenseBlock(config.hidden_size, config.intermediate_size)

    def forward(self, x: Tensor, rope: Rope, angles: tuple[Tensor, Tensor], cache: LatentCache | None) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rope, angles, cache)
        result: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return result
