"""Places of a batch's tokens, sorted by the experts that they go to.

A token's k-th choice is position token · top_k + k. Positions are sorted by expert, in their order within one, and each
expert's run is padded to whole blocks, so that a block of slots needs the weights of one expert alone.

Moves 4 bytes for each position and each slot; some 4 operations for each pair of positions in one chunk. Bound by the
launches: one where the positions are so few that every program can count them all, as in decode, else two. No program
waits for another and nothing is added up in an order that could change, so the result is always the same.

Tolerance: none, these are integers.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .tuning import Config, pick, power_of_two

MAX_EXPERTS = 1024
_MAX_WHOLE = 4096  # positions that every program counts for itself
_COMPARED = tl.constexpr(16)  # positions that a chunk is compared with at a time
_ROWS = tl.constexpr(8)  # chunks whose counts are added up at a time


@triton.jit
def _moe_count(ids, counts, num_positions, CHUNK: tl.constexpr, EXPERTS: tl.constexpr):
    """Count how many positions of a chunk chose each expert."""
    chunk = tl.program_id(0)
    at = chunk * CHUNK + tl.arange(0, CHUNK)
    inside = at < num_positions
    chosen = tl.load(ids + at, mask=inside, other=0).to(tl.int32)
    tl.store(counts + chunk * EXPERTS + tl.arange(0, EXPERTS), tl.histogram(chosen, EXPERTS, mask=inside))


@triton.jit
def _counted(ids, counts, num_positions, num_chunks, CHUNK: tl.constexpr, WHOLE: tl.constexpr, EXPERTS: tl.constexpr):
    """Return how many positions chose each expert: of all, and of those before the program's chunk."""
    if WHOLE:
        at = tl.arange(0, WHOLE)
        chosen = tl.load(ids + at, mask=at < num_positions, other=0).to(tl.int32)
        is_before = at < tl.minimum(tl.program_id(0) * CHUNK, num_positions)
        total = tl.histogram(chosen, EXPERTS, mask=at < num_positions)
        before = tl.histogram(chosen, EXPERTS, mask=is_before)
    else:
        total = tl.zeros([EXPERTS], tl.int32)
        before = tl.zeros([EXPERTS], tl.int32)
        for first in range(0, num_chunks, _ROWS):
            chunk = (first + tl.arange(0, _ROWS))[:, None]
            where = counts + chunk * EXPERTS + tl.arange(0, EXPERTS)[None, :]
            counted = tl.load(where, mask=chunk < num_chunks, other=0)
            total += tl.sum(counted, axis=0)
            before += tl.sum(tl.where(chunk < tl.program_id(0), counted, 0), axis=0)
    return total, before


@triton.jit
def _scatter(ids, slots, firsts, num_positions, CHUNK: tl.constexpr):
    """Store the positions of the program's chunk; `firsts` are the slots of its first one of each expert."""
    start = tl.program_id(0) * CHUNK
    at = start + tl.arange(0, CHUNK)
    chosen = tl.load(ids + at, mask=at < num_positions, other=0).to(tl.int32)
    rank = tl.zeros([CHUNK], tl.int32)
    for offset in range(0, CHUNK, _COMPARED):
        earlier = start + offset + tl.arange(0, _COMPARED)
        other = tl.load(ids + earlier, mask=earlier < num_positions, other=-1).to(tl.int32)
        is_before = (other[None, :] == chosen[:, None]) & (earlier[None, :] < at[:, None])
        rank += tl.sum(is_before.to(tl.int32), axis=1)
    tl.store(slots + tl.gather(firsts, chosen, 0) + rank, at, mask=at < num_positions)


@triton.jit
def _moe_place(
    ids, counts, slots, experts, used, num_positions, num_chunks, num_blocks,
    BLOCK: tl.constexpr, WIDTH: tl.constexpr, CHUNK: tl.constexpr, WHOLE: tl.constexpr, EXPERTS: tl.constexpr,
    BLOCKS: tl.constexpr,
):  # fmt: skip
    """Put the positions of a chunk into their slots, and say of some blocks whose they are and what is padding."""
    program = tl.program_id(0)
    total, before = _counted(ids, counts, num_positions, num_chunks, CHUNK, WHOLE, EXPERTS)
    padded = (total + BLOCK - 1) // BLOCK * BLOCK
    ends = tl.cumsum(padded, axis=0)
    starts = ends - padded
    if program == 0:
        tl.store(used, tl.sum(padded, axis=0))
    if program < num_chunks:
        _scatter(ids, slots, starts + before, num_positions, CHUNK)

    block = program * BLOCKS + tl.arange(0, BLOCKS)
    owner = tl.sum((ends[None, :] <= (block * BLOCK)[:, None]).to(tl.int32), axis=1)  # nobody: EXPERTS
    tl.store(experts + block, tl.where(owner < EXPERTS, owner, -1), mask=block < num_blocks)
    end = tl.where(owner < EXPERTS, tl.gather(starts + total, tl.minimum(owner, EXPERTS - 1), 0), 0)
    inner = tl.arange(0, WIDTH)[None, :]
    slot = block[:, None] * BLOCK + inner
    is_padding = (slot >= end[:, None]) & (inner < BLOCK) & (block < num_blocks)[:, None]
    tl.store(slots + slot, tl.full([BLOCKS, WIDTH], 0, tl.int32) + num_positions, mask=is_padding)


def capacity(num_positions: int, num_experts: int, block: int) -> int:
    """Return how many slots any choice of experts can need at most: whole blocks."""
    return (num_positions + min(num_experts, num_positions) * (block - 1)) // block * block


def bucket(num_positions: int, num_experts: int) -> str:
    """Return the bucket of a shape."""
    return f"positions {power_of_two(num_positions)} experts {power_of_two(num_experts)}"


def default(num_positions: int, num_experts: int) -> Config:
    """Return the configuration of a shape that was not measured."""
    if num_positions > _MAX_WHOLE:
        return {"CHUNK": 512, "BLOCKS": 16, "num_warps": 8}
    return {"CHUNK": min(128, max(16, power_of_two(num_positions))), "BLOCKS": 16, "num_warps": 4}


def candidates(num_positions: int, num_experts: int) -> list[Config]:
    """Return what a sweep tries."""
    chunks = (256, 512, 1024) if num_positions > _MAX_WHOLE else (64, 128, 256)
    return [{"CHUNK": chunk, "BLOCKS": 16, "num_warps": warps} for chunk in chunks for warps in (4, 8)]


def moe_align(
    ids: Tensor, num_experts: int, block: int, *, config: Config | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the slots, the expert of each block of them, and how many slots are used.

    A slot holds a position, or the number of positions where it is padding. Blocks that are not used have expert -1.
    Shape: ids (tokens, top_k), int32 or int64, each in [0, num_experts), rows one after the other; slots (capacity,),
    experts (capacity / block,), used (1,), all int32. The capacity follows from the sizes alone.
    Raises: ValueError for more experts than `MAX_EXPERTS`.
    """
    if num_experts > MAX_EXPERTS:
        raise ValueError(f"expected at most {MAX_EXPERTS} experts, got {num_experts}")
    num_positions, width = ids.numel(), power_of_two(num_experts)
    chosen = dict(config or pick("moe_align", bucket(num_positions, num_experts), default(num_positions, num_experts)))
    num_warps, chunk = chosen.pop("num_warps"), chosen["CHUNK"]
    num_slots = capacity(num_positions, num_experts, block)
    num_chunks, num_blocks = triton.cdiv(num_positions, chunk), num_slots // block
    whole = power_of_two(num_positions) if num_positions <= _MAX_WHOLE else 0
    sizes = (num_slots, num_blocks, 1, 0 if whole else num_chunks * width)
    slots, experts, used, counts = (torch.empty(size, dtype=torch.int32, device=ids.device) for size in sizes)
    if not whole:
        _moe_count[(num_chunks,)](ids, counts, num_positions, CHUNK=chunk, EXPERTS=width, num_warps=num_warps)
    _moe_place[(max(1, num_chunks, triton.cdiv(num_blocks, chosen["BLOCKS"])),)](
        ids, counts, slots, experts, used, num_positions, num_chunks, num_blocks,
        BLOCK=block, WIDTH=power_of_two(block), WHOLE=whole, EXPERTS=width, num_warps=num_warps, **chosen,
    )  # fmt: skip
    return slots, experts, used
