"""config.json: both generations of it, and every refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from headgate.inference.config import CheckpointError, parse_config, read_config

# The published file of DeepSeek-V3, without its quantisation.
PUBLISHED: dict[str, Any] = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "aux_loss_alpha": 0.001,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "ep_size": 1,
    "first_k_dense_replace": 3,
    "hidden_act": "silu",
    "hidden_size": 7168,
    "initializer_range": 0.02,
    "intermediate_size": 18432,
    "kv_lora_rank": 512,
    "max_position_embeddings": 163840,
    "model_type": "deepseek_v3",
    "moe_intermediate_size": 2048,
    "moe_layer_freq": 1,
    "n_group": 8,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "num_attention_heads": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 61,
    "num_key_value_heads": 128,
    "num_nextn_predict_layers": 1,
    "pretraining_tp": 1,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "rms_norm_eps": 1e-06,
    "rope_scaling": {
        "beta_fast": 32,
        "beta_slow": 1,
        "factor": 40,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 4096,
        "type": "yarn",
    },
    "rope_theta": 10000,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "seq_aux": True,
    "tie_word_embeddings": False,
    "topk_group": 4,
    "topk_method": "noaux_tc",
    "torch_dtype": "bfloat16",
    "transformers_version": "4.33.1",
    "use_cache": True,
    "v_head_dim": 128,
    "vocab_size": 129280,
}


def test_published_config_is_understood() -> None:
    config = parse_config(PUBLISHED)
    assert (config.hidden_size, config.num_hidden_layers, config.qk_head_dim) == (7168, 61, 192)
    assert (config.rope.factor, config.rope.original_positions, config.rope.mscale_all_dim) == (40.0, 4096, 1.0)
    assert config.eos_token_ids == (1,)
    assert [config.is_sparse(layer) for layer in (2, 3)] == [False, True]


def test_both_generations_of_rope_fields_mean_the_same() -> None:
    scaling = PUBLISHED["rope_scaling"]
    newer = {name: value for name, value in PUBLISHED.items() if not name.startswith("rope_")}
    parameters = {name: value for name, value in scaling.items() if name != "type"}
    newer["rope_parameters"] = {**parameters, "rope_type": "yarn", "rope_theta": 10000.0}
    newer["rope_interleave"] = True
    assert parse_config(newer) == parse_config(PUBLISHED)


# What the published file of DeepSeek-V2-Lite says otherwise.
V2_LITE: dict[str, Any] = {
    **{name: value for name, value in PUBLISHED.items() if name != "num_nextn_predict_layers"},
    "architectures": ["DeepseekV2ForCausalLM"],
    "bos_token_id": 100000,
    "eos_token_id": 100001,
    "first_k_dense_replace": 1,
    "hidden_size": 2048,
    "intermediate_size": 10944,
    "model_type": "deepseek_v2",
    "moe_intermediate_size": 1408,
    "n_group": 1,
    "n_routed_experts": 64,
    "n_shared_experts": 2,
    "norm_topk_prob": False,
    "num_attention_heads": 16,
    "num_experts_per_tok": 6,
    "num_hidden_layers": 27,
    "num_key_value_heads": 16,
    "q_lora_rank": None,
    "rope_scaling": {**PUBLISHED["rope_scaling"], "mscale": 0.707, "mscale_all_dim": 0.707},
    "routed_scaling_factor": 1.0,
    "scoring_func": "softmax",
    "topk_group": 1,
    "topk_method": "greedy",
    "vocab_size": 102400,
}


def test_published_config_of_the_second_version_is_understood() -> None:
    config = parse_config(V2_LITE)
    assert (config.scoring_func, config.q_lora_rank, config.norm_topk_prob) == ("softmax", None, False)
    assert (config.n_group, config.topk_group, config.num_experts_per_tok) == (1, 1, 6)
    limited = parse_config({**V2_LITE, "topk_method": "group_limited_greedy", "n_group": 8, "topk_group": 3})
    assert (limited.n_group, limited.topk_group) == (8, 3)


def test_greedy_choice_does_not_look_at_groups() -> None:
    assert parse_config({**V2_LITE, "n_group": 7, "topk_group": None}) == parse_config(V2_LITE)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"scoring_func": "sigmoid"}, 'scoring_func: expected "softmax", got "sigmoid" (unsupported)'),
        ({"topk_method": "noaux_tc"}, 'topk_method: expected "greedy" or "group_limited_greedy", got "noaux_tc"'),
        ({"norm_topk_prob": True}, "norm_topk_prob: expected false, got true (unsupported)"),
        ({"mlp_bias": True}, "mlp_bias: expected false, got true (unsupported)"),
        ({"topk_method": "group_limited_greedy", "n_group": None}, "n_group: expected a whole number"),
    ],
)
def test_what_the_second_version_does_not_have_is_refused(change: dict[str, object], problem: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        parse_config({**V2_LITE, **change}, "x/config.json")
    assert f"x/config.json: {problem}" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"model_type": "llama"}, 'model_type: expected "deepseek_v3" or "deepseek_v2", got "llama" (unsupported)'),
        ({"hidden_act": "gelu"}, 'hidden_act: expected "silu", got "gelu" (unsupported)'),
        ({"scoring_func": "softmax"}, 'scoring_func: expected "sigmoid", got "softmax" (unsupported)'),
        ({"topk_method": "greedy"}, 'topk_method: expected "noaux_tc", got "greedy" (unsupported)'),
        ({"moe_layer_freq": 2}, "moe_layer_freq: expected 1, got 2 (unsupported)"),
        ({"quantization_config": {"quant_method": "fp8"}}, "quantization_config: expected absent"),
        ({"num_key_value_heads": 8}, "num_key_value_heads: expected num_attention_heads (128), got 8"),
        ({"rope_scaling": {"type": "linear", "factor": 2}}, "rope_scaling.rope_type: expected"),
        ({"rope_scaling": {"type": "yarn"}}, "rope_scaling.factor: expected a number above 0, got nothing"),
        ({"rope_scaling": 7}, "rope_scaling: expected an object, got int"),
        ({"hidden_size": None}, "hidden_size: expected a whole number of at least 1, got nothing"),
        ({"hidden_size": "7168"}, "hidden_size: expected a whole number of at least 1, got '7168'"),
        ({"vocab_size": 262145}, "vocab_size: expected at most 262144, got 262145"),
        ({"hidden_size": 2**62}, f"hidden_size: expected at most 262144, got {2**62}"),
        ({"num_hidden_layers": 100_000}, "num_hidden_layers: expected at most 1000, got 100000"),
        ({"rope_theta": 1}, "rope_scaling.rope_theta: expected above 1 to be stretched by YaRN, got 1.0"),
        ({"vocab_size": True}, "vocab_size: expected a whole number of at least 1, got True"),
        ({"rms_norm_eps": -1.0}, "rms_norm_eps: expected a number above 0, got -1.0"),
        ({"norm_topk_prob": "yes"}, "norm_topk_prob: expected true or false, got 'yes'"),
        ({"eos_token_id": "1"}, "eos_token_id: expected an id or a list of ids, got '1'"),
        ({"eos_token_id": 129280}, "eos_token_id: expected ids below vocab_size 129280"),
        ({"qk_rope_head_dim": 63}, "qk_rope_head_dim: expected an even number, got 63"),
        ({"n_group": 7}, "n_group: expected a divisor of n_routed_experts (256)"),
        ({"n_group": 256}, "n_group: expected a divisor of n_routed_experts (256)"),
        ({"topk_group": 9}, "topk_group: expected at most n_group (8), got 9"),
        ({"num_experts_per_tok": 129}, "num_experts_per_tok: expected at most topk_group times the experts"),
    ],
)
def test_wrong_field_is_named_with_what_was_wanted(change: dict[str, object], problem: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        parse_config({**PUBLISHED, **change}, "x/config.json")
    assert f"x/config.json: {problem}" in str(caught.value)


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(CheckpointError) as caught:
        parse_config({**PUBLISHED, "hidden_act": "gelu", "hidden_size": 0, "scoring_func": "softmax"})
    assert len(str(caught.value).splitlines()) == 3


def test_wrong_end_tokens_are_said_of_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(orjson.dumps(PUBLISHED))
    (tmp_path / "generation_config.json").write_bytes(orjson.dumps({"eos_token_id": [1, 200_000]}))
    with pytest.raises(CheckpointError) as caught:
        read_config(tmp_path)
    wanted = "eos_token_id: expected ids below vocab_size 129280, got [1, 200000]"
    assert str(caught.value) == f"{tmp_path / 'generation_config.json'}: {wanted}"


@pytest.mark.parametrize(("text", "problem"), [("{", "not valid JSON"), ("[]", "expected a JSON object, got list")])
def test_broken_file_is_named(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=problem):
        read_config(tmp_path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json: no such file"):
        read_config(tmp_path)


def test_generation_config_decides_what_ends_a_text(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(orjson.dumps(PUBLISHED))
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [1, 7]}')
    assert read_config(tmp_path).eos_token_ids == (1, 7)
