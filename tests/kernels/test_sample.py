"""Laws of the draw of a token. Run with TRITON_INTERPRET=1, as the kernels' other tests are."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
import triton
import triton.language as tl
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.generation.logits_process import (
    LogitsProcessor,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from bench.kernels import sample as about
from headgate.inference.kernels import sample as kernel
from headgate.inference.kernels import sample_torch as twin

BOTH = pytest.mark.parametrize("module", [kernel, twin], ids=["kernel", "torch"])
SMALL = {"CHUNK": 64, "BLOCK": 32, "WAYS": 4, "num_warps": 1}
DRAWS = 1000
SEEDS = st.integers(-(2**63), 2**63 - 1)


@triton.jit
def _draw_bits(seeds, positions, numbers):  # type: ignore[no-untyped-def]
    at = tl.program_id(0)
    number = kernel._random(tl.load(seeds + at), tl.load(positions + at))
    tl.store(numbers + at, number.to(tl.int64, bitcast=True))


@settings(max_examples=30)
@given(SEEDS, SEEDS)
def test_its_number_is_philox_of_seed_and_position(seed: int, position: int) -> None:
    words = twin.philox((position % 2**32, position // 2**32 % 2**32, 0, 0), (seed % 2**32, seed // 2**32 % 2**32))
    wanted = words[0] * 2**32 + words[1]
    number = torch.empty(1, dtype=torch.int64)
    _draw_bits[(1,)](torch.tensor([seed]), torch.tensor([position]), number)
    assert int(number) % 2**64 == wanted == twin.random64(seed, position)
    assert about.uniform(seed, position) == wanted / 2**64


@st.composite
def any_inputs(draw: st.DrawFn) -> dict[str, Any]:
    """Draw rows with ties, masked tokens and values of any size, and settings of all kinds."""
    rows, vocab = draw(st.integers(1, 2)), draw(st.sampled_from([1, 2, 31, 33, 64, 65, 150]))
    kind = st.sampled_from([-200.0, -1.0, -0.0, 0.0, 0.5, 2.0, 200.0, float("-inf")]) | st.floats(-20, 20, width=16)
    values = draw(st.lists(kind, min_size=3, max_size=12))
    torch.manual_seed(draw(st.integers(0, 99)))
    logits = torch.tensor(values)[torch.randint(len(values), (rows, vocab))]
    if draw(st.booleans()):
        logits += torch.randn(rows, vocab)
    setting = st.tuples(
        st.sampled_from([0.0, 1e-3, 0.7, 1.0, 30.0]),
        st.sampled_from([0, 1, 2, 30, 149, 150, 9999]),
        st.sampled_from([0.0, 1e-6, 0.3, 0.95, 1.0]),
        st.sampled_from([0.0, 1e-9, 0.05, 1.0]),
    )
    return about.make(logits, draw(st.lists(setting, min_size=rows, max_size=rows)), draw(st.integers(0, 999)))


@settings(max_examples=10)
@given(any_inputs())
def test_kernel_and_twin_draw_the_same_and_what_the_oracle_does(inputs: dict[str, Any]) -> None:
    got = twin.sample(**inputs)
    assert torch.equal(got, kernel.sample(**inputs, config=SMALL))
    assert about.error((got,), about.oracle(inputs)) == 0


def test_a_row_whose_list_does_not_suffice_is_drawn_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    inputs = about.make(torch.randn(2, 70), (about.FLOORED, (5.0, 50, 0.9, 1e-9)), 7)
    usual = kernel.sample(**inputs)
    monkeypatch.setattr(kernel, "MAX_LISTED", 16)
    assert torch.equal(kernel.sample(**inputs, config=SMALL), usual)
    assert torch.equal(twin.sample(**inputs), usual)


@BOTH
def test_a_row_does_not_depend_on_the_rows_beside_it(module: ModuleType) -> None:
    torch.manual_seed(2)
    inputs = about.make(torch.randn(5, 90) * 2, (about.PLAIN, about.NUCLEUS, about.ALL, about.GREEDY), 3)
    together = module.sample(**inputs)
    for row in (0, 1, 4):
        alone = module.sample(**{name: column[row : row + 1].clone() for name, column in inputs.items()})
        assert torch.equal(alone, together[row : row + 1])


def test_every_configuration_gives_the_same() -> None:
    torch.manual_seed(3)
    inputs = about.make(torch.randn(2, 100), (about.PLAIN, about.NUCLEUS), 3)
    usual = kernel.sample(**inputs)
    assert kernel.default(102_400) in kernel.candidates(102_400)
    for chunk, block, ways in ((32, 64, 4), (256, 128, 16)):
        config = {"CHUNK": chunk, "BLOCK": block, "WAYS": ways, "num_warps": 1}
        assert torch.equal(kernel.sample(**inputs, config=config), usual)


@pytest.mark.parametrize("vocab", [5, 4096, 102_400])
def test_the_twin_is_right_on_wide_rows(vocab: int) -> None:
    torch.manual_seed(4)
    every = (about.PLAIN, about.NUCLEUS, about.ALL)
    for logits in (20 - 1.3 * (torch.rand(3, vocab) * vocab + 1).log(), torch.randn(3, vocab).bfloat16()):
        inputs = about.make(logits, every, 11)
        assert about.error((twin.sample(**inputs),), about.oracle(inputs)) == 0


@BOTH
def test_without_temperature_or_choice_it_is_argmax(module: ModuleType) -> None:
    torch.manual_seed(5)
    logits = torch.randn(6, 120).half().round()
    for setting in (about.GREEDY, (-1.0, 0, 1.0, 0.0), (float("nan"), 0, 1.0, 0.0), (1.0, 1, 1.0, 0.0)):
        assert torch.equal(module.sample(**about.make(logits, (setting,))), logits.argmax(dim=-1))


def draws(module: ModuleType, values: list[float], setting: about.Setting, num: int) -> Tensor:
    """Return the ids that many positions get of one row."""
    logits = torch.tensor(values)[None].expand(num, -1)
    return module.sample(**about.make(logits, (setting,), 100))  # type: ignore[no-any-return]


@pytest.mark.parametrize("setting", [about.PLAIN, (0.7, 5, 1.0, 0.0), (1.5, 0, 0.8, 0.0), (2.0, 6, 0.9, 0.35)], ids=str)
def test_ids_come_as_often_as_their_probability_says(setting: about.Setting) -> None:
    """Chi-square of the twin, whose every draw is the kernel's too. 30 is far out for at most 7 degrees of freedom."""
    values = [0.3, -1.0, 1.2, 0.3, 0.0, -0.4, 1.1, -30.0]
    found = draws(twin, values, setting, DRAWS).bincount(minlength=8).double()
    wanted = (torch.tensor(values).double() / setting[0]).exp()
    wanted[~kept(values, setting)] = 0
    wanted *= DRAWS / wanted.sum()
    assert bool((found[wanted == 0] == 0).all())
    likely = wanted > 1
    assert float(((found - wanted)[likely].square() / wanted[likely]).sum()) < 30
    assert torch.equal(draws(kernel, values, setting, 3), draws(twin, values, setting, 3))


def kept(values: list[float], setting: about.Setting) -> Tensor:
    """Say which tokens transformers keeps. Shape: (vocab,)."""
    temperature, top_k, top_p, min_p = setting
    warpers: list[LogitsProcessor] = [TemperatureLogitsWarper(temperature)]
    if top_k:
        warpers.append(TopKLogitsWarper(top_k))
    warpers += [TopPLogitsWarper(top_p)] * (top_p < 1) + [MinPLogitsWarper(min_p)] * (min_p > 0)
    scores = torch.tensor([values])
    for warper in warpers:
        scores = warper(torch.zeros(1, 0, dtype=torch.int64), scores)
    return scores[0] > float("-inf")


@pytest.mark.parametrize("setting", [(1.0, 3, 1.0, 0.0), (1.0, 0, 0.6, 0.0), (1.0, 0, 1.0, 0.3), (1.5, 6, 0.8, 0.4)])
def test_what_is_kept_comes_and_nothing_else_as_in_transformers(setting: about.Setting) -> None:
    values = [0.2, 0.9, -1.0, 0.6, 1.0, 0.1, -0.3, 0.5]
    found = draws(twin, values, setting, 600).bincount(minlength=8) > 0
    assert torch.equal(found, kept(values, setting))
    assert 1 < int(found.sum()) < 8


def test_exactly_top_k_stay_of_those_that_tie() -> None:
    found = draws(twin, [1.0, 2.0, 1.0, 1.0, 1.0], (1.0, 3, 1.0, 0.0), 200)
    assert set(found.tolist()) == {0, 1, 2}
    assert set(draws(kernel, [1.0, 2.0, 1.0, 1.0, 1.0], (1.0, 3, 1.0, 0.0), 5).tolist()) <= {0, 1, 2}


@BOTH
@pytest.mark.parametrize("setting", [about.GREEDY, about.PLAIN, about.ALL, (1e30, 0, 0.5, 0.0)], ids=str)
def test_ids_are_valid_whatever_the_logits_are(module: ModuleType, setting: about.Setting) -> None:
    logits = torch.zeros(5, 40)
    logits[0] = float("nan")
    logits[1, :39] = float("nan")
    logits[2] = float("-inf")
    logits[3, 7] = float("inf")
    logits[4, 1::2] = float("nan")
    ids = module.sample(**about.make(logits, (setting,))).tolist()
    assert all(0 <= chosen < 40 for chosen in ids)
    assert (ids[1], ids[3], ids[4] % 2) == (39, 7, 0)


def test_the_check_sees_a_wrong_id() -> None:
    torch.manual_seed(6)
    inputs = about.make(torch.randn(9, 50), (about.PLAIN, about.ALL), 5)
    ids, wanted = twin.sample(**inputs), about.oracle(inputs)
    assert about.error((ids,), wanted) == 0
    assert torch.equal(ids, wanted[0])
    for wrong in (ids + 1, ids.roll(1), ids.int(), ids[:8]):
        assert about.error((wrong,), wanted) == 1


@BOTH
@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("logits", torch.zeros(2, 0), "rows of 1 to 262144"),
        ("logits", torch.zeros(2, 2**18 + 1), "got 262145"),
        ("logits", torch.zeros(4, 2).T, "side by side"),
        ("seeds", torch.zeros(3, dtype=torch.int64), "2 contiguous torch.int64 of seeds"),
        ("temperatures", torch.ones(2, dtype=torch.float64), "float32 of temperatures"),
        ("top_ks", torch.zeros(2, dtype=torch.int64), "int32 of top_ks"),
        ("min_ps", torch.zeros(4)[::2], "of min_ps"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(module: ModuleType, name: str, wrong: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module.sample(**{**about.make(torch.zeros(2, 4), (about.PLAIN,)), name: wrong})
