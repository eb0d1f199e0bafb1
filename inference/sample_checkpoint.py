"""A tiny checkpoint with random weights, complete in the published layout: for trials and tests.

It speaks gibberish, mostly in ASCII letters or in the bytes of a text, at some hundred tokens a second.
"""

from __future__ import annotations

from pathlib import Path

import orjson
import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers

from .config import parse_config
from .model import Deepseek
from .weights import save_model

_SPECIAL = ("<|bos|>", "<|eos|>", "<|user|>", "<|assistant|>")
_TEMPLATE = """{{ bos_token }}{% for message in messages %}
{% if message.role == 'assistant' %}<|assistant|>{% elif message.role == 'user' %}<|user|>{% endif %}
{{ message.content }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"""


def write_sample_checkpoint(
    model_dir: Path,
    *,
    seed: int = 0,
    context_tokens: int = 2048,
    has_end: bool = True,
    hidden_size: int = 64,
    favoured: str = "",
) -> None:
    """Write the files of one model. Without `has_end` no token ends a text, so each one runs to max_tokens.

    The bytes of `favoured` come often and in any order: of letters beyond ASCII they make whole ones and broken ones.
    """
    model_dir.mkdir(parents=True, exist_ok=True)
    tokenizer = _byte_tokenizer()
    shape = _shape(tokenizer.get_vocab_size(), context_tokens, hidden_size)
    bos, eos, *_ = (tokenizer.token_to_id(token) for token in _SPECIAL)
    shape |= {"bos_token_id": bos, "eos_token_id": eos if has_end else None}
    model = Deepseek(parse_config(shape))
    model.init_weights(seed, std=0.1)
    with torch.no_grad():
        # Rows of zero: bytes that are no letters, and special tokens, stay possible but rare.
        rows = sorted(set(tokenizer.encode(favoured).ids)) if favoured else list(range(128))
        kept = model.lm_head.weight[rows] * (8.0 if favoured else 4.0)
        model.lm_head.weight.zero_()
        model.lm_head.weight[rows] = kept
    save_model(model, model_dir)
    tokenizer.save(str(model_dir / "tokenizer.json"))
    settings = {"bos_token": _SPECIAL[0], "eos_token": _SPECIAL[1], "add_bos_token": True}
    (model_dir / "config.json").write_bytes(orjson.dumps(shape, option=orjson.OPT_INDENT_2))
    (model_dir / "tokenizer_config.json").write_bytes(orjson.dumps(settings, option=orjson.OPT_INDENT_2))
    (model_dir / "chat_template.jinja").write_text(_TEMPLATE, "utf-8")


def _byte_tokenizer() -> tokenizers.Tokenizer:
    """Make a tokenizer of one token a byte, ASCII bytes first."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet(), key=lambda letter: (not letter.isascii(), letter))
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(_SPECIAL))
    return tokenizer


def _shape(vocab_size: int, context_tokens: int, hidden_size: int) -> dict[str, object]:
    return {
        "architectures": ["DeepseekV3ForCausalLM"],
        "model_type": "deepseek_v3",
        "vocab_size": vocab_size,
        "hidden_size": hidden_size,
        "intermediate_size": 2 * hidden_size,
        "moe_intermediate_size": hidden_size // 2,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "n_shared_experts": 1,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_group": 2,
        "topk_group": 1,
        "routed_scaling_factor": 2.5,
        "norm_topk_prob": True,
        "first_k_dense_replace": 1,
        "q_lora_rank": 48,
        "kv_lora_rank": 32,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 16,
        "v_head_dim": 16,
        "max_position_embeddings": context_tokens,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
    }
