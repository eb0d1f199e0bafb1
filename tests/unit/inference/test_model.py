"""The forward pass against transformers' models of DeepSeek V3 and V2, on perturbed tiny checkpoints."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV3Config, DeepseekV3ForCausalLM

from headgate.inference.cache import LatentCache
from headgate.inference.config import CheckpointError, parse_config, read_config
from headgate.inference.model import Deepseek
from headgate.inference.weights import load_model, save_model

BASE: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "moe_intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "n_shared_experts": 1,
    "n_routed_experts": 8,
    "routed_scaling_factor": 2.5,
    "kv_lora_rank": 32,
    "q_lora_rank": 48,
    "qk_rope_head_dim": 16,
    "v_head_dim": 16,
    "qk_nope_head_dim": 16,
    "n_group": 4,
    "topk_group": 2,
    "num_experts_per_tok": 2,
    "first_k_dense_replace": 1,
    "norm_topk_prob": True,
    "max_position_embeddings": 512,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": None,
}
_YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 128}

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "yarn": {"rope_parameters": {**_YARN, "mscale": 1.0, "mscale_all_dim": 1.0, "beta_fast": 32, "beta_slow": 1}},
    "yarn-unequal-mscale": {"rope_parameters": {**_YARN, "mscale": 0.7, "mscale_all_dim": 1.3, "beta_fast": 8}},
    "yarn-without-mscale": {"rope_parameters": {**_YARN, "truncate": False}},
    "yarn-attention-factor": {"rope_parameters": {**_YARN, "attention_factor": 1.1, "mscale_all_dim": 0.5}},
    "one-group": {"n_group": 1, "topk_group": 1},
    "all-groups-kept": {"topk_group": 4, "num_experts_per_tok": 5},
    "no-q-lora": {"q_lora_rank": None},
    "weights-not-normalised": {"norm_topk_prob": False, "routed_scaling_factor": 1.0},
    "two-shared-experts": {"n_shared_experts": 2},
    "dense-only": {"first_k_dense_replace": 3},
    "sparse-only": {"first_k_dense_replace": 0},
    "halves-rotated": {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}, "rope_interleave": False},
    "tied-biased-large-eps": {"tie_word_embeddings": True, "attention_bias": True, "rms_norm_eps": 1e-3},
    "uneven-heads": {"qk_nope_head_dim": 24, "v_head_dim": 8, "num_attention_heads": 3, "num_key_value_heads": 3},
}

_V2 = {
    "model_type": "deepseek_v2",
    "q_lora_rank": None,
    "n_shared_experts": 2,
    "norm_topk_prob": False,
    "routed_scaling_factor": 1.0,
    "topk_method": "greedy",
    "n_group": None,
    "topk_group": None,
}
_LIMITED = {"topk_method": "group_limited_greedy", "n_group": 4, "topk_group": 2, "routed_scaling_factor": 16.0}
VARIANTS |= {
    "v2": _V2,
    "v2-yarn": {**_V2, "rope_parameters": {**_YARN, "mscale": 0.707, "mscale_all_dim": 0.707}},
    "v2-groups": {**_V2, **_LIMITED, "q_lora_rank": 48},
    "v2-lone-experts": {**_V2, **_LIMITED, "n_group": 8, "topk_group": 5, "num_experts_per_tok": 3},
}

TOLERANCE = 1e-4


def _write_peer(path: Path, variant: dict[str, Any]) -> Any:
    """Save a model whose norms, biases and correction biases all matter: at their defaults errors would hide."""
    generator = torch.Generator().manual_seed(7)
    fields = {**BASE, **variant}
    # The peer's package is not typed.
    of_v3: Any = DeepseekV3ForCausalLM
    of_v2: Any = DeepseekV2ForCausalLM
    if fields.pop("model_type", "deepseek_v3") == "deepseek_v2":
        peer = of_v2(DeepseekV2Config(**fields)).eval()
    else:
        peer = of_v3(DeepseekV3Config(**fields)).eval()

    def noise(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator)

    with torch.no_grad():
        for name, parameter in peer.named_parameters():
            if "norm" in name:
                parameter.add_(0.2 * noise(parameter))
            elif name.endswith(".bias"):
                parameter.copy_(0.1 * noise(parameter))
            else:
                # Three times the usual spread of 0.02.
                parameter.copy_(0.06 * noise(parameter))
        for name, buffer in peer.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.copy_(0.1 * noise(buffer))
    peer.save_pretrained(path)
    return peer


@pytest.fixture(scope="module", params=list(VARIANTS.values()), ids=list(VARIANTS))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Deepseek]:
    path = tmp_path_factory.mktemp("peer")
    peer = _write_peer(path, request.param)
    return peer, load_model(path, read_config(path))


def _ids(*shape: int) -> Tensor:
    return torch.randint(0, BASE["vocab_size"], shape, generator=torch.Generator().manual_seed(11))


def _peer_logits(peer: Any, ids: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = peer(ids).logits
    return logits


def test_prefill_logits_equal_the_peers(pair: tuple[Any, Deepseek]) -> None:
    peer, ours = pair
    ids = _ids(2, 150)
    expected = _peer_logits(peer, ids)
    assert expected.std() > 0.1
    torch.testing.assert_close(ours(ids), expected, rtol=0, atol=TOLERANCE)


def test_cached_logits_equal_the_peers(pair: tuple[Any, Deepseek]) -> None:
    peer, ours = pair
    ids = _ids(2, 60)
    cache = LatentCache(ours.config, capacity=60, num_sequences=2)
    bounds = [0, 17, 30, *range(31, 61)]
    parts = []
    for start, end in pairwise(bounds):
        new = ids[:, start:end]
        parts.append(ours(new.flatten(), cache.extend([end - start] * 2)).view(2, end - start, -1))
    torch.testing.assert_close(torch.cat(parts, dim=1), _peer_logits(peer, ids), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("variant", ["plain", "yarn", "no-q-lora", "v2", "v2-yarn", "v2-groups"])
def test_greedy_cached_steps_equal_full_recompute(tmp_path: Path, variant: str) -> None:
    peer = _write_peer(tmp_path, VARIANTS[variant])
    ours = load_model(tmp_path, read_config(tmp_path))
    ids = _ids(1, 9)
    cache = LatentCache(ours.config, capacity=9 + 64)
    logits = ours(ids[0], cache.extend([9]), is_last_only=True)
    for _ in range(64):
        recomputed = ours(ids)[:, -1]
        torch.testing.assert_close(logits, recomputed, rtol=0, atol=TOLERANCE)
        token = logits.argmax(dim=-1)
        assert token == recomputed.argmax(dim=-1) == _peer_logits(peer, ids)[:, -1].argmax(dim=-1)
        ids = torch.cat((ids, token[None]), dim=1)
        logits = ours(token, cache.extend([1]), is_last_only=True)


def test_older_config_file_gives_the_peers_logits(tmp_path: Path) -> None:
    peer = _write_peer(tmp_path, VARIANTS["yarn"])
    config = orjson.loads((tmp_path / "config.json").read_bytes())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = {**rope, "type": rope.pop("rope_type")}
    (tmp_path / "config.json").write_bytes(orjson.dumps(config))
    ids = _ids(1, 40)
    ours = load_model(tmp_path, read_config(tmp_path))
    torch.testing.assert_close(ours(ids), _peer_logits(peer, ids), rtol=0, atol=TOLERANCE)


def test_second_version_has_no_correction_bias(tmp_path: Path) -> None:
    _write_peer(tmp_path, _V2)
    tensors = load_file(tmp_path / "model.safetensors")
    bias = "model.layers.1.mlp.gate.e_score_correction_bias"
    assert bias not in tensors
    save_model(load_model(tmp_path, read_config(tmp_path)), tmp_path / "again")
    assert load_file(tmp_path / "again" / "model.safetensors").keys() == tensors.keys()
    save_file({**tensors, bias: torch.zeros(8)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=f"unexpected {bias}"):
        load_model(tmp_path, read_config(tmp_path))


def test_correction_bias_decides_which_experts_run(tmp_path: Path) -> None:
    _write_peer(tmp_path, {})
    ours = load_model(tmp_path, read_config(tmp_path))
    ids = _ids(1, 40)
    before = ours(ids)
    for name, buffer in ours.named_buffers():
        assert name.endswith("e_score_correction_bias")
        buffer.zero_()
    assert (ours(ids) - before).abs().max() > 100 * TOLERANCE


@pytest.mark.parametrize("variant", [{"model_type": "deepseek_v3"}, _V2], ids=["v3", "v2"])
def test_training_reaches_every_parameter(variant: dict[str, Any]) -> None:
    ours = Deepseek(parse_config({**BASE, **variant}))
    ours.init_weights(seed=1)
    ours(_ids(4, 64)).logsumexp(dim=-1).sum().backward()
    without = [name for name, value in ours.named_parameters() if value.grad is None or not value.grad.any()]
    assert without == []


def test_initial_weights_depend_on_the_seed_alone() -> None:
    config = parse_config({**BASE, "model_type": "deepseek_v3"})
    models = [Deepseek(config) for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        model.init_weights(seed)
    first, same, other = (model.state_dict() for model in models)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])
