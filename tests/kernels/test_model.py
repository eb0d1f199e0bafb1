"""The whole forward pass with every operation a kernel, interpreted, beside the same with torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from headgate.inference.cache import LatentCache
from headgate.inference.config import parse_config
from headgate.inference.model import Deepseek
from headgate.inference.ops import Ops
from headgate.inference.sampler import Sampling, choose_token

V3: dict[str, Any] = {
    "model_type": "deepseek_v3",
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "moe_intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "n_shared_experts": 1,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 2,
    "topk_group": 1,
    "routed_scaling_factor": 2.5,
    "first_k_dense_replace": 1,
    "q_lora_rank": 24,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 16,
    "v_head_dim": 16,
    "max_position_embeddings": 64,
}
V2 = {**V3, "model_type": "deepseek_v2", "topk_method": "greedy", "q_lora_rank": None, "norm_topk_prob": False}
NEAR = 1e-5


@pytest.mark.parametrize("fields", [V2, V3], ids=["v2", "v3"])
def test_kernels_give_the_logits_and_tokens_of_torch(fields: dict[str, Any]) -> None:
    """A prefill, one behind a prefix beside a decode, and decodes of two sequences of unequal length."""
    config = parse_config(fields)
    models = [Deepseek(config, ops).eval() for ops in (Ops("torch"), Ops("triton"))]
    for model in models:
        model.init_weights(seed=3, std=0.3)
    caches = [LatentCache(config, capacity=40, num_sequences=2) for _ in models]
    ids = torch.arange(50) * 7 % config.vocab_size
    with torch.inference_mode():
        for counts in ([3, 18], [1, 5], [1, 1]):
            new = ids[: sum(counts)]
            results = [model(new, cache.extend(counts)) for model, cache in zip(models, caches, strict=True)]
            torch.testing.assert_close(results[1], results[0], rtol=0, atol=NEAR * float(results[0].abs().max()))
        for sampling in (Sampling(0.0), Sampling(0.9, 0.8, seed=5)):
            drawn = {choose_token(model.ops, results[0][1], sampling, 24) for model in models}
            assert len(drawn) == 1
