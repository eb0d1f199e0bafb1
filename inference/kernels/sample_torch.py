"""The draw of a token from each row, in torch: the same integers as the kernel's, so the same tokens."""

from __future__ import annotations

import math

import torch
from torch import Tensor

MAX_VOCAB = 2**18  # so that weights add up to less than 2⁶³
WEIGHT_BITS = 44  # the weight of the likeliest token is 2⁴⁴
LOWEST_OCTAVE = -60.0  # below all that has a weight
LOG2_E = 1.4426950408889634
SCALES = (1e-37, 1e37)
POWERS = (  # of 2^x on [-½, ½], lowest degree first, fitted to a relative error of 9e-8
    1.0,
    0.6931470036506653,
    0.24022242426872253,
    0.05550733953714371,
    0.009671511128544807,
    0.0013264708686619997,
)
_WORD = 2**32 - 1
_DIGIT_BITS = 8
_SORTED = 4096  # keys up to which a sort costs less

_Settings = tuple[float, int, float, float]  # scale, top_k, top_p, min_p


def sample(
    logits: Tensor,
    seeds: Tensor,
    positions: Tensor,
    temperatures: Tensor,
    top_ks: Tensor,
    top_ps: Tensor,
    min_ps: Tensor,
) -> Tensor:
    """Return a token id for each row.

    Shape: logits (rows, vocab) float32 or 16 bits; one number a row of seeds and positions (int64), temperatures,
    top_ps and min_ps (float32), top_ks (int32); ids (rows,) int64.
    Raises: ValueError for tensors that do not fit together.
    Cost: O(vocab) a row.
    """
    check(logits, seeds, positions, temperatures, top_ks, top_ps, min_ps)
    scales = (LOG2_E / temperatures).clamp(*SCALES).tolist()
    columns = (seeds, positions, temperatures, top_ks, top_ps, min_ps)
    settings = zip(*(column.tolist() for column in columns), strict=True)
    ids = []
    for row, scale, (seed, position, temperature, top_k, top_p, min_p) in zip(logits, scales, settings, strict=True):
        values = row.detach().float()
        top = float(values.max())
        if top != top:
            values = torch.where(values.isnan(), -torch.inf, values)
            top = float(values.max())
        if not temperature > 0 or top_k == 1:
            ids.append(int(values.argmax()))
            continue
        ids.append(_draw(values, top, random64(seed, position), (scale, top_k, top_p, min_p)))
    return torch.tensor(ids, dtype=torch.int64, device=logits.device)


def check(logits: Tensor, *columns: Tensor) -> None:
    """Raise ValueError unless the tensors fit together."""
    rows, vocab = logits.shape
    if not 1 <= vocab <= MAX_VOCAB or logits.stride(1) != 1:
        raise ValueError(
            f"expected rows of 1 to {MAX_VOCAB} logits side by side, got {vocab}, {logits.stride(1)} apart"
        )
    names = ("seeds", "positions", "temperatures", "top_ks", "top_ps", "min_ps")
    dtypes = (torch.int64, torch.int64, torch.float32, torch.int32, torch.float32, torch.float32)
    for name, dtype, column in zip(names, dtypes, columns, strict=True):
        if column.shape != (rows,) or column.dtype != dtype or not column.is_contiguous():
            raise ValueError(f"expected {rows} contiguous {dtype} of {name}, got {tuple(column.shape)} {column.dtype}")


def random64(seed: int, position: int) -> int:
    """Give the 64 random bits that belong to this seed and position, the first word the higher."""
    counter, key = (position & _WORD, position >> 32 & _WORD, 0, 0), (seed & _WORD, seed >> 32 & _WORD)
    high, low, _, _ = philox(counter, key)
    return high << 32 | low


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Mix a counter of four 32-bit words under a key of two: Philox4x32 with ten rounds.

    Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = p1 >> 32 ^ c1 ^ k0, p1 & _WORD, p0 >> 32 ^ c3 ^ k1, p0 & _WORD
        k0, k1 = k0 + 0x9E3779B9 & _WORD, k1 + 0xBB67AE85 & _WORD
    return c0, c1, c2, c3


def share(mass: int, top_p: float) -> int:
    """Return how much of a mass a token has to find before it to be left out: at least 1, so that one stays."""
    return max(1, int(max(top_p, 0.0) * 2.0**62) * mass >> 62)


def weigh(values: Tensor, top: float, scale: float) -> Tensor:
    """Return 2⁴⁴ · 2^((value - top) · scale), rounded down, int64: every step is one rounding of float32 or exact."""
    if math.isinf(top):
        return (values == top).long() << WEIGHT_BITS
    octaves = values.sub(top).mul_(scale).clamp_(min=LOWEST_OCTAVE)
    whole = octaves.add(0.5).floor_()
    part = octaves.sub_(whole)
    power = part.mul(POWERS[-1]).add_(POWERS[-2])
    for factor in POWERS[-3::-1]:
        power.mul_(part).add_(factor)
    weights = power.mul_(2.0**24).long() << WEIGHT_BITS - 24
    return weights.bitwise_right_shift_(whole.neg_().long())


def _draw(values: Tensor, top: float, number: int, settings: _Settings) -> int:
    scale, top_k, top_p, min_p = settings
    weights = weigh(values, top, scale)
    is_counted = 0 < top_k < len(values)
    if is_counted or top_p < 1:
        bits = values.add(0.0).view(torch.int32)  # -0 is 0
        keys = torch.bitwise_xor(bits, (bits >> 31) & 0x7FFFFFFF).long() + 2**31  # in the order of the values
        if is_counted:
            weights *= _reach(keys, torch.ones_like(weights), top_k)
        if top_p < 1:
            weights *= _reach(keys, weights, share(int(weights.sum()), top_p))
    if min_p > 0:
        weights *= weights >= int(min(min_p, 1.0) * 2.0**WEIGHT_BITS)
    sums = weights.cumsum(0)
    return int(torch.searchsorted(sums, number * int(sums[-1]) >> 64, right=True))


def _reach(keys: Tensor, sizes: Tensor, goal: int) -> Tensor:
    """Say which are the fewest, of the highest keys and of equals the first, whose sizes reach the goal.

    Cost: O(n): the least of those keys is found digit by digit, each among the keys that share the digits before,
    until so few are left that to sort them costs less.
    """
    left, keys_left, shift = torch.arange(len(keys), device=keys.device), keys, 3 * _DIGIT_BITS
    while len(left) > _SORTED and shift >= 0:
        digits = (keys_left >> shift) & (2**_DIGIT_BITS - 1)
        totals = torch.zeros(2**_DIGIT_BITS, dtype=torch.int64, device=keys.device).scatter_add_(0, digits, sizes)
        sums = totals.flip(0).cumsum(0)
        place = int(torch.searchsorted(sums, goal))
        goal -= int(sums[place - 1]) if place else 0
        shared = (digits == 2**_DIGIT_BITS - 1 - place).nonzero()[:, 0]
        left, keys_left, sizes = (column.index_select(0, shared) for column in (left, keys_left, sizes))
        shift -= _DIGIT_BITS
    order = keys_left.argsort(descending=True, stable=True)
    num_kept = int(torch.searchsorted(sizes[order].cumsum(0), goal)) + 1
    is_kept = keys > keys_left[order[0]]
    is_kept[left[order[:num_kept]]] = True
    return is_kept
