"""The draw of a token from each row: temperature, top_k, top_p, min_p, and a random number of (seed, position) alone.

    weight = ⌊2⁴⁴ · exp((x - max) / temperature)⌋
    order   by x, the likeliest first, of equals the one of the lower id
    top_k   the first k stay                                             (0: all)
    top_p   a token stays while those before it weigh less than top_p of what top_k left      (1: all)
    min_p   of those, a token stays that weighs at least min_p of the likeliest               (0: all)
    id      the first at which the weights of what is kept, added by id, exceed u · their sum
    temperature 0 takes the first in order

That order of filters is the one of transformers; vLLM cuts by min_p before top_k and top_p, which differs only where
top_p and min_p both bind. Exactly k tokens stay, and the fewest that reach top_p: transformers and vLLM keep all that
tie with the k-th, of which bf16 logits have many.

Weights are whole numbers, and each is made by a fixed chain of float32 steps that are correctly rounded, none fused. So
their sums are exact, in whatever order, and neither what is kept nor the token depends on the batch, on the chunks, or
on which device or twin it was. Weights below 2⁻⁴⁴ of the largest are 0. u is the first 64 bits of Philox4x32-10 with
the position for counter and the seed for key, and u · sum is a product of integers. One number a row needs one Philox;
gumbel noise would need one for four tokens, some 35 operations a token, in torch too.

Three kernels. `_tops` reads a row in chunks and finds the likeliest token. `_weigh` reads it again (64 rows of 102,400
float32 stay in the L2 cache), adds up the weights of each chunk, and lists the tokens that weigh 2⁻¹⁶ of the largest or
more. `_choose` takes one program a row. Without filters it finds the chunk, and the token in it. Otherwise it searches
the list, most often a few hundred tokens in registers: each sweep finds what lies above WAYS thresholds at once, until
one token is left between two, for top_k, for top_p, and for the draw. A row so flat that the list is too short, or does
not hold what the filters keep, is searched itself, which is right but slow: some 80 operations a token and sweep.

Reads the logits once from memory (4 bytes each, or 2), then from cache; some 60 operations a token. Bound by memory,
and for few rows by the latency of three kernels.

A logit that is not a number counts as -inf. Infinite ones are equals: of several +inf each may come. The id is below
the vocabulary's size whatever the logits are. A temperature that is not above 0, NaN too, is 0.

Tolerance: none. The oracle in float64 draws the same id, unless a border lies within 2e-6 of where u or a filter
falls, which is what float32 may do to a weight: an error of its exponent and 2e-7 of the polynomial.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from . import sample_torch as twin
from .sample_torch import check
from .tuning import Config, pick, power_of_two

MAX_LISTED = 8192  # tokens of a row

_ID_BITS = tl.constexpr(18)
_LAST_ID = tl.constexpr(twin.MAX_VOCAB - 1)
_KEY_0 = tl.constexpr(2**31)
_SHIFT = tl.constexpr(twin.WEIGHT_BITS - 24)
_LOWEST_OCTAVE = tl.constexpr(twin.LOWEST_OCTAVE)
_NEAR = tl.constexpr(11.090354888959125)  # 16 ln 2: what is so far below the likeliest weighs 2⁻¹⁶ of it
_NEAR_WEIGHT = tl.constexpr(2 ** (twin.WEIGHT_BITS - 15))  # what weighs as much is near, whatever was rounded
_LOG2_E = tl.constexpr(twin.LOG2_E)
_LEAST_SCALE, _MOST_SCALE = (tl.constexpr(scale) for scale in twin.SCALES)
_P0, _P1, _P2, _P3, _P4, _P5 = (tl.constexpr(power) for power in twin.POWERS)
_COUNT = tl.constexpr(-1)  # the bound of weight for which tokens are counted, not weighed
_WORD = tl.constexpr(2**32 - 1)


@triton.jit
def _random(seed, position):
    """Return 64 random bits: words 0 and 1 of Philox4x32-10."""
    k0, k1 = seed.to(tl.uint64) & _WORD, seed.to(tl.uint64) >> 32
    c0, c1 = position.to(tl.uint64) & _WORD, position.to(tl.uint64) >> 32
    c2, c3 = c0 ^ c0, c0 ^ c0
    for _ in tl.static_range(10):
        p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & _WORD, (p0 >> 32) ^ c3 ^ k1, p0 & _WORD
        k0, k1 = (k0 + 0x9E3779B9) & _WORD, (k1 + 0xBB67AE85) & _WORD
    return (c0 << 32) | c1


@triton.jit
def _share(mass, top_p):
    """Return how much of a mass a token has to find before it to be left out: at least 1, so that one stays."""
    part = (tl.where(top_p > 0, top_p, 0.0) * 4611686018427387904.0).to(tl.uint64)  # of 2⁶², exact
    return tl.maximum(tl.umulhi(part << 2, mass.to(tl.uint64)).to(tl.int64), 1)


@triton.jit
def _load(row, ids, inside):
    x = tl.load(row + ids, mask=inside, other=float("-inf")).to(tl.float32)
    return tl.where(x == x, x, float("-inf"))


@triton.jit
def _rank(x, ids):
    """Return one whole number a token, in the order of values; of equals the lower id has the higher."""
    bits = tl.where(x == 0, 0.0, x).to(tl.int32, bitcast=True)  # -0 is 0
    key = tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    return ((key.to(tl.int64) + _KEY_0) << _ID_BITS) | (_LAST_ID - ids)


@triton.jit
def _value(rank):
    """Return the value of a rank."""
    key = ((rank >> _ID_BITS) - _KEY_0).to(tl.int32)
    return tl.where(key < 0, key ^ 0x7FFFFFFF, key).to(tl.float32, bitcast=True)


@triton.jit
def _weight(x, top, scale):
    """Return 2⁴⁴ · 2^((x - top) · scale), rounded down. The kernels are compiled without fused operations."""
    is_top = x == top  # apart, as both may be infinite
    octaves = (x - tl.where(is_top, 0.0, top)) * scale
    octaves = tl.where(is_top, 0.0, tl.maximum(octaves, _LOWEST_OCTAVE))
    whole = tl.floor(octaves + 0.5)
    part = octaves - whole
    power = ((((_P5 * part + _P4) * part + _P3) * part + _P2) * part + _P1) * part + _P0
    return ((power * 16777216.0).to(tl.int32).to(tl.int64) << _SHIFT) >> (-whole).to(tl.int64)


@triton.jit
def _scale(temperature):
    """Return octaves of weight for a logit, kept finite and above 0."""
    return tl.minimum(tl.maximum(tl.div_rn(_LOG2_E, temperature), _LEAST_SCALE), _MOST_SCALE)


@triton.jit
def _tops(logits, tops, near, step, vocab, CHUNK: tl.constexpr):
    row, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1)
    ids = chunk * CHUNK + tl.arange(0, CHUNK)
    ranks = tl.where(ids < vocab, _rank(_load(logits + row * step, ids, ids < vocab), ids), -1)
    tl.store(tops + row * tl.num_programs(1) + chunk, tl.max(ranks, axis=0))
    if chunk == 0:
        tl.store(near + row * 2 + tl.arange(0, 2), tl.zeros([2], tl.int64))


@triton.jit
def _highest_of_row(tops, row, chunks, CHUNKS: tl.constexpr):
    at = tl.arange(0, CHUNKS)
    return tl.max(tl.load(tops + row * chunks + at, mask=at < chunks, other=-1), axis=0)


@triton.jit
def _weigh(
    logits, tops, masses, near, listed, temperatures, step, vocab, CHUNK: tl.constexpr, CHUNKS: tl.constexpr,
    LISTED: tl.constexpr,
):  # fmt: skip
    row, chunk, chunks = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.num_programs(1)
    temperature = tl.load(temperatures + row)
    if temperature > 0:
        top = _value(_highest_of_row(tops, row, chunks, CHUNKS))
        ids = chunk * CHUNK + tl.arange(0, CHUNK)
        inside = ids < vocab
        x = _load(logits + row * step, ids, inside)
        weights = tl.where(inside, _weight(x, top, _scale(temperature)), 0)
        tl.store(masses + row * chunks + chunk, tl.sum(weights, axis=0))
        is_near = inside & (x >= top - temperature * _NEAR)
        num_near = tl.sum(is_near.to(tl.int64), axis=0)
        if num_near > 0:
            at = tl.atomic_add(near + row * 2, num_near) + tl.cumsum(is_near.to(tl.int32), axis=0) - 1
            tl.atomic_add(near + row * 2 + 1, tl.sum(tl.where(is_near, weights, 0), axis=0))
            tl.store(listed + row * LISTED + at, _rank(x, ids), mask=is_near & (at < LISTED))


@triton.jit
def _tile(source, start, cut, BLOCK: tl.constexpr):
    """Return ranks and weights of tokens of a row or of its list; with a cut, by id: the lowest id ranks highest."""
    row, listed, num, is_listed, top, scale = source
    at = start + tl.arange(0, BLOCK)
    inside = at < num
    if is_listed:
        ranks = tl.load(listed + at, mask=inside, other=-1)
    else:
        ranks = tl.where(inside, _rank(_load(row, at, inside), at), -1)
    weights = tl.where(inside, _weight(tl.where(inside, _value(ranks), top), top, scale), 0)
    return tl.where(cut < 0, ranks, tl.where(ranks >= cut, ranks & _LAST_ID, -1)), weights


@triton.jit
def _sweep(source, first, thresholds, bound, cut, BLOCK: tl.constexpr):
    """Return for each threshold how many tokens rank there or above, and what those of at least the bound weigh.

    Where it is `_COUNT` each weighs 1. The first tile stays in registers.
    """
    ranks, weights = first
    counts = tl.full(thresholds.shape, 0, tl.int32)
    measures = tl.full(thresholds.shape, 0, tl.int64)
    for start in tl.range(0, source[2], BLOCK):
        if start > 0:
            ranks, weights = _tile(source, start, cut, BLOCK)
        reaches = ranks[None, :] >= thresholds[:, None]
        sizes = tl.where(bound < 0, 1, tl.where(weights >= bound, weights, 0))
        counts += tl.sum(reaches.to(tl.int32), axis=1)
        measures += tl.sum(tl.where(reaches, sizes[None, :], 0), axis=1)
    return counts, measures


@triton.jit
def _search(source, first, low, num, high, goal, bound, cut, WAYS: tl.constexpr, BLOCK: tl.constexpr):
    """Return the highest rank of a token at which the tokens that rank there or above reach the goal.

    They do at `low`, which `num` rank at or above; none ranks above `high`.
    """
    way = tl.arange(0, WAYS) + 1
    num_above = num - num
    while num - num_above > 1:
        thresholds = low + ((high - low) * way + WAYS - 1) // WAYS
        counts, measures = _sweep(source, first, thresholds, bound, cut, BLOCK)
        reaches = measures >= goal
        num = tl.min(tl.where(reaches, counts, num), axis=0)
        num_above = tl.max(tl.where(reaches, num_above, counts), axis=0)
        high = tl.min(tl.where(reaches, high, thresholds - 1), axis=0)
        low = tl.max(tl.where(reaches, thresholds, low), axis=0)
    ranks = first[0]
    found = low
    for start in tl.range(0, source[2], BLOCK):
        if start > 0:
            ranks, _ = _tile(source, start, cut, BLOCK)
        found = tl.maximum(found, tl.max(tl.where(ranks <= high, ranks, -1), axis=0))
    return found


@triton.jit
def _draw_filtered(source, low, high, number, total, filters, WAYS: tl.constexpr, BLOCK: tl.constexpr):
    """Return the id that is drawn from what the filters keep. No token ranks below `low` or above `high`."""
    is_counted, top_k, top_p, min_weight = filters
    for stage in tl.range(3):  # top_k, top_p, the draw: a loop, so that there is one search to compile
        is_draw = stage == 2
        if ((stage == 0) & is_counted) | ((stage == 1) & (top_p < 1)) | is_draw:
            cut = tl.where(is_draw, low, -1)
            bound = tl.where(is_draw, min_weight, tl.where(stage == 0, _COUNT, 0))
            low = tl.where(is_draw, 0, low)
            first = _tile(source, 0, cut, BLOCK)
            counts, measures = _sweep(source, first, low + tl.arange(0, 1), bound, cut, BLOCK)
            mass = tl.sum(measures, axis=0)
            drawn = tl.umulhi(number, mass.to(tl.uint64)).to(tl.int64) + 1
            share = _share(tl.where(is_counted, mass, total), top_p)
            goal = tl.where(is_draw, drawn, tl.where(stage == 0, top_k, share))
            highest = tl.where(is_draw, _LAST_ID, high)
            num = tl.sum(counts, axis=0)
            low = _search(source, first, low, num, highest, goal, bound, cut, WAYS, BLOCK)
    return _LAST_ID - low


@triton.jit
def _draw(row, vocab, top, scale, number, masses, CHUNK: tl.constexpr):
    """Return the id that is drawn from all of a row."""
    goal = tl.umulhi(number, tl.sum(masses, axis=0).to(tl.uint64)).to(tl.int64)
    sums = tl.cumsum(masses, axis=0)
    chunk = tl.sum((sums <= goal).to(tl.int32), axis=0)
    goal -= tl.max(tl.where(sums <= goal, sums, 0), axis=0)
    ids = chunk * CHUNK + tl.arange(0, CHUNK)
    weights = tl.where(ids < vocab, _weight(_load(row, ids, ids < vocab), top, scale), 0)
    return (chunk * CHUNK + tl.sum((tl.cumsum(weights, axis=0) <= goal).to(tl.int32), axis=0)).to(tl.int64)


@triton.jit
def _choose(
    logits, tops, masses, near, listed, chosen, seeds, positions, temperatures, top_ks, top_ps, min_ps, step, vocab,
    chunks, CHUNK: tl.constexpr, CHUNKS: tl.constexpr, LISTED: tl.constexpr, BLOCK: tl.constexpr, WAYS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    temperature, top_k = tl.load(temperatures + row), tl.load(top_ks + row)
    high = _highest_of_row(tops, row, chunks, CHUNKS)
    found = _LAST_ID - (high & _LAST_ID)
    if (temperature > 0) & (top_k != 1):
        number = _random(tl.load(seeds + row), tl.load(positions + row))
        top, scale = _value(high), _scale(temperature)
        at = tl.arange(0, CHUNKS)
        parts = tl.load(masses + row * chunks + at, mask=at < chunks, other=0)
        top_p, min_p = tl.load(top_ps + row), tl.load(min_ps + row)
        bound = (tl.where(min_p > 0, tl.where(min_p < 1, min_p, 1.0), 0.0) * 17592186044416.0).to(tl.int64)  # of 2⁴⁴
        is_counted = (top_k > 0) & (top_k < vocab)
        if is_counted | (top_p < 1) | (bound > 0):
            total = tl.sum(parts, axis=0)
            num_near, near_mass = tl.load(near + row * 2), tl.load(near + row * 2 + 1)
            has_all = tl.where(top_p < 1, near_mass >= _share(total, top_p), bound >= _NEAR_WEIGHT)
            is_listed = tl.where(is_counted, num_near >= top_k, has_all) & (num_near <= LISTED)
            low = tl.where(is_listed, _rank(top - temperature * _NEAR, _LAST_ID), 0)
            num = tl.where(is_listed, num_near, vocab).to(tl.int32)
            source = logits + row * step, listed + row * LISTED, num, is_listed, top, scale
            filters = is_counted, top_k, top_p, bound
            found = _draw_filtered(source, low, high, number, total, filters, WAYS, BLOCK)
        else:
            found = _draw(logits + row * step, vocab, top, scale, number, parts, CHUNK)
    tl.store(chosen + row, found)


def bucket(vocab: int) -> str:
    """Return the bucket of a shape."""
    return f"vocab {power_of_two(vocab)}"


def default(vocab: int) -> Config:
    """Return the configuration of a shape that was not measured."""
    return {"CHUNK": min(4096, power_of_two(vocab)), "BLOCK": 1024, "WAYS": 8, "num_warps": 8}


def candidates(vocab: int) -> list[Config]:
    """Return what a sweep tries. Each gives the same tokens."""
    tries = [
        (chunk, block, warps) for chunk in (2048, 4096, 8192) for block in (512, 1024, 2048) for warps in (4, 8, 16)
    ]
    return [{"CHUNK": c, "BLOCK": b, "WAYS": ways, "num_warps": w} for c, b, w in tries for ways in (4, 8, 16)]


def sample(
    logits: Tensor,
    seeds: Tensor,
    positions: Tensor,
    temperatures: Tensor,
    top_ks: Tensor,
    top_ps: Tensor,
    min_ps: Tensor,
    *,
    config: Config | None = None,
) -> Tensor:
    """Return a token id for each row.

    Shape: logits (rows, vocab) float32 or 16 bits; one number a row of seeds and positions (int64), temperatures,
    top_ps and min_ps (float32), top_ks (int32); ids (rows,) int64.
    Raises: ValueError for tensors that do not fit together.
    """
    check(logits, seeds, positions, temperatures, top_ks, top_ps, min_ps)
    rows, vocab = logits.shape
    options = {**(config or pick("sample", bucket(vocab), default(vocab)))}
    search = {name: options.pop(name) for name in ("BLOCK", "WAYS")}
    options["enable_fp_fusion"] = False
    chunks = triton.cdiv(vocab, options["CHUNK"])
    blocks = {"CHUNKS": power_of_two(chunks), "LISTED": MAX_LISTED}

    def scratch(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.int64, device=logits.device)

    tops, masses, near, chosen = scratch(rows, chunks), scratch(rows, chunks), scratch(rows, 2), scratch(rows)
    listed = scratch(rows, MAX_LISTED)
    if rows:
        grid, step = (rows, chunks), logits.stride(0)
        _tops[grid](logits, tops, near, step, vocab, **options)
        _weigh[grid](logits, tops, masses, near, listed, temperatures, step, vocab, **blocks, **options)
        columns = seeds, positions, temperatures, top_ks, top_ps, min_ps
        _choose[(rows,)](
            logits, tops, masses, near, listed, chosen, *columns, step, vocab, chunks, **blocks, **search, **options
        )
    return chosen
