"""Laws of the choice of experts. Run with TRITON_INTERPRET=1, as the kernels' other tests are."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import DeepseekV2Config, DeepseekV3Config
from transformers.models.deepseek_v2.modeling_deepseek_v2 import DeepseekV2TopkRouter
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3TopkRouter

from bench.kernels import gate as about
from headgate.inference.kernels import gate as kernel
from headgate.inference.kernels import gate_torch as twin

BOTH = pytest.mark.parametrize("module", [kernel, twin], ids=["kernel", "torch"])
CPU = torch.device("cpu")


@st.composite
def exact_inputs(draw: st.DrawFn) -> dict[str, Any]:
    """Draw gates whose scores float32 holds exactly, so that every tie is one and every choice is decided."""
    kind = draw(st.sampled_from(twin.KINDS))
    groups, size = draw(st.integers(1, 5)), draw(st.integers(2, 9))
    kept = draw(st.integers(1, groups))
    experts, tokens = groups * size, draw(st.integers(1, 3))
    values = [-1e4, 0.0, -0.0, 1e4] if kind == "sigmoid" else [-2.5, -1.0, -0.0, 0.0, 1.0]
    logits = [draw(st.lists(st.sampled_from(values), min_size=experts, max_size=experts)) for _ in range(tokens)]
    eighths = st.lists(st.integers(-8, 8), min_size=experts, max_size=experts)
    bias = draw(st.none() | eighths) if kind == "sigmoid" else None
    return {
        "logits": torch.tensor(logits),
        "bias": None if bias is None else torch.tensor(bias) / 8,
        "top_k": draw(st.integers(1, size * kept)),
        "groups": groups,
        "kept_groups": kept,
        "kind": kind,
        "is_normalised": draw(st.booleans()),
        "factor": draw(st.sampled_from([1.0, 2.5, 16.0])),
    }


@settings(max_examples=30)
@given(exact_inputs())
def test_ties_go_to_the_lower_index_among_experts_and_among_groups(inputs: dict[str, Any]) -> None:
    wanted = about.oracle(inputs)
    assert bool(wanted[2].all())
    for module in (kernel, twin):
        got = module.gate(**inputs)
        assert torch.equal(got[1], wanted[1])
        assert about.error(got, wanted) <= 1e-6


def inputs_of(model: dict[str, Any], logits: Tensor, **others: Any) -> dict[str, Any]:
    bias = torch.linspace(-0.1, 0.1, logits.shape[1]) if model["kind"] == "sigmoid" else None
    return {"logits": logits, "bias": bias, **model, **others}


MODELS = pytest.mark.parametrize(
    ("model", "experts"),
    [(about.V2_LITE, 64), (about.V2, 160), (about.V3, 256), ({**about.V3, "groups": 1, "kept_groups": 1}, 9)],
    ids=["V2-Lite", "V2", "V3", "nine experts"],
)


@BOTH
@MODELS
def test_a_row_does_not_depend_on_the_rows_beside_it(module: ModuleType, model: dict[str, Any], experts: int) -> None:
    torch.manual_seed(1)
    logits = torch.randn(7, experts) * 3
    together = module.gate(**inputs_of(model, logits))
    for row in (0, 3, 6):
        alone = module.gate(**inputs_of(model, logits[row : row + 1].clone()))
        assert all(torch.equal(one[0], many[row]) for one, many in zip(alone, together, strict=True))


@MODELS
def test_every_configuration_gives_the_same(model: dict[str, Any], experts: int) -> None:
    torch.manual_seed(2)
    inputs = inputs_of(model, torch.randn(3, experts))
    usual = kernel.gate(**inputs)
    assert kernel.default(experts, 6) in kernel.candidates(experts, 6)
    for tokens in (1, 4):
        got = kernel.gate(**inputs, config={"TOKENS": tokens, "num_warps": 1})
        assert all(torch.equal(a, b) for a, b in zip(got, usual, strict=True))


@BOTH
@MODELS
def test_ids_are_valid_whatever_the_logits_are(module: ModuleType, model: dict[str, Any], experts: int) -> None:
    logits = torch.zeros(5, experts)
    logits[0] = float("nan")
    logits[1, 1::2] = float("nan")
    logits[2, experts - 1] = float("nan")
    logits[3, 1:] = float("-inf")
    weights, ids = module.gate(**inputs_of(model, logits))
    for row in ids.tolist():
        assert len(set(row)) == model["top_k"]
        assert set(row) <= set(range(experts))
    assert ids[0].tolist() == list(range(model["top_k"]))  # alike, so by index
    assert ids[2, 0] == experts - 1
    assert bool(weights[:3].isnan().any(dim=-1).all()), "a token that is no number has to show it"
    assert bool(weights[3:].isfinite().all()), "and only such a token"


@BOTH
@pytest.mark.parametrize("name", ["greedy", "group_limited_greedy", "V3"])
def test_it_chooses_as_transformers_does(module: ModuleType, name: str) -> None:
    torch.manual_seed(5)
    numbers: dict[str, Any] = {
        "num_experts_per_tok": 4,
        "n_routed_experts": 24,
        "hidden_size": 32,
        "routed_scaling_factor": 2.5,
    }
    numbers |= {"n_group": 4, "topk_group": 2}
    router: torch.nn.Module
    if name == "V3":
        router = DeepseekV3TopkRouter(DeepseekV3Config(**numbers, norm_topk_prob=True))
        router.e_score_correction_bias = torch.nn.Buffer(torch.randn(24) * 0.2)
        settings = {**about.V3, "groups": 4, "kept_groups": 2, "bias": router.e_score_correction_bias}
    else:
        router = DeepseekV2TopkRouter(DeepseekV2Config(**numbers, topk_method=name))
        kept = {"groups": 4, "kept_groups": 2 if name == "group_limited_greedy" else 4}
        settings = {**about.V2_LITE, **kept, "factor": 2.5, "bias": None}
    x = torch.randn(9, 32)
    router.weight = torch.nn.Parameter(torch.randn(24, 32) / 4)
    logits, weights, ids = (found.detach() for found in router(x))
    got_weights, got_ids = module.gate(logits, **{**settings, "top_k": 4})
    assert torch.equal(got_ids.sort().values, ids.sort().values.int())
    wanted = torch.zeros(9, 24).scatter(1, ids, weights)
    torch.testing.assert_close(torch.zeros(9, 24).scatter(1, got_ids.long(), got_weights), wanted, rtol=1e-6, atol=0)


def test_gradients_flow_through_the_weights_of_the_twin() -> None:
    logits = torch.randn(3, 8, requires_grad=True)
    weights, ids = twin.gate(logits, torch.ones(8), 2, 4, 2, kind="sigmoid", is_normalised=True, factor=2.5)
    (slope,) = torch.autograd.grad(weights[:, 0].sum(), logits)
    assert torch.equal(slope != 0, torch.zeros(3, 8, dtype=torch.bool).scatter(1, ids.long(), True))


@BOTH
def test_a_saturated_sigmoid_ties(module: ModuleType) -> None:
    logits = torch.linspace(20, 36, 32)[None]  # all 1 in float32
    weights, ids = module.gate(logits, None, 8, 4, 2, kind="sigmoid", is_normalised=True, factor=2.5)
    assert ids.tolist() == [list(range(8))]
    assert torch.equal(weights, torch.full((1, 8), 2.5 / 8))


@BOTH
def test_what_float64_tells_apart_is_chosen_alike(module: ModuleType) -> None:
    """The oracle skips tokens whose choice rounding may turn: here hardly any, so it does check something."""
    torch.manual_seed(3)
    inputs = about.make_inputs(CPU, torch.float32, 12 if module is kernel else 200, 256, about.V3)
    wanted = about.oracle(inputs)
    assert wanted[2].double().mean() > 0.9
    assert about.error(module.gate(**inputs), wanted) <= 1e-6


def test_what_is_timed_is_chosen_alike_by_all() -> None:
    """There the kernel is held to its twin, which rounds in another way."""
    for shape in about.shapes():
        if "64 x" in shape.name:
            assert bool(about.oracle(shape.make(CPU, shape.dtype))[2].all())


def test_the_check_sees_a_wrong_expert_and_a_wrong_weight() -> None:
    torch.manual_seed(4)
    inputs = about.make_inputs(CPU, torch.float32, 4, 64, about.V3)
    weights, ids = twin.gate(**inputs)
    wanted = about.oracle(inputs)
    assert about.error((weights, ids), wanted) <= 1e-6
    assert about.error((weights * (1 + 3e-6), ids), wanted) > 1e-6
    for wrong in (ids.flip(1), ids.roll(1, 0), ids * 0, ids.long()):
        assert about.error((weights, wrong), wanted) == float("inf")
    assert about.error((weights * float("nan"), ids), wanted) == float("inf")


@BOTH
@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"kind": "relu"}, "kind of gate"),
        ({"bias": torch.zeros(12), "kind": "softmax"}, "no bias"),
        ({"groups": 5}, "equal groups"),
        ({"kept_groups": 4}, "equal groups"),
        ({"top_k": 9}, "1 to 8 experts"),
        ({"top_k": 0}, "1 to 8 experts"),
        ({"groups": 12}, "at least 2"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(module: ModuleType, others: dict[str, Any], message: str) -> None:
    inputs = {**about.V3, "groups": 3, "kept_groups": 2, "top_k": 2, "bias": None, **others}
    with pytest.raises(ValueError, match=message):
        module.gate(torch.zeros(1, 12), **inputs)


def test_more_experts_than_a_program_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 1024 experts, got 1025"):
        kernel.gate(torch.zeros(1, 1025), None, **about.V2_LITE)
