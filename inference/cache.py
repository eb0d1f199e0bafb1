"""The paged latent key-value cache of a few sequences."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .batch import Batch, Span, make_batch
from .config import ModelConfig

PAGE_ROWS = 16
_FIRST_ROWS = 256


class LatentCache:
    """One row a token and layer: the normalised latent beside the rotated shared key.

    Rows lie in pages that are given out as sequences grow, so each may be as long as its own. Shape of a layer:
    (pages, page size, kv_lora_rank + qk_rope_head_dim). Memory grows by doubling up to `capacity` rows for each of
    the sequences, so a large grant costs nothing until it is used. Each layer lies in memory of its own.
    """

    def __init__(self, config: ModelConfig, capacity: int, num_sequences: int = 1) -> None:
        width = config.kv_lora_rank + config.qk_rope_head_dim
        self.capacity = capacity
        self._most_pages = num_sequences * _num_pages(capacity)
        first = min(self._most_pages, num_sequences * _num_pages(_FIRST_ROWS))
        self._layers = [torch.empty(first, PAGE_ROWS, width) for _ in range(config.num_hidden_layers)]
        self._pages: list[list[int]] = [[] for _ in range(num_sequences)]
        self._lengths = [0] * num_sequences
        self._num_used = 0

    @property
    def lengths(self) -> tuple[int, ...]:
        """How many rows each sequence has."""
        return tuple(self._lengths)

    def extend(self, counts: Sequence[int]) -> Batch:
        """Make room for new tokens of each sequence, and give the forward pass that fills it.

        A count of 0 leaves a sequence out. Until that pass is over the new rows are undefined.
        Raises: ValueError where the rows do not fit or there are none, or unless counts of 1 come before larger ones.
        """
        if len(counts) != len(self._lengths):
            wanted = f"expected a number of new tokens for each of {len(self._lengths)} sequences"
            raise ValueError(f"{wanted}, got {len(counts)}")
        spans = []
        for sequence, count in enumerate(counts):
            end = self._lengths[sequence] + count
            if end > self.capacity:
                raise ValueError(f"expected at most {self.capacity} tokens of a sequence in the cache, got {end}")
            if count:
                spans.append((sequence, Span(self._lengths[sequence], count, self._pages[sequence])))
        for sequence, span in spans:
            self._reserve(sequence, _num_pages(span.total))
        batch = make_batch(self._layers, [span for _, span in spans])
        for sequence, span in spans:
            self._lengths[sequence] = span.total
        return batch

    def _reserve(self, sequence: int, num_pages: int) -> None:
        pages = self._pages[sequence]
        while len(pages) < num_pages:
            if self._num_used == len(self._layers[0]):
                self._grow()
            pages.append(self._num_used)
            self._num_used += 1

    def _grow(self) -> None:
        for layer, old in enumerate(self._layers):
            self._layers[layer] = old.new_empty(min(self._most_pages, 2 * len(old)), *old.shape[1:])
            self._layers[layer][: len(old)] = old


def _num_pages(rows: int) -> int:
    return -(-rows // PAGE_ROWS)
