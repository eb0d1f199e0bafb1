"""Laws of the rotation with the cache write. Run with TRITON_INTERPRET=1, as the kernels' other tests are."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.deepseek_v3 import modeling_deepseek_v3

from bench.kernels import rope_latent as about
from bench.kernels.spec import relative_error
from headgate.inference.kernels import rope_latent as kernel
from headgate.inference.kernels import rope_latent_torch as twin

BOTH = pytest.mark.parametrize("module", [kernel, twin], ids=["kernel", "torch"])
CPU = torch.device("cpu")
NUM_PAGES, PAGE_SIZE = 3, 4


def inputs_for(
    slots: list[int], dtype: torch.dtype = torch.float32, widths: tuple[int, int] = (6, 10)
) -> dict[str, Any]:
    rope, rank = widths
    made = about.make_inputs(CPU, dtype, len(slots), 3, (4, rope, rank))
    pages = torch.randn(NUM_PAGES, PAGE_SIZE, rank + rope).to(dtype)
    made.update(slots=torch.tensor(slots, dtype=torch.int64), pages=pages)
    del made["is_timed"]
    return made


def bits(x: Tensor) -> Tensor:
    return x.contiguous().view(torch.int32 if x.dtype == torch.float32 else torch.int16)


@settings(max_examples=20)
@given(
    slots=st.lists(st.integers(0, NUM_PAGES * PAGE_SIZE - 1), unique=True, max_size=8),
    nowhere=st.lists(st.integers(-9, -1), max_size=2),
    is_interleaved=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float16]),
)
def test_what_no_slot_names_stays_bit_for_bit(
    slots: list[int], nowhere: list[int], is_interleaved: bool, dtype: torch.dtype
) -> None:
    order = nowhere[:1] + slots + nowhere[1:]
    inputs = {**inputs_for(order, dtype), "is_interleaved": is_interleaved}
    canary = inputs["pages"]
    canary.view(-1)[::3] = float("nan")  # a copy by arithmetic would change its bits, or spread
    canary.view(-1)[1::3] = -0.0
    is_named = torch.zeros(NUM_PAGES * PAGE_SIZE, dtype=torch.bool)
    is_named[slots] = True
    wanted = about.oracle(inputs)
    for module in (kernel, twin):
        pages = canary.clone()
        query = module.rope_latent(**{**inputs, "pages": pages})
        rows, before = pages.flatten(0, 1), canary.flatten(0, 1)
        assert torch.equal(bits(rows[~is_named]), bits(before[~is_named]))
        written = tuple(part.flatten(0, 1)[is_named] for part in wanted[1:3])
        got = query, rows[is_named, :10], rows[is_named, 10:]
        assert relative_error(got, (wanted[0], *written)) <= about.tolerance(dtype)


@BOTH
@pytest.mark.parametrize("slot", [0, PAGE_SIZE - 1, PAGE_SIZE, NUM_PAGES * PAGE_SIZE - 1])
def test_a_row_goes_to_its_page_and_place(module: ModuleType, slot: int) -> None:
    inputs = inputs_for([slot])
    inputs["pages"].fill_(7)
    module.rope_latent(**inputs)
    changed = (inputs["pages"] != 7).any(dim=-1).nonzero().tolist()
    assert changed == [[slot // PAGE_SIZE, slot % PAGE_SIZE]]


@BOTH
def test_the_query_is_new_and_contiguous_and_what_is_read_stays(module: ModuleType) -> None:
    inputs = inputs_for([5, 1, -1])
    assert not inputs["q_rope"].is_contiguous()
    before = {name: value.clone() for name, value in inputs.items() if isinstance(value, Tensor)}
    query = module.rope_latent(**inputs)
    assert query.is_contiguous() and query.shape == inputs["q_rope"].shape
    assert query.data_ptr() != inputs["q_rope"].data_ptr()
    for name in before.keys() - {"pages"}:
        assert torch.equal(inputs[name], before[name]), name


@BOTH
@pytest.mark.parametrize("widths", [(6, 10), (64, 512)], ids=["tiny", "V3"])
def test_a_row_does_not_depend_on_the_rows_beside_it(module: ModuleType, widths: tuple[int, int]) -> None:
    torch.manual_seed(1)
    inputs = inputs_for([9, 2, 11, 4, 0], widths=widths)
    together = module.rope_latent(**inputs)
    for row in (0, 2, 4):
        pages = torch.zeros_like(inputs["pages"])
        one = {name: inputs[name][row : row + 1] for name in ("q_rope", "kv", "cos", "sin", "slots")}
        alone = module.rope_latent(**{**inputs, **one, "pages": pages})
        slot = int(inputs["slots"][row])
        assert torch.equal(alone[0], together[row])
        assert torch.equal(pages.flatten(0, 1)[slot], inputs["pages"].flatten(0, 1)[slot])


@BOTH
@pytest.mark.parametrize("is_interleaved", [True, False])
def test_it_does_as_transformers_does(module: ModuleType, is_interleaved: bool) -> None:
    torch.manual_seed(2)
    inputs = {**inputs_for([0, 1]), "is_interleaved": is_interleaved}
    query = module.rope_latent(**inputs)
    norm = modeling_deepseek_v3.DeepseekV3RMSNorm(10, about.EPS)
    norm.weight.data.copy_(inputs["weight"])
    turn = "apply_rotary_pos_emb_interleave" if is_interleaved else "apply_rotary_pos_emb"
    angles = [torch.cat((x, x), dim=-1)[None] for x in (inputs["cos"], inputs["sin"])]
    parts = [x.transpose(0, 1)[None] for x in (inputs["q_rope"], inputs["kv"][:, None, 10:])]  # heads before tokens
    rotated, key = (x[0].transpose(0, 1) for x in getattr(modeling_deepseek_v3, turn)(*parts, *angles))
    torch.testing.assert_close(query, rotated, rtol=0, atol=2e-6)
    rows = torch.cat((norm(inputs["kv"][:, :10]), key[:, 0]), dim=-1)
    torch.testing.assert_close(inputs["pages"][0, :2], rows.detach(), rtol=0, atol=2e-6)


def test_every_configuration_gives_the_same() -> None:
    torch.manual_seed(3)
    inputs = inputs_for([0, 5])
    usual, pages = kernel.rope_latent(**inputs), inputs["pages"].clone()
    assert kernel.default(16, 512, 64) in kernel.candidates(16, 512, 64)
    for heads in (1, 2, 8):
        got = kernel.rope_latent(**inputs, config={"HEADS": heads, "num_warps": 1})
        assert torch.equal(got, usual)
        assert torch.equal(inputs["pages"], pages)


@BOTH
@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("kv", torch.zeros(2, 15), "rows of 16"),
        ("pages", torch.zeros(3, 4, 15), "rows of 16"),
        ("slots", torch.zeros(3, dtype=torch.int64), "slots"),
        ("q_rope", torch.zeros(2, 3, 5), "even width"),
        ("cos", torch.zeros(2, 6), "cos and sin"),
        ("sin", torch.zeros(2, 3, dtype=torch.float64), "float32"),
        ("cos", torch.zeros(3, 2).T, "contiguous"),
        ("pages", torch.zeros(3, 16, 4).transpose(1, 2), "contiguous"),
    ],
)
def test_parts_that_do_not_fit_are_refused(module: ModuleType, name: str, wrong: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module.rope_latent(**{**inputs_for([0, 1]), name: wrong})


def test_a_latent_wider_than_a_program_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 8192, got 8193"):
        kernel.rope_latent(**inputs_for([0], widths=(2, 8193)))
