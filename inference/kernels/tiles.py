"""What the products of quantised weights share: how their tiles are read, and how long sums are cut into parts.

A product of few rows and a long sum has too few tiles to fill a GPU. Then its sum is cut into parts, which programs of
their own take and `add_parts` adds up. How long a part is follows from the shape of the weights alone, and wherever one
program takes all parts it sums them apart, too, and adds them in the same order. So a row's result does not depend on
whether its batch was cut.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

WIDTH = 128  # of a step along the sum, the same in every configuration, as is what is summed first
MAX_SHARED_BYTES = 224 * 1024  # of a block on Hopper, less what barriers need
_PROGRAMS = 2 * 132  # that fill a Hopper card: while one waits for memory, the other has its part to compute
_LEAST_ROWS = 64  # of a tile of the weights
_LEAST_STEPS = 4  # of a part, or its beginning and its end cost more than they save
_ADDED = 1024  # values that one program adds up


@triton.jit
def tile(source, row, num_rows, at, width, stride, ROWS: tl.constexpr, WIDTH: tl.constexpr, DESCRIPTOR: tl.constexpr):
    """Return [ROWS, WIDTH] of a matrix from `row` and `at` on, zeros outside of it."""
    if DESCRIPTOR:
        values = source.load([row, at])
    else:
        rows = row + tl.arange(0, ROWS)[:, None]
        columns = at + tl.arange(0, WIDTH)[None, :]
        where = source + rows.to(tl.int64) * stride + columns
        values = tl.load(where, mask=(rows < num_rows) & (columns < width), other=0.0)
    return values


@triton.jit
def _add_parts(parts, scales, out, size, width, num_parts, HAS_SCALES: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < size
    total = tl.zeros([BLOCK], tl.float32)
    where = parts + at
    for _ in range(num_parts):
        total += tl.load(where, mask=inside, other=0.0)
        where += size
    if HAS_SCALES:
        total *= tl.load(scales + at % width, mask=inside, other=0.0)
    tl.store(out + at, total.to(out.dtype.element_ty), mask=inside)


def add_parts(parts: Tensor, scales: Tensor | None, out: Tensor) -> None:
    """Write the sum of the parts, in their order, times a scale for each column where there are scales.

    Shape: parts (parts, rows, columns) in float32, scales (columns,), out (rows, columns).
    """
    _add_parts[(triton.cdiv(out.numel(), _ADDED),)](
        parts,
        out if scales is None else scales,
        out,
        out.numel(),
        out.shape[1],
        len(parts),
        HAS_SCALES=scales is not None,
        BLOCK=_ADDED,
    )


def steps_of(rows: int, width: int) -> int:
    """Return how many steps a part has, of a product with weights (rows, width): all where its tiles are many."""
    steps = max(1, triton.cdiv(width, WIDTH))
    parts = min(_PROGRAMS // triton.cdiv(rows, _LEAST_ROWS), steps // _LEAST_STEPS)
    return int(triton.cdiv(steps, max(1, parts)))


def operands(
    x: Tensor, tokens: int, w: Tensor, rows: int, is_described: bool
) -> tuple[Tensor | TensorDescriptor, Tensor | TensorDescriptor]:
    """Return what tiles of x and w are read by: descriptors for the copy engine, if it takes both matrices.

    It takes those that begin at a multiple of 16 bytes, and whose rows do.
    """
    if not (is_described and _is_aligned(x) and _is_aligned(w)):
        return x, w
    return _descriptor(x, tokens), _descriptor(w, rows)


def _is_aligned(matrix: Tensor) -> bool:
    stride = matrix.stride(0)
    return not matrix.data_ptr() % 16 and not stride * matrix.itemsize % 16 and stride >= matrix.shape[1]


def _descriptor(matrix: Tensor, rows: int) -> TensorDescriptor:
    return TensorDescriptor(matrix, list(matrix.shape), [matrix.stride(0), 1], [rows, WIDTH])


def empty_parts(like: Tensor, num_parts: int) -> Tensor:
    """Return memory for the parts of an output."""
    return torch.empty(num_parts, *like.shape, dtype=torch.float32, device=like.device)
