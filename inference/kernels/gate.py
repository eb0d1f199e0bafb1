"""The choice of experts for each token: softmax or sigmoid scores, in the best groups only.

    softmax (DeepSeek-V2): score = exp(x) / Σ exp(x)       choice = x, which softmax keeps in order
                           a group counts as its best expert
    sigmoid (DeepSeek-V3): score = 1 / (1 + exp(-x))       choice = score + bias
                           a group counts as the sum of its two best
    weight = score [/ (Σ score of the chosen + 1e-20)] · factor

Reads 4 bytes for each logit, writes 8 for each chosen expert, and does some 10 operations a logit and 3 more for each
expert that is chosen. Those bind it, not the memory: 900 instructions of a warp for a token of V3, 240 for one of
V2-Lite; and for the few tokens of a decode step the latency of one program.
One program takes a few tokens. It takes the best out of a row `top_k` times, which for 6 or 8 costs less than a sort
of all. It compares ranks, integers in the order of the values: a warp finds the largest of those in one instruction,
and the lowest index that has it. A logit that is not a number is the best of all, as in `torch.topk`, so that the
token's weights show it; ids are valid and distinct whatever the logits are.

Tolerance: weights 1e-6 relative to the largest of a token: a sum over the row in a tree, some roundings, and an exp
that is good to 2 units of the last place. Ids are exact for softmax, whose choice rounds nothing; for sigmoid where
choices differ by more than the rounding of score + bias, 2⁻²⁰.
Source: DeepSeek-V2 (arXiv 2405.04434) §2.2, DeepSeek-V3 (arXiv 2412.19437) §2.1.2.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .gate_torch import check
from .tuning import Config, pick, power_of_two

MAX_EXPERTS = 1024

_HIGHEST = tl.constexpr(2**31 - 1)  # the rank of what is no number
_TAKEN = tl.constexpr(-(2**31))  # below every rank
_LOG2_E = tl.constexpr(1.4426950408889634)
_LN_2_HIGH = tl.constexpr(0.693359375)  # so short that times a whole number it is exact
_LN_2_LOW = tl.constexpr(-2.121944400546905827679e-4)


@triton.jit
def _rank(values):
    """Return integers in the order of the values."""
    bits = tl.where(values == 0, 0.0, values).to(tl.int32, bitcast=True)  # -0 is 0
    ranks = tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    return tl.where(values == values, ranks, _HIGHEST)


@triton.jit
def _value(ranks):
    """Return the values of ranks."""
    return tl.where(ranks < 0, ranks ^ 0x7FFFFFFF, ranks).to(tl.float32, bitcast=True)


@triton.jit
def _sigmoid(x):
    """The GPU's own exp loses a bit for each doubling of its argument; so this takes it within ±ln 2 / 2."""
    size = tl.abs(x)
    size = tl.where(size > 104.0, 104.0, size)  # exp(-104) is 0
    whole = tl.floor(size * _LOG2_E + 0.5)
    part = (whole * _LN_2_HIGH - size) + whole * _LN_2_LOW
    small = tl.exp2(-whole) * tl.exp(part)
    return tl.where(x < 0, small, 1.0) / (1.0 + small)


@triton.jit
def _in_best_groups(ranks, GROUPS: tl.constexpr, KEPT: tl.constexpr, BLOCK: tl.constexpr, IS_SOFTMAX: tl.constexpr):
    """Return the ranks of the best groups, and elsewhere `_TAKEN`. Shape: (tokens, BLOCK · experts of a group)."""
    if KEPT == GROUPS:
        return ranks
    grouped = tl.reshape(ranks, (ranks.shape[0], BLOCK, ranks.shape[1] // BLOCK))
    group = tl.arange(0, BLOCK)[None, :]
    own = tl.max(grouped, axis=2)
    if not IS_SOFTMAX:
        is_first = grouped == own[:, :, None]
        second = tl.max(tl.where(is_first, _TAKEN, grouped), axis=2)
        second = tl.where(tl.sum(is_first.to(tl.int32), axis=2) > 1, own, second)
        own = _rank(_value(own) + _value(second))
    own = tl.where(group < GROUPS, own, _TAKEN)
    mine, other = own[:, :, None], own[:, None, :]
    is_better = (other > mine) | ((other == mine) & (group[:, None, :] < group[:, :, None]))
    is_kept = tl.sum(is_better.to(tl.int32), axis=2) < KEPT
    return tl.reshape(tl.where(is_kept[:, :, None], grouped, _TAKEN), ranks.shape)


@triton.jit
def _best(ranks, expert, EXPERTS: tl.constexpr, TOP_K: tl.constexpr, BLOCK: tl.constexpr):
    """Return the experts of the highest ranks, the best first. Shape: ranks (tokens, experts) to (tokens, BLOCK)."""
    slot = tl.arange(0, BLOCK)[None, :]
    chosen = tl.zeros((ranks.shape[0], BLOCK), tl.int32)
    for place in tl.static_range(TOP_K):
        highest = tl.max(ranks, axis=1)[:, None]
        best = tl.min(tl.where(ranks == highest, expert, EXPERTS), axis=1)[:, None]
        ranks = tl.where(expert == best, _TAKEN, ranks)
        chosen = tl.where(slot == place, best, chosen)
    return chosen


@triton.jit
def _softmax(chosen, x, ranks):
    """Return the softmax of those chosen, over all. Shape: chosen (tokens, chosen), x and ranks (tokens, experts)."""
    top = _value(tl.max(ranks, axis=1))[:, None]  # no number where there is one that is none
    return tl.exp(chosen - top) / tl.sum(tl.exp(x - top), axis=1)[:, None]


@triton.jit(do_not_specialize=["tokens"])
def _gate(
    logits,
    bias,
    weights,
    ids,
    tokens,
    factor,
    EXPERTS: tl.constexpr,
    TOP_K: tl.constexpr,
    GROUPS: tl.constexpr,
    KEPT: tl.constexpr,
    IS_SOFTMAX: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    IS_NORMALISED: tl.constexpr,
    GROUP_BLOCK: tl.constexpr,
    SIZE_BLOCK: tl.constexpr,
    SLOT_BLOCK: tl.constexpr,
    TOKENS: tl.constexpr,
):
    token = tl.program_id(0).to(tl.int64) * TOKENS + tl.arange(0, TOKENS)[:, None]
    at = tl.arange(0, GROUP_BLOCK * SIZE_BLOCK)[None, :]
    inside = (at % SIZE_BLOCK < EXPERTS // GROUPS) & (at // SIZE_BLOCK < GROUPS)
    expert = at // SIZE_BLOCK * (EXPERTS // GROUPS) + at % SIZE_BLOCK
    x = tl.load(logits + token * EXPERTS + expert, mask=inside & (token < tokens), other=0.0)
    choice = x if IS_SOFTMAX else _sigmoid(x)
    if HAS_BIAS:
        choice += tl.load(bias + expert, mask=inside, other=0.0)
    ranks = tl.where(inside, _rank(choice), _TAKEN)
    candidates = _in_best_groups(ranks, GROUPS, KEPT, GROUP_BLOCK, IS_SOFTMAX)
    chosen = _best(candidates, expert, EXPERTS, TOP_K, SLOT_BLOCK)
    slot = tl.arange(0, SLOT_BLOCK)[None, :]
    is_slot = (slot < TOP_K) & (token < tokens)
    picked = tl.load(logits + token * EXPERTS + chosen, mask=is_slot, other=0.0)
    score = _softmax(picked, tl.where(inside, x, float("-inf")), ranks) if IS_SOFTMAX else _sigmoid(picked)
    if IS_NORMALISED:
        score /= tl.sum(tl.where(slot < TOP_K, score, 0.0), axis=1)[:, None] + 1e-20
    tl.store(weights + token * TOP_K + slot, score * factor, mask=is_slot)
    tl.store(ids + token * TOP_K + slot, chosen, mask=is_slot)


def bucket(experts: int, top_k: int) -> str:
    """Return the bucket of a shape."""
    return f"experts {power_of_two(experts)}, top {top_k}"


def default(experts: int, top_k: int) -> Config:
    """Return the configuration of a shape that was not measured: a warp for each token of 64 to 256 experts."""
    width = power_of_two(experts)
    tokens = max(1, 256 // width)
    return {"TOKENS": tokens, "num_warps": max(1, min(tokens, 4), width // 256)}


def candidates(experts: int, top_k: int) -> list[Config]:
    """Return what a sweep tries."""
    tries = ((tokens, warps) for tokens in (1, 2, 4, 8, 16) for warps in (1, 2, 4))
    return [{"TOKENS": t, "num_warps": w} for t, w in tries if t * power_of_two(experts) <= 256 * w]


def gate(
    logits: Tensor,
    bias: Tensor | None,
    top_k: int,
    groups: int,
    kept_groups: int,
    *,
    kind: str,
    is_normalised: bool,
    factor: float,
    config: Config | None = None,
) -> tuple[Tensor, Tensor]:
    """Return weights and ids of the experts chosen, best first.

    Shape: logits (tokens, experts) float32, bias (experts,) float32 for the choice of kind `sigmoid`; weights (tokens,
    top_k) float32, ids (tokens, top_k) int32. Rows lie one after the other.
    Raises: ValueError for numbers that do not fit together, or more than `MAX_EXPERTS` experts.
    """
    check(logits, bias, top_k, groups, kept_groups, kind)
    tokens, experts = logits.shape
    if experts > MAX_EXPERTS:
        raise ValueError(f"expected at most {MAX_EXPERTS} experts, got {experts}")
    weights = torch.empty(tokens, top_k, dtype=torch.float32, device=logits.device)
    ids = torch.empty(tokens, top_k, dtype=torch.int32, device=logits.device)
    chosen = config or pick("gate", bucket(experts, top_k), default(experts, top_k))
    if tokens:
        _gate[(triton.cdiv(tokens, chosen["TOKENS"]),)](
            logits,
            logits if bias is None else bias,
            weights,
            ids,
            tokens,
            factor,
            IS_SOFTMAX=kind == "softmax",
            HAS_BIAS=bias is not None,
            IS_NORMALISED=is_normalised,
            **_sizes(experts, top_k, groups, kept_groups),
            **chosen,
        )
    return weights, ids


def _sizes(experts: int, top_k: int, groups: int, kept_groups: int) -> Config:
    """Return what the kernel is compiled for; where all groups are kept they do not count."""
    if kept_groups == groups:
        groups = kept_groups = 1
    return {
        "EXPERTS": experts,
        "TOP_K": top_k,
        "GROUPS": groups,
        "KEPT": kept_groups,
        "GROUP_BLOCK": power_of_two(groups),
        "SIZE_BLOCK": power_of_two(experts // groups),
        "SLOT_BLOCK": power_of_two(top_k),
    }
