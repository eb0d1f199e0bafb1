"""Places of a batch's tokens, sorted by the experts that they go to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import ModuleType

import torch
from torch import Tensor

from .spec import Case, Inputs, Plant, Shape

PLANTS = (
    Plant("a position after itself", "(earlier[None, :] < at[:, None])", "(earlier[None, :] <= at[:, None])"),
    Plant("no padding", "padded = (total + BLOCK - 1) // BLOCK * BLOCK", "padded = total"),
    Plant("earlier chunks forgotten", "starts + before, num_positions, CHUNK)", "starts, num_positions, CHUNK)"),
    Plant(
        "of few positions the earlier forgotten", "at < tl.minimum(tl.program_id(0) * CHUNK, num_positions)", "at < 0"
    ),
    Plant("the chunk itself counted as earlier", "chunk < tl.program_id(0)", "chunk <= tl.program_id(0)"),
    Plant("an expert of nobody owns a block", "(ends[None, :] <= (block", "(ends[None, :] < (block"),
    Plant("the tail is the last expert's", "tl.where(owner < EXPERTS, owner, -1)", "tl.minimum(owner, EXPERTS - 1)"),
    Plant("padding is position 0", "tl.int32) + num_positions, mask", "tl.int32), mask"),
)


def _make(device: torch.device, dtype: torch.dtype, *sizes: int) -> Inputs:
    """Make ids of so many tokens, choices a token and experts, for blocks of a size, as a gate does.

    No token chooses an expert twice. They are int64 beside float32, else int32.
    """
    tokens, top_k, experts, block = sizes
    kind = torch.int64 if dtype == torch.float32 else torch.int32
    ids = torch.rand(tokens, experts, device=device).topk(top_k, dim=-1).indices.to(kind)
    return {"ids": ids, "num_experts": experts, "block": block}


def cases(device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    """Yield cases."""
    for sizes in ((1, 1, 1, 16), (1, 6, 64, 16), (5, 2, 4, 16), (64, 6, 64, 16), (9, 8, 256, 16), (40, 3, 7, 5)):
        yield Case("{} tokens, top {} of {}, blocks of {}".format(*sizes), _make(device, dtype, *sizes))
    yield Case("whole chunks and a few positions", _make(device, dtype, 43, 6, 64, 64))
    yield Case("whole chunks", _make(device, dtype, 32, 8, 16, 32))
    yield Case("more chunks of many positions than are added at a time", _make(device, dtype, 520, 8, 8, 128))
    yield Case("no tokens", _make(device, dtype, 0, 6, 64, 16))
    same = _make(device, dtype, 90, 2, 8, 16)
    yield Case("all to one expert", {**same, "ids": torch.full_like(same["ids"], 5)})
    yield Case("all to the last of experts that fill a power of two", {**same, "ids": torch.full_like(same["ids"], 7)})
    full = _make(device, dtype, 64, 1, 2, 16)
    yield Case("whole blocks alone", {**full, "ids": (torch.arange(64, device=device) % 2).to(full["ids"])[:, None]})


def run(module: ModuleType, inputs: Inputs) -> tuple[Tensor, ...]:
    """Run it."""
    slots, experts, used = module.moe_align(**inputs)
    return slots, experts, used


def oracle(inputs: Inputs) -> tuple[Tensor, ...]:
    """Return slots, experts and used, by filling one list an expert."""
    ids, num_experts, block = inputs["ids"].flatten().tolist(), inputs["num_experts"], inputs["block"]
    slots: list[int] = []
    experts: list[int] = []
    for expert in range(num_experts):
        run = [position for position, chosen in enumerate(ids) if chosen == expert]
        run += [len(ids)] * (-len(run) % block)
        slots += run
        experts += [expert] * (len(run) // block)
    used, most = len(slots), min(num_experts, len(ids))
    num_blocks = (len(ids) + most * (block - 1)) // block
    slots += [len(ids)] * (num_blocks * block - used)
    experts += [-1] * (num_blocks - len(experts))
    return tuple(torch.tensor(values, dtype=torch.float64) for values in (slots, experts, [used]))


def tolerance(dtype: torch.dtype) -> float:
    """These are integers."""
    return 0.0


def shapes() -> list[Shape]:
    """Return what DeepSeek-V2-Lite and V3 have in decode and prefill."""
    found = []
    for name, top_k, experts in (("V2-Lite", 6, 64), ("V3", 8, 256)):
        for tokens, block in ((1, 16), (64, 16), (8192, 128)):
            positions = tokens * top_k
            size = 4 * (2 * positions + min(experts, positions))
            make = _maker(tokens, top_k, experts, block)
            found.append(Shape(f"{name}, {tokens} tokens", make, size, 8 * positions, target=0.0, max_us=10.0))
    return found


def _maker(tokens: int, top_k: int, experts: int, block: int) -> Callable[[torch.device, torch.dtype], Inputs]:
    return lambda device, dtype: _make(device, dtype, tokens, top_k, experts, block)


def peers() -> Mapping[str, Callable[[Inputs], object]]:
    """Return torch's own, with the sizes kept on the device."""

    def sort(inputs: Inputs) -> object:
        ids, num_experts, block = inputs["ids"].flatten(), inputs["num_experts"], inputs["block"]
        chosen, order = ids.sort(stable=True)
        firsts = torch.searchsorted(chosen, torch.arange(num_experts + 1, device=ids.device, dtype=ids.dtype))
        blocks = (firsts.diff() + block - 1) // block
        ends = blocks.cumsum(0)
        num_blocks = (len(ids) + min(num_experts, len(ids)) * (block - 1)) // block
        slots = torch.full((num_blocks * block,), len(ids), dtype=torch.int32, device=ids.device)
        rank = torch.arange(len(ids), device=ids.device) - firsts[chosen]
        slots[(ends - blocks)[chosen] * block + rank] = order.int()
        return slots, torch.searchsorted(ends, torch.arange(num_blocks, device=ids.device), right=True), ends[-1:]

    return {"torch sort": sort}
