"""Causal attention of prefills over expanded keys and values, each sequence behind the prefix that it has cached.

    out[i] = Σ softmax(scale · q[i] · k[j])[j] · v[j]    over j <= i + keys - queries of its sequence

Does 2 · (key width + value width) operations for each pair of a query and a key that it sees, a head, and moves every
query, key, value and result once: bound by the tensor cores from a few hundred queries on.

One program has a block of queries and a head. It goes through the keys that any of them sees, a block at a time, with
the largest score, the sum and the unnormalised output of each query in float32; only the last blocks, where some
queries see less than others, are masked. The width of a query and key, 192, is no power of two: it is cut into 128 and
64, each a product of its own, and not filled up to 256. Blocks of keys and values come by tensor descriptor (TMA): for
128 queries and 128 keys that takes 233 registers a thread, where pointers take all 255. Past the end of a sequence they
have rows of the next one, or of nobody, which may be NaN: the scores of these are masked, and their values replaced by
zeros.

A key that is masked adds exactly nothing, and the blocks of keys begin where the sequence does. So a query's bits do
not depend on the sequences beside it; and as far as the rows of one product do not depend on each other, as it is with
tensor cores, nor on where a prefill is cut into chunks.

Tolerance: float32 2e-5, as a score of 200 has that many in its last place, in base two; sums over a few hundred
products are below 5e-6. 16 bits: the numerators of the softmax are rounded to the type for the second product, and the
result once more.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from .language import dot
from .tuning import Config, pick, power_of_two

_MIN_SIDE = 16  # of a tile of the tensor cores
_TMA_BYTES = 16  # what addresses and the steps between rows have to be multiples of
_MAX_SHARED_BYTES = 224 * 1024  # of a block on Hopper, less what barriers need
_PROGRAMS = 264  # two for each multiprocessor of Hopper


@triton.jit
def _place(num_heads, group):
    """Return the program's block of queries and its head.

    A group of heads goes by together, longest blocks first, so that the programs of one time share their keys in the
    cache and the last ones to begin are short.
    """
    program = tl.program_id(0)
    num_blocks = tl.num_programs(0) // num_heads
    first = program // (group * num_blocks) * group
    inside = program - first * num_blocks
    size = tl.minimum(group, num_heads - first)
    return num_blocks - 1 - inside // size, first + inside % size


@triton.jit
def _span(starts, sequence):
    """Return where a sequence begins and how many it has."""
    start = tl.load(starts + sequence)
    return start, tl.load(starts + sequence + 1) - start


@triton.jit
def _columns(rows, is_row, start: tl.constexpr, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    """Return columns from `start` on of some rows, zeros past their width."""
    column = start + tl.arange(0, BLOCK)
    return tl.load(rows[:, None] + column[None, :], mask=is_row[:, None] & (column < WIDTH)[None, :], other=0.0)


@triton.jit
def _parts(rows, is_row, WIDTH: tl.constexpr, MAIN: tl.constexpr, REST: tl.constexpr):
    """Return rows in two parts: the most of them, and the rest where there is one."""
    main = _columns(rows, is_row, 0, MAIN, WIDTH)
    rest = main
    if REST > 0:
        rest = _columns(rows, is_row, MAIN, REST, WIDTH)
    return main, rest


@triton.jit
def _block(tiles, row, head, MAIN: tl.constexpr, REST: tl.constexpr, COLUMNS: tl.constexpr, KEYS: tl.constexpr):
    """Return a block of keys, in two parts, and of values."""
    main = tiles[0].load([row, head, 0]).reshape(KEYS, MAIN)
    rest = main
    if REST > 0:
        rest = tiles[1].load([row, head, MAIN]).reshape(KEYS, REST)
    return main, rest, tiles[2].load([row, head, 0]).reshape(KEYS, COLUMNS)


@triton.jit
def _attend(query, keys, is_seen, scale, state, HAS_REST: tl.constexpr, IS_MASKED: tl.constexpr):
    """Add a block of keys to what is known of the queries: the largest score in base two, the sum, the output."""
    top, total, acc = state
    scores = dot(query[0], tl.trans(keys[0]), tl.zeros([query[0].shape[0], keys[0].shape[0]], tl.float32))
    if HAS_REST:
        scores = dot(query[1], tl.trans(keys[1]), scores)
    if IS_MASKED:
        scores = tl.where(is_seen, scores, float("-inf"))
    higher = tl.maximum(top, tl.max(scores, axis=1) * scale)
    shrink = tl.exp2(top - higher)
    parts = tl.exp2(scores * scale - higher[:, None])
    acc = dot(parts.to(keys[2].dtype), keys[2], acc * shrink[:, None])
    return higher, total * shrink + tl.sum(parts, axis=1), acc


@triton.jit
def _walk(
    query,
    tiles,
    first,
    num_keys,
    head,
    offset,
    scale,
    MAIN: tl.constexpr,
    REST: tl.constexpr,
    COLUMNS: tl.constexpr,
    KEYS: tl.constexpr,
):
    """Return the sum and the output of a block of queries, the first of which sees `offset` keys and its own."""
    QUERIES: tl.constexpr = query[0].shape[0]
    top = tl.full([QUERIES], float("-inf"), tl.float32)
    state = top, tl.zeros([QUERIES], tl.float32), tl.zeros([QUERIES, COLUMNS], tl.float32)
    edge = (offset + 1) // KEYS * KEYS
    for at in tl.range(0, edge, KEYS):
        keys = _block(tiles, first + at, head, MAIN, REST, COLUMNS, KEYS)
        state = _attend(query, keys, None, scale, state, REST > 0, False)
    last = offset + tl.arange(0, QUERIES)
    for at in tl.range(edge, tl.minimum(offset + QUERIES, num_keys), KEYS):
        key = at + tl.arange(0, KEYS)
        main, rest, value = _block(tiles, first + at, head, MAIN, REST, COLUMNS, KEYS)
        value = tl.where((key < num_keys)[:, None], value, 0.0)
        is_seen = key[None, :] <= last[:, None]
        state = _attend(query, (main, rest, value), is_seen, scale, state, REST > 0, True)
    return state[1], state[2]


@triton.jit(do_not_specialize=["group"])
def _mla_prefill(
    query,
    q_step,
    q_head_step,
    keys,
    key_rests,
    values,
    query_starts,
    key_starts,
    out,
    scale,
    num_heads,
    group,
    WIDTH: tl.constexpr,
    VALUE: tl.constexpr,
    MAIN: tl.constexpr,
    REST: tl.constexpr,
    COLUMNS: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
):
    block, head = _place(num_heads, group)
    first, num_queries = _span(query_starts, tl.program_id(1))
    start = block * QUERIES
    if start >= num_queries:
        return
    row = (first + start + tl.arange(0, QUERIES)).to(tl.int64)
    is_query = row < first + num_queries
    rows = query + row * q_step + head.to(tl.int64) * q_head_step
    parts = _parts(rows, is_query, WIDTH, MAIN, REST)
    first_key, num_keys = _span(key_starts, tl.program_id(1))
    offset = num_keys - num_queries + start
    tiles = keys, key_rests, values
    total, acc = _walk(parts, tiles, first_key, num_keys, head, offset, scale, MAIN, REST, COLUMNS, KEYS)
    column = tl.arange(0, COLUMNS)
    at = (row * num_heads + head)[:, None] * VALUE + column[None, :]
    is_written = is_query[:, None] & (column < VALUE)[None, :]
    tl.store(out + at, (acc / total[:, None]).to(out.dtype.element_ty), mask=is_written)


def bucket(heads: int, width: int, value_width: int, itemsize: int) -> str:
    """Return the bucket of a shape. Numbers of queries and keys are not in it: a row's bits have to be its own."""
    return f"{heads} heads, widths {width} and {value_width}, {8 * itemsize} bits"


def default(heads: int, width: int, value_width: int, itemsize: int) -> Config:
    """Return the configuration of a shape that was not measured."""
    if itemsize > 2:  # the tests' float32, on the plain units
        side = 32 if width <= 64 else 16
        return {"QUERIES": side, "KEYS": side, "num_warps": 4, "num_stages": 1}
    keys = 128 if (128 * width + 2 * 128 * (width + value_width)) * itemsize <= _MAX_SHARED_BYTES else 64
    return {"QUERIES": 128, "KEYS": keys, "num_warps": 8, "num_stages": 2}


def candidates(heads: int, width: int, value_width: int, itemsize: int) -> list[Config]:
    """Return what a sweep tries: what fits into the memory of a multiprocessor."""
    return [
        {"QUERIES": queries, "KEYS": keys, "num_warps": warps, "num_stages": stages}
        for queries, warps in ((64, 4), (128, 4), (128, 8))
        for keys in (32, 64, 128)
        for stages in (1, 2, 3, 4)
        if (queries * width + stages * keys * (width + value_width)) * itemsize <= _MAX_SHARED_BYTES
    ]


def mla_prefill(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_starts: Tensor,
    key_starts: Tensor,
    scale: float,
    max_queries: int,
    *,
    config: Config | None = None,
) -> Tensor:
    """Return what each query makes of the values of its sequence, up to its own place.

    Shape: query (query tokens, heads, width), key (key tokens, heads, width), value (key tokens, heads, value width);
    query_starts and key_starts (sequences + 1,) int32: where each sequence begins, and where the last one ends. A
    sequence has at least as many keys as queries; what it has more comes first. The result is (query tokens, heads,
    value width), contiguous, of query's type. No sequence has more queries than `max_queries`, which may be too large.
    Rows of keys and values past the last sequence may be anything. All three may be views with gaps.
    Raises: ValueError for keys and values that TMA cannot address, and queries whose columns are apart.
    """
    _check(query, key, value)
    tokens, heads, width = query.shape
    shape = (heads, width, value.shape[2], query.element_size())
    chosen = config or pick("mla_prefill", bucket(*shape), default(*shape))
    out = torch.empty((tokens, heads, value.shape[2]), dtype=query.dtype, device=query.device)
    num_blocks, sizes = triton.cdiv(max_queries, chosen["QUERIES"]), _sizes(width, value.shape[2])
    if tokens:
        _mla_prefill[(num_blocks * heads, query_starts.shape[0] - 1)](
            query, *query.stride()[:2], *_tiles(key, value, sizes, chosen["KEYS"]), query_starts, key_starts, out,
            scale * math.log2(math.e), heads, triton.cdiv(_PROGRAMS, num_blocks), **sizes, **chosen,
        )  # fmt: skip
    return out


def _sizes(width: int, value_width: int) -> dict[str, int]:
    """Return the widths, and the powers of two they are counted in: the most of a key, the rest of it, a value."""
    main = max(_MIN_SIDE, power_of_two(width + 1) // 2)
    rest = max(_MIN_SIDE, power_of_two(width - main)) if width > main else 0
    columns = max(_MIN_SIDE, power_of_two(value_width))
    return {"WIDTH": width, "VALUE": value_width, "MAIN": main, "REST": rest, "COLUMNS": columns}


def _tiles(key: Tensor, value: Tensor, sizes: dict[str, int], keys: int) -> tuple[TensorDescriptor, ...]:
    parts = (key, sizes["MAIN"]), (key, sizes["REST"] or sizes["MAIN"]), (value, sizes["COLUMNS"])
    return tuple(TensorDescriptor.from_tensor(part, [keys, 1, width]) for part, width in parts)


def _check(query: Tensor, key: Tensor, value: Tensor) -> None:
    if query.stride(2) != 1:
        raise ValueError(f"expected queries with their columns side by side, got steps of {query.stride(2)}")
    for name, rows in (("keys", key), ("values", value)):
        steps = [step * rows.element_size() for step in rows.stride()[:2]]
        if rows.stride(2) != 1 or any(step % _TMA_BYTES for step in steps):
            wanted = f"expected {name} with columns side by side and steps of a multiple of {_TMA_BYTES} bytes"
            raise ValueError(f"{wanted}, got {steps} between rows and heads, {rows.stride(2)} between columns")
