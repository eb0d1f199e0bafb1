"""The routed experts of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional

from .spec import Case, Inputs, Plant, Shape

_TOLERANCES = {torch.float32: 2e-6, torch.float16: 2**-8, torch.bfloat16: 2**-5}
_OPCODES = {"_moe_gate_up": frozenset({"HGMMA", "UTMALDG"}), "_moe_down": frozenset({"HGMMA", "UTMALDG"})}

PLANTS = (
    Plant("up for gate", "_silu(gate) * up", "_silu(up) * gate"),
    Plant("weight of the slot", "tl.load(weights + position, mask", "tl.load(weights + tl.arange(0, TOKENS), mask"),
    Plant("the last choice is left out", "tl.static_range(TOP_K)", "tl.static_range(TOP_K - 1)"),
    Plant("the weights of the expert before", "first, row = expert * 2 * inner,", "first, row = expert * inner,"),
    Plant("the first tile's rows of down", "_tile(down, first, row", "_tile(down, first, 0"),
    Plant("rows left over", "mask=is_token[None, :] & (rows < width)", "mask=is_token[None, :] & (rows < 64)"),
)


def _make(device: torch.device, dtype: torch.dtype, *sizes: int) -> Inputs:
    """Make inputs of so many tokens, choices a token, experts, hidden and inner values."""
    tokens, top_k, experts, hidden, inner = sizes

    def draw(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.empty(*shape, dtype=dtype, device=device).normal_(std=scale)

    scores = torch.rand(tokens, experts, device=device)
    weights, ids = scores.topk(top_k, dim=-1)
    return {
        "x": draw(tokens, hidden),
        "gate_up": draw(experts, 2 * inner, hidden, scale=hidden**-0.5),
        "down": draw(experts, hidden, inner, scale=inner**-0.5),
        "weights": weights / weights.sum(dim=-1, keepdim=True),
        "ids": ids.int(),
    }


def cases(device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    """Yield cases."""
    for sizes in (
        (1, 1, 1, 16, 8),
        (1, 6, 64, 40, 24),
        (5, 2, 4, 64, 100),
        (20, 2, 4, 136, 40),
        (70, 1, 2, 200, 136),
        (64, 2, 2, 96, 40),
    ):
        yield Case("{} tokens, top {} of {}, hidden {}, inner {}".format(*sizes), _make(device, dtype, *sizes))
    yield Case("rows that the copy engine does not take", _make(device, dtype, 3, 2, 4, 33, 17))
    yield Case("no tokens", _make(device, dtype, 0, 2, 4, 32, 16))
    small = _make(device, dtype, 17, 1, 8, 64, 32)
    yield Case("all to the last expert, in int64", {**small, "ids": torch.full_like(small["ids"], 7).long()})
    large = _make(device, dtype, 6, 2, 3, 64, 32)
    yield Case("large values: silu is 0 or x", {**large, "x": large["x"] * 20})


def run(module: ModuleType, inputs: Inputs) -> tuple[Tensor, ...]:
    """Run it."""
    return (module.moe_experts(**inputs),)


def oracle(inputs: Inputs) -> tuple[Tensor, ...]:
    """Return the sum, a token and a choice at a time."""
    x, gate_up, down, weights = (inputs[name].cpu().double() for name in ("x", "gate_up", "down", "weights"))
    out = torch.zeros_like(x)
    for token, experts in enumerate(inputs["ids"].tolist()):
        for k, expert in enumerate(experts):
            gate, up = (gate_up[expert] @ x[token]).chunk(2)
            out[token] += weights[token, k] * (down[expert] @ (gate * gate.sigmoid() * up))
    return (out,)


def tolerance(dtype: torch.dtype) -> float:
    """Sums in float32, or three roundings to the type with rows that cancel in between."""
    return _TOLERANCES[dtype]


def shapes() -> list[Shape]:
    """Return the routed experts of DeepSeek-V2-Lite and V3, in decode and prefill."""
    found = []
    models = (
        ("V2-Lite", (6, 64, 2048, 1408), (1, 64, 256, 8192)),
        ("V3", (8, 256, 7168, 2048), (64, 8192)),
    )
    for name, (top_k, experts, hidden, inner), batches in models:
        for tokens in batches:
            read = experts * (1 - (1 - top_k / experts) ** tokens)  # that somebody chose, of choices at random
            num_bytes = round(2 * (read * 3 * hidden * inner + 2 * tokens * hidden))
            num_flops = 6 * tokens * top_k * hidden * inner
            is_bound_by_memory = tokens * top_k / experts < 200
            sizes = (num_bytes, num_flops, {64: 0.65, 8192: 0.5}.get(tokens, 0.0), is_bound_by_memory)
            make = _maker(tokens, top_k, experts, hidden, inner)
            found.append(Shape(f"{name}, {tokens} tokens", make, *sizes, opcodes=_OPCODES))
    return found


def _maker(*sizes: int) -> Callable[[torch.device, torch.dtype], Inputs]:
    return lambda device, dtype: _make(device, dtype, *sizes)


def peers() -> Mapping[str, Callable[[Inputs], object]]:
    """Return torch's grouped product with what has to be around it, and a loop over the experts."""

    def grouped(inputs: Inputs) -> object:
        x, gate_up, down, weights, ids = (inputs[name] for name in ("x", "gate_up", "down", "weights", "ids"))
        chosen, order = ids.flatten().sort(stable=True)
        experts = torch.arange(len(down), device=x.device, dtype=chosen.dtype)
        ends = torch.searchsorted(chosen, experts, right=True).int()
        both = functional.grouped_mm(x[order // ids.shape[1]], gate_up.transpose(1, 2), offs=ends)
        gate, up = both.chunk(2, dim=-1)
        rows = functional.grouped_mm(functional.silu(gate) * up, down.transpose(1, 2), offs=ends)
        parts = torch.empty_like(rows)
        parts[order] = rows
        return (parts.view(*ids.shape, -1) * weights[..., None]).sum(dim=1).to(x.dtype)

    def loop(inputs: Inputs) -> object:
        x, ids = inputs["x"], inputs["ids"]
        out = torch.zeros_like(x, dtype=torch.float32)
        for expert in range(len(inputs["down"])):
            tokens, k = torch.where(ids == expert)
            gate, up = functional.linear(x[tokens], inputs["gate_up"][expert]).chunk(2, dim=-1)
            rows = functional.linear(functional.silu(gate) * up, inputs["down"][expert])
            out.index_add_(0, tokens, rows * inputs["weights"][tokens, k, None])
        return out.to(x.dtype)

    return {"torch grouped_mm": grouped, "loop over experts": loop}
