"""The latent key-value cache of one batch of equally long sequences."""

from __future__ import annotations

import torch
from torch import Tensor

from .config import ModelConfig

_FIRST_ROWS = 256


class LatentCache:
    """One row a token and layer: the normalised latent beside the rotated shared key.

    Shape of a layer: (batch, rows, kv_lora_rank + qk_rope_head_dim). Memory grows by doubling up to `capacity`, so a
    large grant costs nothing until it is used. Each layer lies in memory of its own, aligned alike whatever the
    capacity: products over it round the same way in every run.
    """

    def __init__(self, config: ModelConfig, capacity: int, batch: int = 1) -> None:
        width = config.kv_lora_rank + config.qk_rope_head_dim
        rows = min(capacity, _FIRST_ROWS)
        self._layers = [torch.empty(batch, rows, width) for _ in range(config.num_hidden_layers)]
        self.capacity = capacity
        self.length = 0

    def append(self, layer: int, rows: Tensor) -> Tensor:
        """Store the new rows of a layer and give all of its rows. Shape: (batch, new, width) to (batch, all, width).

        `length` moves on in `advance`, once every layer has stored its rows.
        Raises: ValueError where the rows do not fit.
        """
        end = self.length + rows.shape[1]
        if end > self.capacity:
            raise ValueError(f"expected at most {self.capacity} tokens in the cache, got {end}")
        if end > self._layers[layer].shape[1]:
            self._grow(layer, end)
        stored = self._layers[layer]
        stored[:, self.length : end] = rows
        return stored[:, :end]

    def advance(self, count: int) -> None:
        """Count tokens as stored in every layer."""
        self.length += count

    def _grow(self, layer: int, end: int) -> None:
        old = self._layers[layer]
        batch, rows, width = old.shape
        self._layers[layer] = torch.empty(batch, min(self.capacity, max(end, 2 * rows)), width)
        self._layers[layer][:, : self.length] = old[:, : self.length]
