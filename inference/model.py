"""The DeepSeek-V2 and V3 forward pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import LatentAttention
from .batch import Batch
from .config import ModelConfig
from .moe import DenseBlock, Experts, Gate, SparseBlock
from .norm import RMSNorm
from .ops import Ops
from .rope import Rope


class Deepseek(nn.Module):
    """A causal language model; parameters are named as in the checkpoint (experts stacked, see weights.py)."""

    def __init__(self, config: ModelConfig, ops: Ops | None = None) -> None:
        """`ops` compute its operations; those of torch without."""
        super().__init__()
        self.config = config
        self.ops = ops or Ops()
        self.model = _Decoder(config, self.ops)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, ids: Tensor, batch: Batch | None = None, *, is_last_only: bool = False) -> Tensor:
        """Give logits for each token, or for the last one of each sequence only.

        With a batch of a cache's, `ids` are its tokens side by side: (tokens,) to (tokens or sequences, vocab).
        Without, they are sequences of equal length from their beginning: (sequences, tokens) to (sequences, tokens or
        1, vocab), differentiable.
        """
        hidden: Tensor = self.model(ids, batch)
        if is_last_only:
            hidden = hidden[:, -1:] if batch is None else hidden[batch.ends]
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
    def __init__(self, config: ModelConfig, ops: Ops) -> None:
        super().__init__()
        self._rope = Rope(config)
        # Without the filling by chance that is made for training: it loads torch's compiler to do nothing on "meta".
        rows = torch.empty(config.vocab_size, config.hidden_size)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, _weight=rows)
        self.layers = nn.ModuleList(_Layer(config, index, ops) for index in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, ops, config.rms_norm_eps)

    def forward(self, ids: Tensor, batch: Batch | None) -> Tensor:
        positions = torch.arange(ids.shape[1], device=ids.device) if batch is None else batch.positions
        angles = self._rope.angles(positions)
        x: Tensor = functional.embedding(ids, self.embed_tokens.weight)
        residual: Tensor | None = None
        for layer in self.layers:
            x, residual = layer(x, residual, angles, batch)
        return self.norm.add(x, residual)[0]


class _Layer(nn.Module):
    def __init__(self, config: ModelConfig, index: int, ops: Ops) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, ops, config.rms_norm_eps)
        self.self_attn = LatentAttention(config, index, ops)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, ops, config.rms_norm_eps)
        self.mlp: nn.Module
        if config.is_sparse(index):
            self.mlp = SparseBlock(config, ops)
        else:
            self.mlp = DenseBlock(config.hidden_size, config.intermediate_size)

    def forward(
        self, x: Tensor, residual: Tensor | None, angles: tuple[Tensor, Tensor], batch: Batch | None
    ) -> tuple[Tensor, Tensor]:
        """Give what the layer adds and what it adds it to: the next norm takes both, and reads memory once."""
        normed, residual = self.input_layernorm.add(x, residual)
        normed, residual = self.post_attention_layernorm.add(self.self_attn(normed, angles, batch), residual)
        return self.mlp(normed), residual
