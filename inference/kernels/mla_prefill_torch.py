"""Causal attention of prefills over expanded keys and values, in torch.

One call a sequence, of a kind and shape that follow from the sequence alone: so its bits do not depend on what is
beside it. Few scores are made at once, by matrix products; many go through torch's attention, which keeps a block of
them at a time. It does so for values as wide as keys only, and is faster even so: values get columns of zeros.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

_MOST_SCORES = 1 << 17  # of a sequence, all heads together, that are made at once


def mla_prefill(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_starts: Tensor,
    key_starts: Tensor,
    scale: float,
    max_queries: int,
) -> Tensor:
    """Return what each query makes of the values of its sequence, up to its own place.

    Shape: query (query tokens, heads, width), key (key tokens, heads, width), value (key tokens, heads, value width);
    query_starts and key_starts (sequences + 1,): where each sequence begins, and where the last one ends. A sequence
    has at least as many keys as queries; what it has more comes first. The result is (query tokens, heads, value
    width), contiguous, of query's type. `max_queries` is not needed here.
    Cost: a few calls for each sequence that has queries.
    """
    spans = zip(_spans(query_starts), _spans(key_starts), strict=True)
    parts = [_attend(query[rows], key[seen], value[seen], scale) for rows, seen in spans if rows.start < rows.stop]
    if not parts:
        return query.new_empty(0, query.shape[1], value.shape[2])
    return (parts[0] if len(parts) == 1 else torch.cat(parts)).to(query.dtype)


def _spans(starts: Tensor) -> Iterator[slice]:
    numbers = starts.tolist()
    return map(slice, numbers, numbers[1:])


def _attend(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Attend in one sequence. Shape: (queries, heads, width), (keys, heads, width); (queries, heads, value width)."""
    query, key, value = (rows.float().transpose(0, 1) for rows in (query, key, value))
    heads, queries, _ = query.shape
    if heads * queries * key.shape[1] > _MOST_SCORES:
        return _fused(query, key, value, scale)
    hidden = query.new_full((queries, key.shape[1]), float("-inf")).triu(key.shape[1] - queries + 1)
    scores = torch.baddbmm(hidden, query, key.transpose(1, 2), alpha=scale)
    return torch.bmm(scores.softmax(dim=-1), value).transpose(0, 1).contiguous()


def _fused(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    queries, keys, columns = query.shape[1], key.shape[1], value.shape[2]
    padded = functional.pad(value, (0, max(0, key.shape[2] - columns)))
    seen = None if queries == keys else query.new_ones((queries, keys), dtype=torch.bool).tril(keys - queries)
    out = functional.scaled_dot_product_attention(
        query[None], key[None], padded[None], attn_mask=seen, is_causal=seen is None, scale=scale
    )
    return out[0, :, :, :columns].transpose(0, 1).contiguous()
