"""The tokenizer of a trained model: byte-level BPE over its corpus, with a chat template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from .corpus import Entry

BEGIN, END, PAD, USER, ASSISTANT = "<|begin|>", "<|end|>", "<|pad|>", "<|user|>", "<|assistant|>"

# So small a model knows single questions only: the template reads the last user message, without its case.
CHAT_TEMPLATE = (
    "{%- set ns = namespace(question='') -%}"
    "{%- for message in messages if message['role'] == 'user' -%}"
    "{%- set ns.question = message['content'] -%}"
    "{%- endfor -%}"
    "{{- bos_token + '<|user|> ' + (ns.question | trim | lower) -}}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


def train_tokenizer(entries: Sequence[Entry], vocab_size: int) -> tokenizers.Tokenizer:
    """Learn the merges from answers and questions; the special tokens get the ids from 0 on."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[BEGIN, END, PAD, USER, ASSISTANT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(_texts(entries), trainer)
    return backend


def write_tokenizer(backend: tokenizers.Tokenizer, model_dir: Path, max_tokens: int) -> None:
    """Write tokenizer.json and tokenizer_config.json, which holds the chat template."""
    backend.save(str(model_dir / "tokenizer.json"))
    settings = {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": BEGIN,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": END,
        "model_max_length": max_tokens,
        "pad_token": PAD,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    (model_dir / "tokenizer_config.json").write_bytes(orjson.dumps(settings, option=orjson.OPT_INDENT_2) + b"\n")


def _texts(entries: Sequence[Entry]) -> list[str]:
    """Answers both ways a model sees them; questions as the chat template gives them."""
    texts = [f" {question.lower()}" for entry in entries for question in entry.questions]
    texts += [text for entry in entries for text in (entry.answer, f" {entry.answer}")]
    return texts
