"""Laws of the product in float8, and of what makes its activations. Run with TRITON_INTERPRET=1, in its own process."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.kernels import fp8_gemm as about
from bench.kernels.spec import Inputs, relative_error
from headgate.inference.kernels import fp8_gemm, fp8_gemm_torch, fp8_quantise, fp8_quantise_torch
from headgate.inference.kernels.tiles import WIDTH, steps_of

GEMMS = pytest.mark.parametrize("module", [fp8_gemm, fp8_gemm_torch], ids=["kernel", "torch"])
QUANTISERS = pytest.mark.parametrize("module", [fp8_quantise, fp8_quantise_torch], ids=["kernel", "torch"])
ROWS, LONG = 40, 1568  # a sum of 13 steps, in three parts


def make(tokens: int, width: int = LONG, rows: int = ROWS) -> Inputs:
    generator = torch.Generator().manual_seed(20)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    x, x_scales = fp8_quantise_torch.fp8_quantise(drawn(tokens, width))
    w = (drawn(rows, width) * 100).to(torch.float8_e4m3fn)
    w_scales = torch.rand(-(-rows // WIDTH), -(-width // WIDTH), generator=generator) + 0.5
    return {"x": x, "x_scales": x_scales, "w": w, "w_scales": w_scales, "dtype": torch.float32}


def rows_of(inputs: Inputs, rows: Tensor) -> Inputs:
    x = inputs["x"].view(torch.uint8)[rows].view(torch.float8_e4m3fn)
    return {**inputs, "x": x, "x_scales": inputs["x_scales"][rows]}


@GEMMS
@pytest.mark.parametrize("tokens", (5, 80))
def test_sums_in_float32_are_as_exact_as_float32(module: ModuleType, tokens: int) -> None:
    """The tolerance is that of the tensor cores, which keep less of a block's sum; the interpreter keeps all."""
    inputs = make(tokens, 400, 140)
    assert relative_error((module.fp8_gemm(**inputs),), about.oracle(inputs)) <= 1e-6


@pytest.mark.parametrize("is_left", (0, 1))
def test_a_row_is_the_same_to_the_bit_in_whatever_batch_it_is(is_left: int) -> None:
    """Of one size of blocks, and on the left in the same place of one: the BLAS of the interpreter is not so strict."""
    inputs, config = make(40), {**fp8_gemm.default(1, ROWS, LONG), "WEIGHTS_LEFT": is_left}
    whole = fp8_gemm.fp8_gemm(**inputs, config=config)
    for size in (1, 7, 17):
        rows = torch.randperm(40, generator=torch.Generator().manual_seed(size)) if is_left else torch.arange(40)
        some = rows[:size]
        assert torch.equal(fp8_gemm.fp8_gemm(**rows_of(inputs, some), config=config), whole[some])


@pytest.mark.parametrize("num_threads", (1, 2, 3))
def test_a_row_of_the_twin_is_the_same_to_the_bit_in_whatever_batch_it_is(num_threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        for rows_of_w in (1, 7, ROWS, 130):
            inputs = make(70, 300, rows_of_w)
            whole = fp8_gemm_torch.fp8_gemm(**inputs)
            for size in (1, 2, 3, 4, 5, 9, 17, 33, 69):
                rows = torch.randperm(70, generator=torch.Generator().manual_seed(size))[:size]
                assert torch.equal(fp8_gemm_torch.fp8_gemm(**rows_of(inputs, rows)), whole[rows])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("is_left", (0, 1))
@pytest.mark.parametrize("width", (LONG, 12 * WIDTH))
def test_parts_give_the_same_to_the_bit_in_one_program_and_in_many(width: int, is_left: int) -> None:
    inputs = make(5, width)
    assert steps_of(ROWS, width) * WIDTH < width / 2
    config = {**fp8_gemm.default(1, ROWS, width), "WEIGHTS_LEFT": is_left}
    cut, whole = (fp8_gemm.fp8_gemm(**inputs, config={**config, "CUT": is_cut}) for is_cut in (1, 0))
    assert torch.equal(cut, whole)


@pytest.mark.parametrize("is_described", (0, 1))
@pytest.mark.parametrize(("tokens", "rows", "is_left"), ((16, 128, 1), (128, 64, 0)))
def test_every_configuration_gives_the_same_but_for_rounding(
    tokens: int, rows: int, is_left: int, is_described: int
) -> None:
    inputs = make(20, 400, 140)
    default = fp8_gemm.default(20, 140, 400)
    sizes = {"TOKENS": tokens, "ROWS": rows, "GROUP": 3}
    other = {**default, **sizes, "WEIGHTS_LEFT": is_left, "DESCRIPTOR": is_described}
    got, wanted = (fp8_gemm.fp8_gemm(**inputs, config=config) for config in (other, default))
    assert relative_error((got,), (wanted,)) <= 1e-6


@GEMMS
def test_a_row_is_the_same_beside_rows_that_are_not_numbers(module: ModuleType) -> None:
    """Their scales are none, as `fp8_quantise` makes them."""
    inputs = make(9, 200)
    spoiled = {**inputs, "x_scales": inputs["x_scales"].clone()}
    spoiled["x_scales"][1:] = float("nan")
    got = module.fp8_gemm(**spoiled)
    assert torch.equal(got[0], module.fp8_gemm(**inputs)[0]) and bool(got[1:].isnan().all())


@given(
    st.integers(1, 6),
    st.integers(1, 300),
    st.sampled_from((torch.float32, torch.float16)),
    st.integers(-40, 40),
    st.integers(0, 1000),
)
@settings(max_examples=25, deadline=None)
def test_values_are_near_and_are_those_of_the_twin(
    rows: int, width: int, dtype: torch.dtype, power: int, seed: int
) -> None:
    """Within half a last place: a part of 2⁻⁴ of the value, or 2⁻¹⁰ scales where it is small; sizes of 2⁻¹² to 1."""
    generator = torch.Generator().manual_seed(seed)
    power = power if dtype == torch.float32 else power // 4
    sizes = torch.randint(-12, 1, (rows, width), generator=generator) + power
    x = (torch.randn(rows, width, generator=generator) * 2.0**sizes).to(dtype)
    values, scales = fp8_quantise.fp8_quantise(x)
    own_values, own_scales = fp8_quantise_torch.fp8_quantise(x)
    assert torch.equal(values.float(), own_values.float()) and torch.equal(scales, own_scales)
    by_column = scales.double().repeat_interleave(WIDTH, dim=1)[:, :width]
    bound = torch.maximum(x.double().abs() * 2.0**-4, by_column * 2.0**-10) * (1 + 2.0**-20)
    assert bool(((values.double() * by_column - x.double()).abs() <= bound).all())


@QUANTISERS
def test_every_value_of_float8_stays_as_it_is(module: ModuleType) -> None:
    """In a row with the largest, whose scale is 1."""
    bits = torch.arange(256, dtype=torch.uint8)
    x = bits.view(torch.float8_e4m3fn).float()
    x = x[~x.isnan()].view(2, 127)
    x[0, 0] = x[1, 0] = 448.0
    values, scales = module.fp8_quantise(x)
    assert torch.equal(values.float(), x) and bool((scales == 1).all())


@QUANTISERS
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_the_scale_of_a_block_is_no_number_where_one_of_its_values_is_none(module: ModuleType) -> None:
    x = torch.ones(3, 300)
    x[1, 140], x[2, 299] = float("nan"), float("inf")
    _, scales = module.fp8_quantise(x)
    assert scales.isfinite().tolist() == [[True] * 3, [True, False, True], [True, True, False]]
    inputs = {**make(3, 300), "x": fp8_quantise_torch.fp8_quantise(x)[0], "x_scales": scales}
    assert fp8_gemm_torch.fp8_gemm(**inputs).isfinite().all(dim=1).tolist() == [True, False, False]


@QUANTISERS
def test_scales_of_a_block_lie_side_by_side(module: ModuleType) -> None:
    values, scales = module.fp8_quantise(torch.randn(5, 400))
    assert values.is_contiguous() and scales.shape == (5, 4) and scales.stride() == (1, 5)


def test_a_sweep_tries_what_fits_and_the_default() -> None:
    for tokens in (1, 16, 40, 4096):
        found = fp8_gemm.candidates(tokens, 7168, 16_384)
        assert fp8_gemm.default(tokens, 7168, 16_384) in found
        assert 8 <= len(found) <= 40
        rows = fp8_quantise.candidates(tokens, 7168)
        assert fp8_quantise.default(tokens, 7168) in rows and len(rows) <= 40
