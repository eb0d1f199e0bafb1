"""A product with weights of 8 bits: int8 with a scale for each output.

    out[t, n] = scales[n] · (sum over k of x[t, k] · w[n, k])

Reads a byte a weight, half of what 16 bits take, and does 2 operations with it for each row of x: bound by memory below
some 90 rows (decode), which is what it is for. Weights become x's type in registers, which is exact: every int8 is a
bfloat16. The sum is scaled once, at its end.

The weights are the left operand, whose registers the tensor cores read, with 64 rows of a tile or more; the tokens are
the right one, with 16 columns or more, so that one instruction (wgmma) serves every batch. A long sum with few tiles is
cut into parts (`tiles.py`). So a row does not depend on its batch, if the instruction sums alike whatever its N, and
but for the size of blocks in the interpreter. Not measured.

Tolerance: float32 2e-6 relative to the row's largest value, a sum over the width. 16 bits: one rounding of the result,
and a unit more for the sum.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .language import dot
from .tiles import MAX_SHARED_BYTES, WIDTH, add_parts, empty_parts, operands, steps_of, tile
from .tuning import Config, pick, power_of_two

_FEW = 64  # tokens up to which a sum is cut
_MAX_PER_WARP = 2048  # values of a tile, or its sums do not fit into registers


@triton.jit
def _int8_gemm(
    x, w, scales, out, num_tokens, num_rows, width, x_stride, w_stride, steps,
    TOKENS: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr, GROUP: tl.constexpr,
    DESCRIPTOR: tl.constexpr, IS_CUT: tl.constexpr, HAS_PARTS: tl.constexpr,
):  # fmt: skip
    num_blocks, token_tiles, row_tiles = tl.cdiv(width, WIDTH), tl.cdiv(num_tokens, TOKENS), tl.cdiv(num_rows, ROWS)
    program = tl.program_id(0)
    token_tile, row_tile = tl.swizzle2d(program // row_tiles, program % row_tiles, token_tiles, row_tiles, GROUP)
    first, last = 0, num_blocks
    if IS_CUT:
        first = tl.program_id(1) * steps
        last = min(first + steps, num_blocks)
    part = tl.zeros([ROWS, TOKENS], tl.float32)
    total = part
    for block in range(first, last):
        tokens = tile(x, token_tile * TOKENS, num_tokens, block * WIDTH, width, x_stride, TOKENS, WIDTH, DESCRIPTOR)
        rows = tile(w, row_tile * ROWS, num_rows, block * WIDTH, width, w_stride, ROWS, WIDTH, DESCRIPTOR)
        part = dot(rows.to(tokens.dtype), tokens.T, part)
        if HAS_PARTS:  # noqa: SIM102 (it is decided by the compiler, and the other by the program)
            if (block + 1) % steps == 0:
                total += part
                part = tl.zeros(part.shape, tl.float32)
    total += part
    token = token_tile * TOKENS + tl.arange(0, TOKENS)[None, :]
    row = row_tile * ROWS + tl.arange(0, ROWS)[:, None]
    if not IS_CUT:
        total *= tl.load(scales + row, mask=row < num_rows, other=0.0)
    where = out + (tl.program_id(1).to(tl.int64) * num_tokens + token) * num_rows + row
    tl.store(where, total.to(out.dtype.element_ty), mask=(token < num_tokens) & (row < num_rows))


def bucket(tokens: int, rows: int, width: int) -> str:
    """Return the bucket of a shape."""
    return f"tokens {_tokens_of(tokens)} rows {power_of_two(rows)} width {power_of_two(width)}"


def default(tokens: int, rows: int, width: int) -> Config:
    """Return the configuration of a shape that was not measured."""
    size = _tokens_of(tokens)
    if size <= _FEW:
        return _config(size, 64, num_warps=4, stages=6 if size < _FEW else 4)
    return _config(size, 128, num_warps=8, stages=4)


def candidates(tokens: int, rows: int, width: int) -> list[Config]:
    """Return what a sweep tries: tiles that fit, and few rows cut or not."""
    size, usual = _tokens_of(tokens), default(tokens, rows, width)
    found: list[Config] = [usual, {**usual, "DESCRIPTOR": 0}, {**usual, "CUT": 0}]
    for tile_tokens in (size,) if size <= _FEW else (64, 128, 256):
        for tile_rows, num_warps in ((64, 4), (128, 4), (128, 8)):
            for stages in (3, 4, 6, 8):
                config = _config(tile_tokens, tile_rows, num_warps=num_warps, stages=stages)
                is_small = stages * (2 * tile_tokens + tile_rows) * WIDTH <= MAX_SHARED_BYTES
                if is_small and tile_tokens * tile_rows <= _MAX_PER_WARP * num_warps:
                    found.append({**config, "CUT": usual["CUT"]})
    return [config for number, config in enumerate(found) if config not in found[:number]]


def _config(tokens: int, rows: int, *, num_warps: int, stages: int) -> Config:
    sizes = {"TOKENS": tokens, "ROWS": rows, "GROUP": 8, "DESCRIPTOR": 1, "CUT": int(tokens <= _FEW)}
    return {**sizes, "num_warps": num_warps, "num_stages": stages}


def _tokens_of(tokens: int) -> int:
    return min(2 * _FEW, max(16, power_of_two(tokens)))


def int8_gemm(x: Tensor, w: Tensor, scales: Tensor, *, config: Config | None = None) -> Tensor:
    """Return x · wᵀ, each column times its scale.

    Shape: x (tokens, width) and w (rows, width) in int8, each row contiguous; scales (rows,) in float32, contiguous;
    the result (tokens, rows) of x's type, contiguous.
    """
    (num_tokens, width), num_rows = x.shape, w.shape[0]
    out = torch.empty(num_tokens, num_rows, dtype=x.dtype, device=x.device)
    key = (num_tokens, num_rows, width)
    chosen = config or pick("int8_gemm", bucket(*key), default(*key))
    if not out.numel():
        return out
    steps = steps_of(num_rows, width)
    num_parts = max(1, triton.cdiv(triton.cdiv(width, WIDTH), steps))
    is_cut = bool(chosen["CUT"]) and num_parts > 1
    target = empty_parts(out, num_parts) if is_cut else out
    options = {name: value for name, value in chosen.items() if name not in ("CUT", "DESCRIPTOR")}
    if x.itemsize > 2:
        options["num_stages"] = 2  # which is what fits
    tokens, rows = operands(x, chosen["TOKENS"], w, chosen["ROWS"], bool(chosen["DESCRIPTOR"]))
    tiles = triton.cdiv(num_tokens, chosen["TOKENS"]) * triton.cdiv(num_rows, chosen["ROWS"])
    _int8_gemm[(tiles, num_parts if is_cut else 1)](
        tokens, rows, scales, target, num_tokens, num_rows, width, x.stride(0), w.stride(0), steps,
        WIDTH=WIDTH, DESCRIPTOR=rows is not w, IS_CUT=is_cut, HAS_PARTS=num_parts > 1 and not is_cut, **options,
    )  # fmt: skip
    if is_cut:
        add_parts(target, scales, out)
    return out
