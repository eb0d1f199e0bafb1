"""Rotary positions of queries and keys, and the latent rows into the cache, in torch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def rope_latent(
    q_rope: Tensor,
    kv: Tensor,
    weight: Tensor,
    eps: float,
    cos: Tensor,
    sin: Tensor,
    pages: Tensor,
    slots: Tensor,
    *,
    is_interleaved: bool,
) -> Tensor:
    """Return the rotated queries, and write the normalised latents with their rotated keys into `pages`, in place.

    Shape: q_rope (tokens, heads, rope), any view; kv (tokens, rank + rope); weight (rank,); cos and sin (tokens,
    rope / 2) float32; pages (num_pages, page_size, rank + rope), contiguous; slots (tokens,) int64: page · page_size
    + offset, within the pages and no two alike; negative: the row goes nowhere. The result is contiguous.
    Raises: ValueError for parts that do not fit together.
    """
    check(q_rope, kv, weight, cos, sin, pages, slots)
    rank = weight.numel()
    latent = functional.rms_norm(kv[:, :rank].float(), weight.shape, weight.float(), eps)
    key = rotated(kv[:, rank:].float(), cos, sin, is_interleaved)
    rows = torch.cat((latent, key), dim=-1).to(pages.dtype)
    is_kept = slots >= 0
    if not bool(is_kept.all()):
        rows, slots = rows[is_kept], slots[is_kept]
    pages.view(-1, pages.shape[-1]).index_copy_(0, slots, rows)
    return rotated(q_rope.float(), cos[:, None], sin[:, None], is_interleaved).to(q_rope.dtype)


def check(q_rope: Tensor, kv: Tensor, weight: Tensor, cos: Tensor, sin: Tensor, pages: Tensor, slots: Tensor) -> None:
    """Raise ValueError unless the parts fit together."""
    tokens, _, rope = q_rope.shape
    width, half = weight.numel() + rope, (tokens, rope // 2)
    if rope % 2 or kv.shape != (tokens, width) or pages.shape[-1] != width or slots.shape != (tokens,):
        raise ValueError(
            f"expected an even width to rotate, and for {tokens} tokens slots and rows of {width}: got {rope}, "
            f"slots {tuple(slots.shape)}, kv {tuple(kv.shape)}, pages {tuple(pages.shape)}"
        )
    if cos.shape != half or sin.shape != half or {cos.dtype, sin.dtype} != {torch.float32}:
        raise ValueError(f"expected cos and sin {half} of float32, got {cos.dtype} {tuple(cos.shape)}")
    if not (cos.is_contiguous() and sin.is_contiguous() and pages.is_contiguous()):
        raise ValueError("expected cos, sin and pages to be contiguous: pass them whole, or a range of their rows")


def rotated(x: Tensor, cos: Tensor, sin: Tensor, is_interleaved: bool) -> Tensor:
    """Rotate pairs; the result keeps first and second members in two halves.

    Queries and keys are permuted alike, so their products do not depend on that order.
    Shape: x (..., width); cos and sin broadcast to (..., width / 2).
    """
    first, second = (x[..., 0::2], x[..., 1::2]) if is_interleaved else x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
