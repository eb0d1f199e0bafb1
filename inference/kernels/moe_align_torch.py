"""Places of a batch's tokens, sorted by the experts that they go to, in torch."""

from __future__ import annotations

import torch
from torch import Tensor


def moe_align(ids: Tensor, num_experts: int, block: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the slots, the expert of each block of them, and how many slots are used.

    A slot holds a position, or the number of positions where it is padding. Blocks that are not used have expert -1.
    Shape: ids (tokens, top_k), int32 or int64, each in [0, num_experts); slots (capacity,), experts
    (capacity / block,), used (1,), all int32. The capacity follows from the sizes alone.
    """
    flat = ids.flatten().long()
    num_positions = len(flat)
    num_blocks = (num_positions + min(num_experts, num_positions) * (block - 1)) // block
    counts = torch.bincount(flat, minlength=num_experts)
    blocks = (counts + block - 1) // block
    ends = blocks.cumsum(0)
    chosen, order = flat.sort(stable=True)
    rank = torch.arange(num_positions, device=ids.device) - (counts.cumsum(0) - counts)[chosen]
    slots = torch.full((num_blocks * block,), num_positions, dtype=torch.int32, device=ids.device)
    slots[(ends - blocks)[chosen] * block + rank] = order.int()
    owners = torch.searchsorted(ends, torch.arange(num_blocks, device=ids.device), right=True)
    experts = torch.where(owners < num_experts, owners, -1).int()
    return slots, experts, (ends[-1:] * block).int()
