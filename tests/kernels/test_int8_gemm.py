"""Laws of the product with weights of 8 bits. Run with TRITON_INTERPRET=1, in its own process."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.kernels.spec import relative_error
from headgate.inference.kernels import int8_gemm, int8_gemm_torch
from headgate.inference.kernels.tiles import WIDTH, steps_of

BOTH = pytest.mark.parametrize("module", [int8_gemm, int8_gemm_torch], ids=["kernel", "torch"])
ROWS, LONG = 24, 1540  # a sum of 13 steps, in three parts


def make(tokens: int, width: int = LONG, rows: int = ROWS) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(20)
    return {
        "x": torch.randn(tokens, width, generator=generator),
        "w": torch.randint(-128, 128, (rows, width), generator=generator, dtype=torch.int8),
        "scales": torch.rand(rows, generator=generator) + 0.5,
    }


def rows_of(inputs: dict[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    return {**inputs, "x": inputs["x"][rows].contiguous()}


def test_a_row_is_the_same_to_the_bit_in_whatever_batch_it_is() -> None:
    """Of one size of blocks: the interpreter sums in an order that depends on the shape of a product."""
    inputs, config = make(40), int8_gemm.default(1, ROWS, LONG)
    whole = int8_gemm.int8_gemm(**inputs, config=config)
    for size in (1, 7, 17):
        rows = torch.randperm(40, generator=torch.Generator().manual_seed(size))[:size]
        assert torch.equal(int8_gemm.int8_gemm(**rows_of(inputs, rows), config=config), whole[rows])


@pytest.mark.parametrize("num_threads", (1, 2, 3))
def test_a_row_of_the_twin_is_the_same_to_the_bit_in_whatever_batch_it_is(num_threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        for rows_of_w in (1, 7, ROWS, 130):
            inputs = make(70, 300, rows_of_w)
            whole = int8_gemm_torch.int8_gemm(**inputs)
            for size in (1, 2, 3, 4, 5, 9, 17, 33, 69):
                rows = torch.randperm(70, generator=torch.Generator().manual_seed(size))[:size]
                assert torch.equal(int8_gemm_torch.int8_gemm(**rows_of(inputs, rows)), whole[rows])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("width", (LONG, 12 * WIDTH))
def test_parts_give_the_same_to_the_bit_in_one_program_and_in_many(width: int) -> None:
    inputs = make(5, width)
    assert steps_of(ROWS, width) * WIDTH < width / 2
    config = int8_gemm.default(1, ROWS, width)
    cut, whole = (int8_gemm.int8_gemm(**inputs, config={**config, "CUT": is_cut}) for is_cut in (1, 0))
    assert torch.equal(cut, whole)


@pytest.mark.parametrize("is_described", (0, 1))
@pytest.mark.parametrize(("tokens", "rows"), ((16, 128), (128, 64)))
def test_every_configuration_gives_the_same_but_for_rounding(tokens: int, rows: int, is_described: int) -> None:
    inputs = make(20, 528, 140)
    default = int8_gemm.default(20, 140, 528)
    other = {**default, "TOKENS": tokens, "ROWS": rows, "GROUP": 3, "DESCRIPTOR": is_described}
    got, wanted = (int8_gemm.int8_gemm(**inputs, config=config) for config in (other, default))
    assert relative_error((got,), (wanted,)) <= 1e-6


@BOTH
def test_a_row_is_the_same_beside_rows_that_are_not_numbers(module: ModuleType) -> None:
    inputs = make(9, 200)
    spoiled = {**inputs, "x": inputs["x"].clone()}
    spoiled["x"][1:] = float("nan")
    got = module.int8_gemm(**spoiled)
    assert torch.equal(got[0], module.int8_gemm(**inputs)[0]) and bool(got[1:].isnan().all())


@BOTH
def test_every_weight_is_exact(module: ModuleType) -> None:
    """In 16 bits, too: each of the 256 comes out as it is."""
    w = torch.arange(-128, 128, dtype=torch.int8).view(16, 16)
    one = {"x": torch.eye(16, dtype=torch.float16), "w": w, "scales": torch.ones(16)}
    assert torch.equal(module.int8_gemm(**one), w.T.half())


@given(st.integers(1, 200_000), st.integers(1, 50_000))
@settings(max_examples=200, deadline=None)
def test_parts_cover_the_sum_are_long_enough_and_do_not_crowd(rows: int, width: int) -> None:
    steps, whole = steps_of(rows, width), -(-width // WIDTH)
    parts = -(-whole // steps)
    assert 1 <= steps <= whole
    assert parts == 1 or (steps >= 4 and parts * -(-rows // 64) <= 264)


def test_a_sweep_tries_what_fits_and_the_default() -> None:
    for tokens in (1, 16, 40, 4096):
        found = int8_gemm.candidates(tokens, 7168, 16_384)
        assert int8_gemm.default(tokens, 7168, 16_384) in found
        assert 8 <= len(found) <= 40
