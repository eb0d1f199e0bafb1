"""Laws of the routed experts: how their tokens are sorted, and that a token's result is its own.

Run with TRITON_INTERPRET=1, in its own process.
"""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.kernels.spec import relative_error
from headgate.inference.kernels import moe_align, moe_align_torch, moe_experts, moe_experts_torch
from headgate.inference.kernels.moe_align import capacity

ALIGNS = (moe_align, moe_align_torch)
EXPERTS, HIDDEN, INNER = 4, 72, 40


@st.composite
def choices(draw: st.DrawFn) -> tuple[Tensor, int, int]:
    """Give ids, how many experts there are, and the size of a block."""
    num_experts = draw(st.sampled_from((1, 2, 5, 16, 64)))
    num_tokens, top_k = draw(st.integers(1, 60)), draw(st.integers(1, min(6, num_experts)))
    highest = draw(st.integers(0, num_experts - 1))  # experts above it are chosen by nobody
    seed = draw(st.integers(0, 1000))
    ids = torch.randint(highest + 1, (num_tokens, top_k), generator=torch.Generator().manual_seed(seed))
    return ids, num_experts, draw(st.sampled_from((1, 3, 16, 64)))


def runs(slots: Tensor, experts: Tensor, block: int) -> dict[int, list[int]]:
    """Return what stands in each expert's blocks."""
    found: dict[int, list[int]] = {}
    for expert, values in zip(experts.tolist(), slots.view(-1, block).tolist(), strict=True):
        found.setdefault(expert, []).extend(values)
    return found


@pytest.mark.parametrize("module", ALIGNS, ids=lambda module: str(module.__name__))
@given(chosen=choices())
@settings(max_examples=10, deadline=None)
def test_each_expert_has_its_positions_in_order_then_padding(
    module: ModuleType, chosen: tuple[Tensor, int, int]
) -> None:
    ids, num_experts, block = chosen
    slots, experts, used = module.moe_align(ids, num_experts, block)
    assert slots.dtype == experts.dtype == used.dtype == torch.int32
    flat, found = ids.flatten(), runs(slots, experts, block)
    none = len(flat)
    assert set(found.pop(-1, [none])) == {none}
    assert list(found) == sorted(set(flat.tolist())), "in the order of the experts, none that nobody chose"
    for expert, count in enumerate(torch.bincount(flat, minlength=num_experts).tolist()):
        own = found.get(expert, [])
        assert own[:count] == torch.where(flat == expert)[0].tolist(), "stable"
        assert set(own[count:]) <= {none}
        assert len(own) == -(-count // block) * block, "whole blocks, and no more than it takes"
    assert used.tolist() == [sum(map(len, found.values()))]


@given(st.integers(1, 300), st.integers(1, 64), st.integers(1, 128))
@settings(max_examples=100, deadline=None)
def test_the_capacity_is_what_the_worst_choice_needs(num_positions: int, num_experts: int, block: int) -> None:
    """It is, if each expert has one position more than whole blocks; positions that are left over change nothing."""
    has_one = min(num_experts, num_positions)
    needed = (has_one + (num_positions - has_one) // block) * block
    assert needed <= capacity(num_positions, num_experts, block) == needed


def make(num_tokens: int, top_k: int = 2, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(20)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(dtype)

    scores = torch.rand(num_tokens, EXPERTS, generator=generator)
    weights, ids = scores.topk(top_k, dim=-1)
    return {
        "x": draw(num_tokens, HIDDEN),
        "gate_up": draw(EXPERTS, 2 * INNER, HIDDEN) / 8,
        "down": draw(EXPERTS, HIDDEN, INNER) / 8,
        "weights": weights,
        "ids": ids,
    }


def rows_of(inputs: dict[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    """Return a batch of some of the tokens."""
    return {**inputs, **{name: inputs[name][rows].contiguous() for name in ("x", "weights", "ids")}}


def test_a_row_is_the_same_to_the_bit_in_whatever_batch_it_is() -> None:
    """Of one size of blocks: the interpreter sums in an order that depends on the shape of a product."""
    inputs, config = make(48), moe_experts.default(1, HIDDEN, INNER)
    whole = moe_experts.moe_experts(**inputs, config=config)
    generator = torch.Generator().manual_seed(5)
    for size in (1, 7, 48):
        rows = torch.randperm(48, generator=generator)[:size]
        assert torch.equal(moe_experts.moe_experts(**rows_of(inputs, rows), config=config), whole[rows])


@pytest.mark.parametrize("tokens", (16, 64))
def test_a_row_is_the_same_to_the_bit_beside_rows_that_are_not_numbers(tokens: int) -> None:
    inputs, config = make(9), {**moe_experts.default(1, HIDDEN, INNER), "TOKENS": tokens}
    spoiled = {**inputs, "x": inputs["x"].clone()}
    spoiled["x"][1:] = float("nan")
    got, wanted = (moe_experts.moe_experts(**some, config=config) for some in (spoiled, inputs))
    assert torch.equal(got[0], wanted[0])


@pytest.mark.parametrize("is_described", (0, 1))
@pytest.mark.parametrize("tokens", (16, 128))
def test_every_configuration_gives_the_same_but_for_rounding(tokens: int, is_described: int) -> None:
    inputs = make(6)
    default = moe_experts.default(1, HIDDEN, INNER)
    other = {**default, "TOKENS": tokens, "UP_ROWS": 128, "DOWN_ROWS": 64, "GROUP": 3, "DESCRIPTOR": is_described}
    got, wanted = (moe_experts.moe_experts(**inputs, config=config) for config in (other, default))
    assert relative_error((got,), (wanted,)) <= 1e-6


@pytest.mark.parametrize("module", (moe_experts, moe_experts_torch), ids=lambda module: str(module.__name__))
def test_experts_that_nobody_chose_are_not_part_of_the_result(module: ModuleType) -> None:
    inputs = make(5, top_k=1)
    inputs["ids"] = torch.full_like(inputs["ids"], 2)
    wanted = module.moe_experts(**inputs)
    for name in ("gate_up", "down"):
        inputs[name] = inputs[name].clone()
        inputs[name][[0, 1, 3]] = float("nan")
    assert torch.equal(module.moe_experts(**inputs), wanted)


def test_a_sweep_tries_what_fits_and_the_default() -> None:
    for per_expert in (0.1, 6.0, 40.0, 768.0):
        found = moe_experts.candidates(per_expert, 2048, 1408)
        assert moe_experts.default(per_expert, 2048, 1408) in found
        assert 10 <= len(found) <= 40
