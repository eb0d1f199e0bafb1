"""Rotary positions of queries and keys, with the latent rows written into the cache: one launch.

    queries: out = [first · cos - second · sin | second · cos + first · sin], of each pair of each head
    cache:   page row = [latent / sqrt(mean(latent²) + eps) · weight | the key's pairs, rotated alike]

The pairs are (2i, 2i + 1) where they are interleaved, else (i, i + rope / 2); the result has them in halves, as
`rotated` of its twin has.

Moves each query element and each element of a row twice, 4 · rope bytes of angles and 8 of slot for a token, and does
3 operations for each rotated element and 4 for each of the latent: bound by memory.
Programs are (token, part): part 0 writes the row of the cache, each other part rotates some heads. Interleaved pairs
are loaded as they lie and parted in registers.

Tolerance: float32 1e-6 relative to the largest value of a latent, a key or a head: a sum over the latent in a tree, two
products and their difference. 16 bits: one rounding of each result, 2⁻¹¹ and 2⁻⁸.
Source: RoFormer (arXiv 2104.09864), DeepSeek-V2 (arXiv 2405.04434) §2.1.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .rope_latent_torch import check
from .tuning import Config, pick, power_of_two

MAX_RANK = 8192


@triton.jit
def _rotate(x, stride, out, cos, sin, inside, is_kept, HALF: tl.constexpr, IS_INTERLEAVED: tl.constexpr):
    """Rotate the pairs of rows. Shape: pointers x and out, inside and is_kept (rows, 1); cos and sin (1, block)."""
    BLOCK: tl.constexpr = cos.shape[1]
    at = tl.arange(0, BLOCK)[None, :]
    mask = inside & (at < HALF)
    if IS_INTERLEAVED:
        both = tl.arange(0, 2 * BLOCK)[None, :]
        pairs = tl.load(x + both * stride, mask=inside & (both < 2 * HALF), other=0.0).to(tl.float32)
        first, second = tl.split(tl.reshape(pairs, (pairs.shape[0], BLOCK, 2)))
    else:
        first = tl.load(x + at * stride, mask=mask, other=0.0).to(tl.float32)
        second = tl.load(x + (at + HALF) * stride, mask=mask, other=0.0).to(tl.float32)
    dtype = out.dtype.element_ty
    tl.store(out + at, (first * cos - second * sin).to(dtype), mask=mask & is_kept)
    tl.store(out + at + HALF, (second * cos + first * sin).to(dtype), mask=mask & is_kept)


@triton.jit
def _normalise(x, stride, out, weight, eps, is_kept, RANK: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    inside = at < RANK
    latent = tl.load(x + at * stride, mask=inside, other=0.0).to(tl.float32)
    scale = tl.rsqrt(tl.sum(latent * latent, axis=0) / RANK + eps)
    weights = tl.load(weight + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + at, (latent * scale * weights).to(out.dtype.element_ty), mask=inside & is_kept)


@triton.jit
def _rope_latent(
    q,
    kv,
    weight,
    cos,
    sin,
    pages,
    slots,
    out,
    eps,
    heads,
    q_token,
    q_head,
    q_one,
    kv_token,
    kv_one,
    RANK: tl.constexpr,
    HALF: tl.constexpr,
    IS_INTERLEAVED: tl.constexpr,
    RANK_BLOCK: tl.constexpr,
    BLOCK: tl.constexpr,
    HEADS: tl.constexpr,
):
    token, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    pair = tl.arange(0, BLOCK)[None, :]
    cosine = tl.load(cos + token * HALF + pair, mask=pair < HALF, other=0.0)
    sine = tl.load(sin + token * HALF + pair, mask=pair < HALF, other=0.0)
    if part == 0:
        slot = tl.load(slots + token)
        row, latent = pages + slot * (RANK + 2 * HALF), kv + token * kv_token
        _normalise(latent, kv_one, row, weight, eps, slot >= 0, RANK, RANK_BLOCK)
        zero = tl.zeros((1, 1), tl.int32)  # makes a block of one row
        key = latent + (RANK * kv_one + zero)
        _rotate(key, kv_one, row + (RANK + zero), cosine, sine, zero == 0, slot >= 0, HALF, IS_INTERLEAVED)
    else:
        head = ((part - 1) * HEADS + tl.arange(0, HEADS)[:, None]).to(tl.int64)
        query = q + token * q_token + head * q_head
        result = out + (token * heads + head) * 2 * HALF
        _rotate(query, q_one, result, cosine, sine, head < heads, head < heads, HALF, IS_INTERLEAVED)


def bucket(heads: int, rank: int, rope: int) -> str:
    """Return the bucket of a shape."""
    return f"heads {power_of_two(heads)}, rank {power_of_two(rank)}, rope {power_of_two(rope)}"


def default(heads: int, rank: int, rope: int) -> Config:
    """Return the configuration of a shape that was not measured: 16 elements of queries or 8 of a latent a thread."""
    at_once = max(1, 1024 // power_of_two(rope))
    return {"HEADS": min(power_of_two(heads), at_once), "num_warps": min(16, max(2, power_of_two(rank) // 512))}


def candidates(heads: int, rank: int, rope: int) -> list[Config]:
    """Return what a sweep tries."""
    blocks = {min(power_of_two(heads), block) for block in (8, 16, 32, 64)}
    return [{"HEADS": block, "num_warps": warps} for block in sorted(blocks) for warps in (1, 2, 4, 8)]


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
    config: Config | None = None,
) -> Tensor:
    """Return the rotated queries, and write the normalised latents with their rotated keys into `pages`, in place.

    Shape: q_rope (tokens, heads, rope), any view; kv (tokens, rank + rope), any view; weight (rank,); cos and sin
    (tokens, rope / 2) float32; pages (num_pages, page_size, rank + rope), contiguous; slots (tokens,) int64: page ·
    page_size + offset, within the pages and no two alike; negative: the row goes nowhere. The result is contiguous.
    Raises: ValueError for parts that do not fit together, or latents wider than `MAX_RANK`.
    """
    parts = q_rope, kv, weight, cos, sin, pages, slots
    check(*parts)
    (tokens, heads, rope), rank = q_rope.shape, weight.numel()
    if rank > MAX_RANK:
        raise ValueError(f"expected latents of at most {MAX_RANK}, got {rank}")
    out = torch.empty(tokens, heads, rope, dtype=q_rope.dtype, device=q_rope.device)
    chosen = config or pick("rope_latent", bucket(heads, rank, rope), default(heads, rank, rope))
    if tokens:
        _rope_latent[(tokens, 1 + triton.cdiv(heads, chosen["HEADS"]))](
            *parts,
            out,
            eps,
            heads,
            *q_rope.stride(),
            *kv.stride(),
            IS_INTERLEAVED=is_interleaved,
            **_sizes(rank, rope),
            **chosen,
        )
    return out


def _sizes(rank: int, rope: int) -> Config:
    """Return what the kernel is compiled for."""
    half = rope // 2
    return {"RANK": rank, "HALF": half, "RANK_BLOCK": power_of_two(rank), "BLOCK": power_of_two(half)}
