"""The folder of a trained model, in the layout of published checkpoints."""

from __future__ import annotations

import copy
from pathlib import Path

import orjson
import torch

from ..weights import save_model
from .loop import Trained
from .vocabulary import write_tokenizer


def write_checkpoint(trained: Trained, model_dir: Path) -> None:
    """Write config.json, generation_config.json, the tokenizer, and the weights as bfloat16."""
    save_model(copy.deepcopy(trained.model).to(torch.bfloat16), model_dir)
    config = trained.config
    write_json(model_dir / "config.json", config)
    ids = {name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    write_json(model_dir / "generation_config.json", {**ids, "do_sample": False})
    write_tokenizer(trained.backend, model_dir, config["max_position_embeddings"])


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON."""
    path.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
