"""The sizes of the demo models and how long each one is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tokenizers

from .vocabulary import BEGIN, END, PAD


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides the outcome of a training run, beside corpus and seed.

    `sharpness` scales the logits of the finished model: the API draws at temperature 1 where nothing else is asked,
    and a model that knows its answers by heart should seldom leave them then.
    """

    vocab_size: int
    shape: dict[str, int | None]
    steps: int
    peak_rate: float
    batch_tokens: int = 2048
    warm_up_steps: int = 100
    weight_decay: float = 0.05
    init_std: float = 0.04
    balance_rate: float = 0.002
    sharpness: float = 2.5


RECIPES = {
    "heavy": Recipe(
        vocab_size=1536,
        shape={
            "hidden_size": 160,
            "intermediate_size": 320,
            "moe_intermediate_size": 64,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "n_routed_experts": 8,
            "num_experts_per_tok": 2,
            "q_lora_rank": None,
            "kv_lora_rank": 48,
            "qk_nope_head_dim": 24,
            "qk_rope_head_dim": 16,
            "v_head_dim": 32,
        },
        steps=1400,
        peak_rate=3e-3,
    ),
    "lite": Recipe(
        vocab_size=1024,
        shape={
            "hidden_size": 96,
            "intermediate_size": 192,
            "moe_intermediate_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "n_routed_experts": 8,
            "num_experts_per_tok": 2,
            "q_lora_rank": None,
            "kv_lora_rank": 32,
            "qk_nope_head_dim": 16,
            "qk_rope_head_dim": 8,
            "v_head_dim": 24,
        },
        steps=3000,
        peak_rate=4e-3,
    ),
}


def checkpoint_config(recipe: Recipe, backend: tokenizers.Tokenizer) -> dict[str, Any]:
    """Give the config.json of this size, in the fields of published DeepSeek-V3 checkpoints."""
    return {
        "architectures": ["DeepseekV3ForCausalLM"],
        "model_type": "deepseek_v3",
        "vocab_size": backend.get_vocab_size(),
        **recipe.shape,
        "num_key_value_heads": recipe.shape["num_attention_heads"],
        "n_shared_experts": 1,
        "n_group": 1,
        "topk_group": 1,
        "first_k_dense_replace": 1,
        "moe_layer_freq": 1,
        "norm_topk_prob": True,
        "routed_scaling_factor": 1.0,
        "scoring_func": "sigmoid",
        "topk_method": "noaux_tc",
        "hidden_act": "silu",
        "rms_norm_eps": 1e-06,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": recipe.init_std,
        "max_position_embeddings": 1024,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "bos_token_id": backend.token_to_id(BEGIN),
        "eos_token_id": backend.token_to_id(END),
        "pad_token_id": backend.token_to_id(PAD),
    }
