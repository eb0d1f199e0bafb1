"""A product of float8 matrices with block scales, as DeepSeek-V3 has them.

    out[t, n] = sum over blocks b of 128 columns: xs[t, b] · ws[n / 128, b] · (sum over k in b of x[t, k] · w[n, k])

x is float8 (e4m3) with a scale for each row and 128 columns, w float8 (out, in) with one for each 128 x 128. Reads a
byte a weight and does 2 operations with it for each row of x: bound by memory below some 160 rows (decode), by the
tensor cores above. Hopper's tensor cores keep some 14 bits of a sum of float8 products, so each block of 128 columns is
a sum of its own, which is scaled and added to the total in float32.

Few rows: the weights are the left operand, with 64 rows of a tile, and the tokens the right one, with 16 columns or
more, so that one instruction (wgmma) serves every batch. Many rows: the tokens are the left operand, because a thread
has few rows and many columns of a tile, so it needs few of the tokens' scales; a tile is within 128 rows of weights and
so has one scale. Both orders add up the same products in the same blocks. A long sum with few tiles is cut into parts
(`tiles.py`). So a row does not depend on its batch, if the instruction sums alike whatever its N. Not measured.

Tolerance, relative to the row's largest value: 2⁻¹⁰ for what a tensor core drops from a sum of 128 products, where its
result is float32; twice that with a rounding to float16; 2⁻⁷ with one to bfloat16. Where float32 sums, in the
interpreter and the twin, it is 1e-6 (held by tests/kernels/test_fp8_gemm.py). The interpreter takes a float8 that is no
number for 480, so scales have to show it, too.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .language import dot
from .tiles import MAX_SHARED_BYTES, WIDTH, add_parts, empty_parts, operands, steps_of, tile
from .tuning import Config, pick, power_of_two

_FEW = 64  # tokens up to which the weights are the left operand


@triton.jit
def _product(tokens, rows, token_scale, row_scale, total, WEIGHTS_LEFT: tl.constexpr):
    """Return total plus the scaled product of one block of columns."""
    scale = token_scale * row_scale
    nothing = tl.zeros(total.shape, tl.float32)
    if WEIGHTS_LEFT:
        total += dot(rows, tokens.T, nothing) * scale[None, :]
    else:
        total += dot(tokens, rows.T, nothing) * scale[:, None]
    return total


@triton.jit
def _fp8_gemm(
    x, x_scales, w, w_scales, out, num_tokens, num_rows, width, x_stride, w_stride, token_step, block_step, steps,
    TOKENS: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr, GROUP: tl.constexpr, WEIGHTS_LEFT: tl.constexpr,
    DESCRIPTOR: tl.constexpr, IS_CUT: tl.constexpr, HAS_PARTS: tl.constexpr,
):  # fmt: skip
    num_blocks, token_tiles, row_tiles = tl.cdiv(width, WIDTH), tl.cdiv(num_tokens, TOKENS), tl.cdiv(num_rows, ROWS)
    program = tl.program_id(0)
    token_tile, row_tile = tl.swizzle2d(program // row_tiles, program % row_tiles, token_tiles, row_tiles, GROUP)
    token = token_tile * TOKENS + tl.arange(0, TOKENS)
    first_row = row_tile * ROWS
    token_scales = x_scales + token * token_step
    row_scales = w_scales + first_row // WIDTH * num_blocks
    first, last = 0, num_blocks
    if IS_CUT:
        first = tl.program_id(1) * steps
        last = min(first + steps, num_blocks)
    part = tl.zeros([ROWS, TOKENS] if WEIGHTS_LEFT else [TOKENS, ROWS], tl.float32)
    total = part
    for block in range(first, last):
        token_scale = tl.load(token_scales + block * block_step, mask=token < num_tokens, other=0.0)
        row_scale = tl.load(row_scales + block)
        tokens = tile(x, token_tile * TOKENS, num_tokens, block * WIDTH, width, x_stride, TOKENS, WIDTH, DESCRIPTOR)
        rows = tile(w, first_row, num_rows, block * WIDTH, width, w_stride, ROWS, WIDTH, DESCRIPTOR)
        part = _product(tokens, rows, token_scale, row_scale, part, WEIGHTS_LEFT)
        if HAS_PARTS:  # noqa: SIM102 (it is decided by the compiler, and the other by the program)
            if (block + 1) % steps == 0:
                total += part
                part = tl.zeros(part.shape, tl.float32)
    total += part
    row = first_row + tl.arange(0, ROWS)
    at = tl.program_id(1).to(tl.int64) * num_tokens * num_rows
    if WEIGHTS_LEFT:
        where = out + at + token.to(tl.int64)[None, :] * num_rows + row[:, None]
        inside = (token < num_tokens)[None, :] & (row < num_rows)[:, None]
    else:
        where = out + at + token.to(tl.int64)[:, None] * num_rows + row[None, :]
        inside = (token < num_tokens)[:, None] & (row < num_rows)[None, :]
    tl.store(where, total.to(out.dtype.element_ty), mask=inside)


def bucket(tokens: int, rows: int, width: int) -> str:
    """Return the bucket of a shape."""
    return f"tokens {_tokens_of(tokens)} rows {power_of_two(rows)} width {power_of_two(width)}"


def default(tokens: int, rows: int, width: int) -> Config:
    """Return the configuration of a shape that was not measured."""
    size = _tokens_of(tokens)
    if size <= _FEW:
        return _config(size, 64, weights_left=1, num_warps=4, stages=6)
    return _config(128, 128, weights_left=0, num_warps=8, stages=3)


def candidates(tokens: int, rows: int, width: int) -> list[Config]:
    """Return what a sweep tries: tiles that fit, and few rows cut or not."""
    size, usual = _tokens_of(tokens), default(tokens, rows, width)
    found: list[Config] = [usual, {**usual, "DESCRIPTOR": 0}, {**usual, "CUT": 0}]
    if size <= _FEW:
        sizes = [(size, rows, 1, warps) for rows, warps in ((64, 4), (128, 4), (128, 8))]
    else:
        sizes = [(64, 128, 0, 4), (128, 64, 0, 4), (128, 128, 0, 8), (64, 128, 1, 8), (256, 64, 0, 8)]
    for tile_tokens, tile_rows, weights_left, num_warps in sizes:
        for stages in (3, 4, 6, 8):
            for group in (1,) if size <= _FEW else (4, 16):
                config = _config(tile_tokens, tile_rows, weights_left, num_warps=num_warps, stages=stages, group=group)
                if stages * (tile_tokens + tile_rows) * WIDTH <= MAX_SHARED_BYTES:
                    found.append({**config, "CUT": usual["CUT"]})
    return [config for number, config in enumerate(found) if config not in found[:number]]


def _config(tokens: int, rows: int, weights_left: int, *, num_warps: int, stages: int, group: int = 8) -> Config:
    sizes = {"TOKENS": tokens, "ROWS": rows, "GROUP": group, "WEIGHTS_LEFT": weights_left, "DESCRIPTOR": 1}
    return {**sizes, "CUT": weights_left, "num_warps": num_warps, "num_stages": stages}


def _tokens_of(tokens: int) -> int:
    return min(2 * _FEW, max(16, power_of_two(tokens)))


def fp8_gemm(
    x: Tensor, x_scales: Tensor, w: Tensor, w_scales: Tensor, dtype: torch.dtype, *, config: Config | None = None
) -> Tensor:
    """Return x · wᵀ, scaled, in `dtype`.

    Shape: x (tokens, width) and w (rows, width) in float8 (e4m3), each row contiguous; x_scales (tokens, blocks of 128
    columns), of any strides, and w_scales (blocks of 128 rows, blocks of 128 columns), contiguous, both float32; the
    result (tokens, rows), contiguous.
    """
    (num_tokens, width), num_rows = x.shape, w.shape[0]
    out = torch.empty(num_tokens, num_rows, dtype=dtype, device=x.device)
    key = (num_tokens, num_rows, width)
    chosen = config or pick("fp8_gemm", bucket(*key), default(*key))
    if not out.numel():
        return out
    steps = steps_of(num_rows, width)
    num_parts = max(1, triton.cdiv(triton.cdiv(width, WIDTH), steps))
    is_cut = bool(chosen["CUT"]) and num_parts > 1
    target = empty_parts(out, num_parts) if is_cut else out
    options = {name: value for name, value in chosen.items() if name not in ("CUT", "DESCRIPTOR")}
    tokens, rows = operands(x, chosen["TOKENS"], w, chosen["ROWS"], bool(chosen["DESCRIPTOR"]))
    tiles = triton.cdiv(num_tokens, chosen["TOKENS"]) * triton.cdiv(num_rows, chosen["ROWS"])
    _fp8_gemm[(tiles, num_parts if is_cut else 1)](
        tokens, x_scales, rows, w_scales, target, num_tokens, num_rows, width, x.stride(0), w.stride(0),
        x_scales.stride(0), x_scales.stride(1), steps,
        WIDTH=WIDTH, DESCRIPTOR=rows is not w, IS_CUT=is_cut, HAS_PARTS=num_parts > 1 and not is_cut, **options,
    )  # fmt: skip
    if is_cut:
        add_parts(target, None, out)
    return out
