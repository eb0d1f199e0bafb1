"""The routed experts of a batch: two grouped products, with SwiGLU between and the weighted sum after.

    out[t] = sum over k of weights[t, k] · down[e] (silu(gate[e] x[t]) · up[e] x[t]),  e = ids[t, k]

Reads the weights of each expert that anybody chose once (6 · hidden · inner bytes in 16 bits) and does
6 · hidden · inner operations for each position: bound by memory below some 200 positions an expert, so in decode.
Positions are sorted by expert (`moe_align`); one program has a block of them and some rows of one expert's weights, of
`gate` and `up` both, so that SwiGLU needs no pass of its own. `_moe_down` writes a row for each position and
`_moe_combine` adds a token's rows up in their order: no atomics.

The weights are the left operand, with 64 rows or more, and the tokens the right one, with 16 columns or more. So a few
tokens fill the tensor cores as well as many do, by one instruction (wgmma, m64nNk16) at every batch. Its steps along
`hidden` and `inner` are the same in every configuration: of one size of blocks, a token's result is the same to the bit
in whatever batch it is; of different sizes it is if N does not change how the instruction sums. Not measured.

Tolerance: float32 2e-6 relative to the row's largest value, sums over hidden and inner. 16 bits: one rounding each of
the inner values, of each expert's row and of the sum, where rows may cancel: 8 units of the last place.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from .language import dot
from .moe_align import moe_align
from .tuning import Config, pick, power_of_two

_WIDTH = 64  # of a step along a product, the same in every configuration, as is what is summed first
_MAX_COMBINED = 1024  # values of a row that one program adds up
_MAX_SHARED_BYTES = 224 * 1024  # of a block on Hopper, less what barriers need


@triton.jit
def _placed(num_blocks, num_tiles, GROUP: tl.constexpr):
    """Return the program's block of slots and its tile of rows: a group of blocks goes from tile to tile together."""
    program = tl.program_id(0)
    first = program // (GROUP * num_tiles) * GROUP
    size = min(num_blocks - first, GROUP)
    inside = program - first * num_tiles
    return first + inside % size, inside // size


@triton.jit
def _tile(weights, first, row, num_rows, at, width, ROWS: tl.constexpr, WIDTH: tl.constexpr, DESCRIPTOR: tl.constexpr):
    """Return [ROWS, WIDTH] of the weights of the expert whose rows begin at `first`; past its rows anything."""
    if DESCRIPTOR:
        values = weights.load([first + row, at])
    else:
        rows = row + tl.arange(0, ROWS)[:, None]
        columns = at + tl.arange(0, WIDTH)[None, :]
        where = weights + (first + rows).to(tl.int64) * width + columns
        values = tl.load(where, mask=(rows < num_rows) & (columns < width), other=0.0)
    return values


@triton.jit
def _silu(x):
    power = tl.exp(-tl.abs(x))  # which never overflows
    return x * tl.where(x < 0, power, 1.0) / (1.0 + power)


@triton.jit
def _positions(slots, block, num_positions, TOKENS: tl.constexpr):
    """Return the positions of a block, and which of them are any."""
    position = tl.load(slots + block * TOKENS + tl.arange(0, TOKENS))
    return position, position < num_positions


@triton.jit
def _part(rows, is_row, at, width, WIDTH: tl.constexpr):
    """Return [WIDTH, TOKENS] of some rows from column `at` on, zeros past their width."""
    columns = tl.arange(0, WIDTH)[None, :]
    return tl.load(rows + columns + at, mask=is_row & (columns < width - at), other=0.0).T


@triton.jit
def _store(out, value, position, is_token, row, width):
    """Write [ROWS, TOKENS] from `row` on to the rows of the positions, each of a width."""
    rows = row + tl.arange(0, value.shape[0])[:, None]
    where = out + position.to(tl.int64)[None, :] * width + rows
    tl.store(where, value.to(out.dtype.element_ty), mask=is_token[None, :] & (rows < width))


@triton.jit
def _moe_gate_up(
    x, gate_up, slots, experts, gated, num_positions, top_k, hidden, inner, num_blocks,
    TOKENS: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr, GROUP: tl.constexpr, DESCRIPTOR: tl.constexpr,
):  # fmt: skip
    """Write silu(gate) · up of a block's positions, for ROWS of the expert's inner values."""
    block, tile = _placed(num_blocks, tl.cdiv(inner, ROWS), GROUP)
    expert = tl.load(experts + block)
    if expert < 0:
        return
    position, is_token = _positions(slots, block, num_positions, TOKENS)
    tokens, is_row = x + (position // top_k).to(tl.int64)[:, None] * hidden, is_token[:, None]
    first, row = expert * 2 * inner, tile * ROWS
    gate = tl.zeros([ROWS, TOKENS], tl.float32)
    up = tl.zeros([ROWS, TOKENS], tl.float32)
    for at in range(0, hidden, WIDTH):
        part = _part(tokens, is_row, at, hidden, WIDTH)
        gate = dot(_tile(gate_up, first, row, inner, at, hidden, ROWS, WIDTH, DESCRIPTOR), part, gate)
        up = dot(_tile(gate_up, first + inner, row, inner, at, hidden, ROWS, WIDTH, DESCRIPTOR), part, up)
    _store(gated, _silu(gate) * up, position, is_token, row, inner)


@triton.jit
def _moe_down(
    gated, down, weights, slots, experts, parts, num_positions, hidden, inner, num_blocks,
    TOKENS: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr, GROUP: tl.constexpr, DESCRIPTOR: tl.constexpr,
):  # fmt: skip
    """Write what the expert gives to a block's positions, times their weights, for ROWS of the hidden values."""
    block, tile = _placed(num_blocks, tl.cdiv(hidden, ROWS), GROUP)
    expert = tl.load(experts + block)
    if expert < 0:
        return
    position, is_token = _positions(slots, block, num_positions, TOKENS)
    tokens, is_row = gated + position.to(tl.int64)[:, None] * inner, is_token[:, None]
    first, row = expert * hidden, tile * ROWS
    total = tl.zeros([ROWS, TOKENS], tl.float32)
    for at in range(0, inner, WIDTH):
        part = _part(tokens, is_row, at, inner, WIDTH)
        total = dot(_tile(down, first, row, hidden, at, inner, ROWS, WIDTH, DESCRIPTOR), part, total)
    value = total * tl.load(weights + position, mask=is_token, other=0.0)[None, :]
    _store(parts, value, position, is_token, row, hidden)


@triton.jit
def _moe_combine(parts, out, hidden, TOP_K: tl.constexpr, BLOCK: tl.constexpr):
    """Add a token's rows up."""
    token = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], tl.float32)
    for k in tl.static_range(TOP_K):
        total += tl.load(parts + (token * TOP_K + k) * hidden + at, mask=at < hidden, other=0.0).to(tl.float32)
    tl.store(out + token * hidden + at, total.to(out.dtype.element_ty), mask=at < hidden)


def tokens_of(positions_per_expert: float) -> int:
    """Return how many positions a block has: most experts shall need one block, until the tensor cores are full."""
    return min(128, max(16, power_of_two(int(1.5 * positions_per_expert))))


def bucket(positions_per_expert: float, hidden: int, inner: int) -> str:
    """Return the bucket of a shape."""
    return f"positions {tokens_of(positions_per_expert)} hidden {power_of_two(hidden)} inner {power_of_two(inner)}"


def default(positions_per_expert: float, hidden: int, inner: int) -> Config:
    """Return the configuration of a shape that was not measured."""
    tokens = tokens_of(positions_per_expert)
    if tokens < 64:
        return _config(tokens, (64, 64), num_warps=4, group=1)
    if tokens == 64:
        return _config(tokens, (64, 128), num_warps=4, group=4)
    return _config(tokens, (128, 256), num_warps=8, group=8)


def candidates(positions_per_expert: float, hidden: int, inner: int) -> list[Config]:
    """Return what a sweep tries: blocks of about the default's size, with tiles that fit."""
    tokens = tokens_of(positions_per_expert)
    usual = default(positions_per_expert, hidden, inner)
    found: list[Config] = [usual, {**usual, "DESCRIPTOR": 0}]
    for size in sorted({max(16, tokens // 2), tokens, min(128, 2 * tokens)}):
        for rows, num_warps in (((64, 64), 4), ((64, 128), 4), ((128, 128), 8), ((128, 256), 8)):
            for stages in (3, 4):
                config = _config(size, rows, num_warps=num_warps, group=8 if tokens > 32 else 1, stages=stages)
                if stages * (max(2 * rows[0], rows[1]) + size) * _WIDTH * 2 <= _MAX_SHARED_BYTES:
                    found.append(config)
    return [config for number, config in enumerate(found) if config not in found[:number]]


def _config(tokens: int, rows: tuple[int, int], *, num_warps: int, group: int, stages: int = 4) -> dict[str, int]:
    sizes = {"TOKENS": tokens, "UP_ROWS": rows[0], "DOWN_ROWS": rows[1], "GROUP": group, "DESCRIPTOR": 1}
    return {**sizes, "num_warps": num_warps, "num_stages": stages}


def moe_experts(
    x: Tensor, gate_up: Tensor, down: Tensor, weights: Tensor, ids: Tensor, *, config: Config | None = None
) -> Tensor:
    """Return the weighted sum of what each token's experts give.

    Shape: x (tokens, hidden), gate_up (experts, 2 · inner, hidden) with the gate's rows first, down
    (experts, hidden, inner), weights (tokens, top_k) in float32, ids (tokens, top_k), int32 or int64; the result like
    x. All are contiguous.
    """
    (num_tokens, hidden), (num_experts, _, inner), num_positions = x.shape, down.shape, ids.numel()
    key = (num_positions / num_experts, hidden, inner)
    chosen = config or pick("moe_experts", bucket(*key), default(*key))
    slots, experts, _ = moe_align(ids, num_experts, chosen["TOKENS"])
    num_blocks, top_k = len(experts), ids.shape[1]
    gated = torch.empty(num_positions, inner, dtype=x.dtype, device=x.device)
    parts = torch.empty(num_positions, hidden, dtype=x.dtype, device=x.device)
    out = torch.empty_like(x)
    if not num_tokens:
        return out
    options = {name: chosen[name] for name in ("TOKENS", "GROUP", "num_warps", "num_stages")} | {"WIDTH": _WIDTH}
    if x.itemsize > 2:
        options["num_stages"] = 2  # which is what fits
    rows = chosen["UP_ROWS"]
    tiles = _operand(gate_up, rows, chosen)
    _moe_gate_up[(num_blocks * triton.cdiv(inner, rows),)](
        x, tiles, slots, experts, gated, num_positions, top_k, hidden, inner, num_blocks,
        ROWS=rows, DESCRIPTOR=tiles is not gate_up, **options,
    )  # fmt: skip
    rows = chosen["DOWN_ROWS"]
    tiles = _operand(down, rows, chosen)
    _moe_down[(num_blocks * triton.cdiv(hidden, rows),)](
        gated, tiles, weights, slots, experts, parts, num_positions, hidden, inner, num_blocks,
        ROWS=rows, DESCRIPTOR=tiles is not down, **options,
    )  # fmt: skip
    size = min(_MAX_COMBINED, power_of_two(hidden))
    _moe_combine[(num_tokens, triton.cdiv(hidden, size))](parts, out, hidden, TOP_K=top_k, BLOCK=size)
    return out


def _operand(weights: Tensor, rows: int, config: Config) -> Tensor | TensorDescriptor:
    """Return what tiles are read by: a descriptor for the copy engine, if rows begin at multiples of 16 bytes."""
    width = weights.shape[-1]
    if not config["DESCRIPTOR"] or weights.data_ptr() % 16 or width * weights.itemsize % 16:
        return weights
    return TensorDescriptor.from_tensor(weights.view(-1, width), [rows, _WIDTH])
