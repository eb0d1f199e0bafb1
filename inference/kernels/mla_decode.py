"""Multi-head latent attention for one new token a sequence, over a paged latent cache.

    score[t] = scale · q · row[t]        out = Σ softmax(score)[t] · row[t, :rank]

Every head attends to the same rows, and the first `rank` columns of a row are key and value at once. Reads each row of
`rank + rope` elements once a block of heads, and does 2 · (2 · rank + rope) operations with it a head: bound by memory
for 16 heads, by the tensor cores for 128.

A sequence is split along its length. A split keeps its largest score, its sum and its unnormalised output in float32;
the second kernel adds the splits up, each scaled down by how far its largest score lies below the largest of all. How
many tokens a split has follows from the length and the shape of the model alone, so that a row's bits do not depend on
what else is in the batch, nor on the width of the table.

Blocks of rows lie inside a page and come by tensor descriptor (TMA). Compiled for sm_90 that takes 26 to 40 registers
a thread less than pointers for tiles of 16 heads, and about as many for 64. A block that the length ends in is moved up
until it ends there too: what it then has before its first row are earlier rows of the page, or zeros where the page
begins, and only their scores are masked. So rows past the length, which may be NaN, are never read. A tile of fewer
than 64 heads would be too low for the wide tensor-core instructions, so there the rows take the place of the heads in
both products.

Tolerance: float32 5e-6, two sums over a few hundred products. 16 bits: the numerators of the softmax are rounded
to the type for the second product, and the result once more.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from .language import dot
from .tuning import Config, pick, power_of_two

MAX_SPLITS = 64  # of a sequence: bounds what is kept of them; a longer sequence gets longer splits
_MAX = tl.constexpr(MAX_SPLITS)
_CHUNK = tl.constexpr(8)  # splits that are added up at a time
_MIN_SIDE = 16  # of a tile of the tensor cores
_TMA_BYTES = 16  # what addresses and the steps between rows have to be multiples of


@triton.jit
def _split_size(length, SPLIT: tl.constexpr):
    return tl.maximum(tl.cdiv(length, SPLIT * _MAX), 1) * SPLIT


@triton.jit
def _product(a, b, acc):
    """Return acc + a · b for a row a head, as bᵀ · aᵀ where there are few heads."""
    if a.shape[0] < 64:
        return tl.trans(dot(tl.trans(b), tl.trans(a), tl.trans(acc)))
    return dot(a, b, acc)


@triton.jit
def _attend(q_latent, q_rope, latent, rope, inside, scale, top, total, acc):
    """Add a block of rows to what a split knows of its heads: the largest score, the sum, the output."""
    scores = _product(q_latent, tl.trans(latent), tl.zeros([q_latent.shape[0], latent.shape[0]], tl.float32))
    scores = _product(q_rope, tl.trans(rope), scores) * scale
    scores = tl.where(inside[None, :], scores, float("-inf"))
    higher = tl.maximum(top, tl.max(scores, axis=1))
    shrink = tl.exp(top - higher)
    parts = tl.exp(scores - higher[:, None])
    acc = _product(parts.to(latent.dtype), latent, acc * shrink[:, None])
    return higher, total * shrink + tl.sum(parts, axis=1), acc


@triton.jit
def _attend_all(q_latent, q_rope, latents, ropes, table, start, end, scale, RANK: tl.constexpr, PAGE: tl.constexpr):
    """Return the largest score, the sum and the unnormalised output of each head over the rows from start to end."""
    BLOCK: tl.constexpr = latents.block_shape[1]
    top = tl.full([q_latent.shape[0]], float("-inf"), tl.float32)
    total = tl.zeros([q_latent.shape[0]], tl.float32)
    acc = tl.zeros([q_latent.shape[0], q_latent.shape[1]], tl.float32)
    page = tl.load(table + start // PAGE)
    for at in tl.range(start, end, BLOCK):
        missing = tl.maximum(at + BLOCK - end, 0)
        row = at % PAGE - missing
        latent = latents.load([page, row, 0]).reshape(BLOCK, latents.block_shape[2])
        rope = ropes.load([page, row, RANK]).reshape(BLOCK, ropes.block_shape[2])
        following = at + BLOCK  # looked up a block ahead, or the loads would wait for it
        page = tl.load(table + following // PAGE, mask=following < end, other=0)
        inside = tl.arange(0, BLOCK) >= missing
        top, total, acc = _attend(q_latent, q_rope, latent, rope, inside, scale, top, total, acc)
    return top, total, acc


@triton.jit
def _mla_split(
    q,
    latents,
    ropes,
    page_table,
    lengths,
    tops,
    totals,
    partials,
    scale,
    num_heads,
    q_step,
    q_head_step,
    table_step,
    RANK: tl.constexpr,
    ROPE: tl.constexpr,
    PAGE: tl.constexpr,
    HEADS: tl.constexpr,
    SPLIT: tl.constexpr,
):
    split, sequence = tl.program_id(1), tl.program_id(2).to(tl.int64)
    length = tl.load(lengths + sequence)
    start = split * _split_size(length, SPLIT)
    end = tl.minimum(start + _split_size(length, SPLIT), length)
    if start >= end:
        return
    heads = tl.program_id(0) * HEADS + tl.arange(0, HEADS)[:, None]
    column, rope_column = tl.arange(0, latents.block_shape[2])[None, :], tl.arange(0, ropes.block_shape[2])[None, :]
    is_head, is_latent = heads < num_heads, (heads < num_heads) & (column < RANK)
    query, at = q + sequence * q_step, heads * q_head_step
    q_latent = tl.load(query + (at + column), mask=is_latent, other=0.0)
    q_rope = tl.load(query + (at + RANK + rope_column), mask=is_head & (rope_column < ROPE), other=0.0)
    table = page_table + sequence * table_step
    top, total, acc = _attend_all(q_latent, q_rope, latents, ropes, table, start, end, scale, RANK, PAGE)
    first, slot = sequence * num_heads * tl.num_programs(1), heads * tl.num_programs(1) + split
    tl.store(tops + first + slot, top[:, None], mask=is_head)
    tl.store(totals + first + slot, total[:, None], mask=is_head)
    tl.store(partials + first * RANK + (slot * RANK + column), acc, mask=is_latent)


@triton.jit
def _mla_combine(
    tops,
    totals,
    partials,
    lengths,
    out,
    num_splits,
    RANK: tl.constexpr,
    BLOCK_RANK: tl.constexpr,
    SPLIT: tl.constexpr,
):
    sequence = tl.program_id(1)
    head = sequence.to(tl.int64) * tl.num_programs(0) + tl.program_id(0)
    length = tl.load(lengths + sequence)
    used = tl.cdiv(length, _split_size(length, SPLIT))
    first = head * num_splits
    every = tl.arange(0, _MAX)
    highest = tl.max(tl.load(tops + first + every, mask=every < used, other=float("-inf")), axis=0)
    column = tl.arange(0, BLOCK_RANK)
    total = tl.zeros([_CHUNK], tl.float32)
    acc = tl.zeros([BLOCK_RANK], tl.float32)
    for start in tl.range(0, used, _CHUNK):
        split = start + tl.arange(0, _CHUNK)
        is_used = split < used
        weight = tl.exp(tl.load(tops + first + split, mask=is_used, other=float("-inf")) - highest)
        total += weight * tl.load(totals + first + split, mask=is_used, other=0.0)
        at = (first + split)[:, None] * RANK + column[None, :]
        part = tl.load(partials + at, mask=is_used[:, None] & (column < RANK)[None, :], other=0.0)
        acc += tl.sum(weight[:, None] * part, axis=0)
    result = acc / tl.where(used > 0, tl.sum(total, axis=0), 1.0)
    tl.store(out + head * RANK + column, result.to(out.dtype.element_ty), mask=column < RANK)


def bucket(heads: int, rank: int, page_size: int, itemsize: int) -> str:
    """Return the bucket of a shape. Batch and length are not in it: a row's bits have to be its own."""
    return f"{heads} heads, rank {rank}, page {page_size}, {8 * itemsize} bits"


def default(heads: int, rank: int, page_size: int, itemsize: int) -> Config:
    """Return the configuration of a shape that was not measured."""
    if rank * itemsize > 1024:  # the tests' float32, on the plain units
        return {"HEADS": 16, "BLOCK": 16, "SPLIT": 512, "num_warps": 4, "num_stages": 2}
    if heads <= 32:
        return {"HEADS": 16, "BLOCK": min(page_size, 32), "SPLIT": 512, "num_warps": 4, "num_stages": 3}
    return {"HEADS": 64, "BLOCK": min(page_size, 64), "SPLIT": 1024, "num_warps": 8, "num_stages": 2}


def candidates(heads: int, rank: int, page_size: int, itemsize: int) -> list[Config]:
    """Return what a sweep tries: what fits into 227 KiB of shared memory, with a rope of 64."""
    row_bytes = (rank + 64) * itemsize
    return [
        {"HEADS": tile, "BLOCK": block, "SPLIT": split, "num_warps": warps, "num_stages": stages}
        for tile, warps in ((16, 4), (16, 8), (64, 8))
        if tile == 16 or heads > 16
        for block in (16, 32, 64)
        if block <= page_size
        for stages in (2, 3, 4)
        if (tile + stages * block) * row_bytes <= 230_000
        for split in (256, 512, 1024)
    ]


class _Batch(NamedTuple):
    q: Tensor
    pages: Tensor
    page_table: Tensor
    lengths: Tensor
    rank: int


def mla_decode(
    q: Tensor,
    pages: Tensor,
    page_table: Tensor,
    lengths: Tensor,
    scale: float,
    rank: int,
    *,
    config: Config | None = None,
) -> Tensor:
    """Return what each head makes of its sequence's latents; zeros for a sequence of no rows.

    The model folds its up-projection of the keys into q, and applies that of the values to the result.

    Shape: q (batch, heads, rank + rope), the latent query beside the rotated one; pages (pages, page size, rank +
    rope); page_table (batch, most pages) and lengths (batch,) int32. The result is (batch, heads, rank), of q's type,
    which is that of the pages. Table entries past a sequence's length may be anything. q, pages and the table may have
    gaps between their rows.
    Raises: ValueError for pages of a size that is no power of two or below 16, and for rows that TMA cannot address.
    """
    _check(pages, rank)
    key = (q.shape[1], rank, pages.shape[1], pages.element_size())
    chosen = config or pick("mla_decode", bucket(*key), default(*key))
    kept = _splits(_Batch(q, pages, page_table, lengths, rank), scale, chosen)
    out = torch.empty((*q.shape[:2], rank), dtype=q.dtype, device=q.device)
    if q.shape[0]:
        num_splits, columns, split = kept[0].shape[2], _side(rank), chosen["SPLIT"]
        grid = (q.shape[1], q.shape[0])
        _mla_combine[grid](*kept, lengths, out, num_splits, RANK=rank, BLOCK_RANK=columns, SPLIT=split, num_warps=4)
    return out


def _splits(batch: _Batch, scale: float, chosen: Config) -> tuple[Tensor, Tensor, Tensor]:
    """Return each split's largest score, sum and unnormalised output by sequence, head and split."""
    q, pages, page_table, lengths, rank = batch
    num_sequences, heads, width = q.shape
    num_pages, page_size, _ = pages.shape
    most = min(MAX_SPLITS, triton.cdiv(page_table.shape[1] * page_size, chosen["SPLIT"]))
    tops = torch.empty((num_sequences, heads, most), dtype=torch.float32, device=q.device)
    totals = torch.empty_like(tops)
    partials = torch.empty((num_sequences, heads, most, rank), dtype=torch.float32, device=q.device)
    block, others = chosen["BLOCK"], {name: value for name, value in chosen.items() if name != "BLOCK"}
    if num_sequences and most and num_pages:
        _mla_split[(triton.cdiv(heads, chosen["HEADS"]), most, num_sequences)](
            q,
            TensorDescriptor.from_tensor(pages, [1, block, _side(rank)]),
            TensorDescriptor.from_tensor(pages, [1, block, _side(width - rank)]),
            page_table,
            lengths,
            tops,
            totals,
            partials,
            scale,
            heads,
            q.stride(0),
            q.stride(1),
            page_table.stride(0),
            RANK=rank,
            ROPE=width - rank,
            PAGE=page_size,
            **others,
        )
    return tops, totals, partials


def _side(size: int) -> int:
    return max(_MIN_SIDE, power_of_two(size))


def _check(pages: Tensor, rank: int) -> None:
    _, page_size, width = pages.shape
    if page_size < _MIN_SIDE or page_size != power_of_two(page_size):
        raise ValueError(f"expected pages of a power of two of rows, at least {_MIN_SIDE}, got {page_size}")
    bytes_each = pages.element_size()
    if rank * bytes_each % _TMA_BYTES or width * bytes_each % _TMA_BYTES:
        wanted = f"expected a rank and rows of a multiple of {_TMA_BYTES} bytes"
        raise ValueError(f"{wanted}, got {rank} and {width} elements of {bytes_each}")
