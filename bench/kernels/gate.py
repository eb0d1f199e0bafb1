"""The choice of experts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from .spec import Case, Inputs, Plant, Shape, relative_error

V2_LITE: dict[str, Any] = {
    "top_k": 6,
    "groups": 1,
    "kept_groups": 1,
    "kind": "softmax",
    "is_normalised": False,
    "factor": 1.0,
}
V2: dict[str, Any] = {**V2_LITE, "groups": 8, "kept_groups": 3, "factor": 16.0}
V3: dict[str, Any] = {
    "top_k": 8,
    "groups": 8,
    "kept_groups": 4,
    "kind": "sigmoid",
    "is_normalised": True,
    "factor": 2.5,
}

_ROUNDING = 2**-20  # of a float32 sigmoid with a bias added, or the sum of two, relative to the larger of its parts

PLANTS = (
    Plant(
        "ties to the higher index",
        "best = tl.min(tl.where(ranks == highest, expert, EXPERTS)",
        "best = tl.max(tl.where(ranks == highest, expert, -1)",
    ),
    Plant("weights with the bias", "else _sigmoid(picked)", "else _sigmoid(picked) + tl.load(bias + chosen)"),
    Plant("a group counts as its best", "_rank(_value(own) + _value(second))", "_rank(_value(own))"),
    Plant("one group too many", "axis=2) < KEPT", "axis=2) <= KEPT"),
    Plant("equal bests of a group count once", "axis=2) > 1, own, second)", "axis=2) > 1, second, second)"),
    Plant("negative values upside down", "ranks = tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits)", "ranks = bits"),
    Plant("the sum over the chosen alone", "tl.sum(tl.exp(x - top), axis=1)", "tl.sum(tl.exp(chosen - top), axis=1)"),
)


def make_inputs(
    device: torch.device, dtype: torch.dtype, tokens: int, experts: int, settings: Mapping[str, Any]
) -> Inputs:
    """Make logits as the router of a model of that type may give them: those of 16 bits have ties."""
    logits = torch.randn(tokens, experts, device=device).mul(2).to(dtype).float()
    bias = torch.randn(experts, device=device) * 0.1 if settings["kind"] == "sigmoid" else None
    return {"logits": logits, "bias": bias, **settings}


def cases(device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    """Yield cases."""

    def make(tokens: int, experts: int, settings: Mapping[str, Any], **others: Any) -> Inputs:
        return make_inputs(device, dtype, tokens, experts, {**settings, **others})

    twice = torch.tensor([[1.0, 0.0, 0.0, 0.0, 1.0, 1.0, -2.0, -2.0]], device=device)
    pair = make_inputs(device, dtype, 1, 8, {**V3, "groups": 2, "kept_groups": 1, "top_k": 2})
    yield Case("a group with its best twice", {**pair, "bias": None, "logits": twice})
    yield Case("V2-Lite", make(5, 64, V2_LITE))
    yield Case("V2, groups of 20", make(3, 160, V2))
    yield Case("V3", make(3, 256, V3))
    yield Case("all groups kept", make(3, 32, V3, groups=4))
    yield Case("one group kept of 3", make(5, 12, V3, groups=3, kept_groups=1, top_k=3))
    yield Case("groups of one expert", make(5, 12, V2, groups=12, kept_groups=5, top_k=5))
    yield Case("every expert", make(2, 5, V2_LITE, top_k=5, is_normalised=True))
    yield Case("one expert", make(1, 1, V2_LITE, top_k=1))
    yield Case("no tokens", make(0, 64, V2_LITE))
    yield Case("more tokens than a program takes", make(70, 8, V3, groups=4, kept_groups=2, top_k=3))
    yield Case("no bias, not normalised", {**make(3, 32, V3, groups=4, is_normalised=False), "bias": None})
    biased = make(3, 64, V3)
    yield Case("a bias larger than the scores", {**biased, "bias": biased["bias"] * 100})
    for name, settings, experts in (("softmax", V2, 160), ("sigmoid", V3, 64)):
        plain = make(3, experts, settings)
        still = {**plain, "bias": None}
        yield Case(f"{name}: few values, many ties", {**still, "logits": plain["logits"].round().clamp(-1, 0)})
        yield Case(f"{name}: all equal", {**still, "logits": torch.full_like(plain["logits"], -3.0)})
        yield Case(f"{name}: ±1e4", {**plain, "logits": plain["logits"].sign() * 1e4})
        yield Case(f"{name}: all far below 0", {**still, "logits": plain["logits"] - 60.0})


def run(module: ModuleType, inputs: Inputs) -> tuple[Tensor, ...]:
    """Run it."""
    weights, ids = module.gate(**inputs)
    return weights, ids


def oracle(inputs: Inputs) -> tuple[Tensor, ...]:
    """Return weights, ids, and for each token whether its choices differ by more than float32 may round them."""
    logits, is_softmax = inputs["logits"].cpu().double(), inputs["kind"] == "softmax"
    bias = torch.zeros(logits.shape[1]) if inputs["bias"] is None else inputs["bias"].cpu()
    scores = logits.softmax(dim=-1) if is_softmax else logits.sigmoid()
    choice = logits if is_softmax else scores + bias.double()  # softmax keeps the order, but for what underflows
    largest = 0.0 if inputs["bias"] is None else 1.0 + float(bias.abs().max())
    picked = [_choose(row, inputs, largest) for row in choice.tolist()]
    ids = torch.tensor([found for found, _ in picked], dtype=torch.int32).view(-1, inputs["top_k"])
    weights = scores.gather(1, ids.long())
    if inputs["is_normalised"]:
        weights = weights / (weights.sum(dim=-1, keepdim=True) + 1e-20)
    return weights * inputs["factor"], ids, torch.tensor([is_apart for _, is_apart in picked], dtype=torch.bool)


def _choose(choice: list[float], inputs: Inputs, largest: float) -> tuple[list[int], bool]:
    """Return the experts of one token, and whether nothing that decided was within rounding but for true ties.

    The parts of a choice are not larger than it, or than `largest`.
    """
    groups, kept, top_k = inputs["groups"], inputs["kept_groups"], inputs["top_k"]
    size = len(choice) // groups
    num_best = 1 if inputs["kind"] == "softmax" else 2
    scores = [sum(sorted(choice[g * size : (g + 1) * size])[-num_best:]) for g in range(groups)]
    best = sorted(range(groups), key=lambda g: (-scores[g], g))
    experts = [e for g in best[:kept] for e in range(g * size, (g + 1) * size)]
    experts.sort(key=lambda e: (-choice[e], e))
    compared = [scores[g] for g in best[kept - 1 : kept + 1]], [choice[e] for e in experts[: top_k + 1]]
    pairs = [pair for values in compared for pair in pairwise(values)]
    rounding = 0.0 if num_best == 1 else _ROUNDING
    return experts[:top_k], all(a == b or a - b > rounding * max(a, largest) for a, b in pairs)


def error(got: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> float:
    """Return the largest error of a weight; infinity where an expert is not the right one."""
    weights, ids = got[0].cpu(), got[1].cpu()
    right, right_ids, is_apart = wanted
    if ids.shape != right_ids.shape or ids.dtype != torch.int32 or weights.dtype != torch.float32:
        return float("inf")
    in_order = ids.sort(dim=-1).values
    if bool((in_order[:, 1:] == in_order[:, :-1]).any()) or not torch.equal(ids[is_apart], right_ids[is_apart]):
        return float("inf")
    return relative_error((weights[is_apart],), (right[is_apart],)) if weights.isfinite().all() else float("inf")


def tolerance(dtype: torch.dtype) -> float:
    """Everything is float32, whatever the model computes in."""
    return 1e-6


def shapes() -> list[Shape]:
    """Return the gates of DeepSeek-V2-Lite and V3. Of few tokens the time counts, 8 us for 256.

    Of many the instructions do: at 4 a cycle and multiprocessor they take 4 times what the memory takes.
    """
    found = []
    for name, experts, settings in (("V2-Lite", 64, V2_LITE), ("V3", 256, V3)):
        for tokens in (1, 64, 256, 4096, 16384):
            num_bytes = tokens * (experts * 4 + settings["top_k"] * 8) + experts * 4 * (name == "V3")
            num_flops = tokens * experts * (10 + 3 * settings["top_k"])
            make, target = _maker(tokens, experts, settings), 0.15 if tokens >= 16384 else 0.0
            at_most = 8.0 if tokens <= 256 else 0.0
            about = f"{name} {tokens} x {experts}"
            found.append(Shape(about, make, num_bytes, num_flops, target, dtype=torch.float32, max_us=at_most))
    return found


def _maker(tokens: int, experts: int, settings: Mapping[str, Any]) -> Callable[[torch.device, torch.dtype], Inputs]:
    def make(device: torch.device, dtype: torch.dtype) -> Inputs:
        bias = torch.zeros(experts, device=device) if settings["kind"] == "sigmoid" else None
        return {"logits": make_apart(device, tokens, experts, settings["groups"]), "bias": bias, **settings}

    return make


def make_apart(device: torch.device, tokens: int, experts: int, groups: int) -> Tensor:
    """Make logits no two of which are near, nor two groups: what rounds in another way still chooses the same."""
    order = torch.randperm(experts, generator=torch.Generator().manual_seed(0))
    values = torch.linspace(-4, 4, experts)[order].view(groups, -1).to(device)
    group = torch.rand(tokens, groups, device=device).argsort(dim=-1)
    member = torch.rand(tokens, groups, experts // groups, device=device).argsort(dim=-1)
    return values[group].gather(-1, member).flatten(1)


def peers() -> Mapping[str, Callable[[Inputs], object]]:
    """Return the way of transformers."""
    return {"torch": _eager, "torch.compile": torch.compile(_eager)}


def _eager(inputs: Inputs) -> object:
    """Do as DeepseekV3TopkRouter and DeepseekV2TopkRouter do."""
    logits, groups, is_softmax = inputs["logits"], inputs["groups"], inputs["kind"] == "softmax"
    scores = logits.softmax(dim=-1) if is_softmax else logits.sigmoid()
    choice = scores if inputs["bias"] is None else scores + inputs["bias"]
    if groups > 1:
        grouped = choice.view(len(choice), groups, -1)
        totals = grouped.amax(dim=-1) if is_softmax else grouped.topk(2, dim=-1).values.sum(dim=-1)
        best = totals.topk(inputs["kept_groups"], dim=-1, sorted=False).indices
        mask = torch.zeros_like(totals).scatter_(1, best, 1)
        choice = grouped.masked_fill(mask[..., None] == 0, float("-inf")).flatten(1)
    ids = choice.topk(inputs["top_k"], dim=-1, sorted=False).indices
    weights = scores.gather(1, ids)
    if inputs["is_normalised"]:
        weights = weights / (weights.sum(dim=-1, keepdim=True) + 1e-20)
    return weights * inputs["factor"], ids
