"""Checkpoints in the published layout: safetensors files, one tensor per expert.

A checkpoint is `model.safetensors`, or shards named by `model.safetensors.index.json`. In memory the experts of a
layer are stacked and their gate and up halves fused; `checkpoint_slots` is the one table of which is which.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .config import CheckpointError, ModelConfig, read_json_object
from .model import Deepseek

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

_MAX_LISTED = 50
_KINDS = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one tensor of the checkpoint lies in memory: a view of a parameter or buffer."""

    name: str
    view: Tensor


def load_model(model_dir: Path, config: ModelConfig) -> Deepseek:
    """Build the model and fill it from the checkpoint, as float32 in evaluation mode.

    Raises: CheckpointError that lists every missing, unexpected and misshaped tensor with its file; or every norm and
    bias that is not finite.
    """
    with torch.device("meta"):
        model = Deepseek(config)
    slots = {slot.name: slot for slot in checkpoint_slots(model)}
    files = _locate(model_dir)
    problems = _compare_names(model_dir, set(slots), files, config)
    problems += _compare_contents(slots, files)
    if problems:
        more = [f"and {len(problems) - _MAX_LISTED} more"] if len(problems) > _MAX_LISTED else []
        raise CheckpointError("\n".join(problems[:_MAX_LISTED] + more))
    _allocate(model)
    if config.tie_word_embeddings:  # each name has memory of its own by now
        model.lm_head.weight = model.model.embed_tokens.weight
    _fill({slot.name: slot for slot in checkpoint_slots(model)}, files)
    wrong = _find_no_numbers(model, files)
    if wrong:
        raise CheckpointError("\n".join(wrong[:_MAX_LISTED]))
    return model.eval().requires_grad_(False)


def _find_no_numbers(model: Deepseek, files: dict[str, Path]) -> list[str]:
    """Say which norms and biases are not finite: they cost nothing to look at, and a bias of choice never shows."""
    return [
        f"{files[slot.name]}: {slot.name}: expected finite numbers, got some that are not"
        for slot in checkpoint_slots(model)
        if slot.view.dim() == 1 and not bool(slot.view.isfinite().all())
    ]


def _allocate(model: nn.Module) -> None:
    """Give every tensor memory; torch's `to_empty` loads symbolic mathematics for that."""
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(torch.empty(parameter.shape, dtype=parameter.dtype, device="cpu")))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype, device="cpu"))


def save_model(model: Deepseek, model_dir: Path) -> None:
    """Write `model.safetensors` in the published layout."""
    tensors = {slot.name: slot.view.detach().clone().contiguous() for slot in checkpoint_slots(model)}
    model_dir.mkdir(parents=True, exist_ok=True)
    save_file(tensors, model_dir / SINGLE_FILE, metadata={"format": "pt"})


def weight_files(model_dir: Path) -> list[Path]:
    """List the files that hold the weights, by name.

    Raises: CheckpointError.
    """
    return sorted(set(_locate(model_dir).values()))


def checkpoint_slots(model: Deepseek) -> Iterator[Slot]:
    """List every tensor of the checkpoint, in the order of the layers."""
    for name, tensor in model.state_dict(keep_vars=True).items():
        stem, _, leaf = name.rpartition(".")
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        if not stem.endswith(".experts"):
            yield Slot(name, tensor)
        elif leaf == "down_proj":
            yield from (Slot(f"{stem}.{index}.down_proj.weight", expert) for index, expert in enumerate(tensor))
        else:
            for index, expert in enumerate(tensor):
                gate, up = expert.chunk(2, dim=0)
                yield Slot(f"{stem}.{index}.gate_proj.weight", gate)
                yield Slot(f"{stem}.{index}.up_proj.weight", up)


def _locate(model_dir: Path) -> dict[str, Path]:
    """Map each tensor name to its file, by the index where there is one."""
    index, single = model_dir / INDEX_FILE, model_dir / SINGLE_FILE
    if index.is_file():
        return _read_index(index)
    if not single.is_file():
        raise CheckpointError(f"{model_dir}: expected {SINGLE_FILE} or {INDEX_FILE}, found neither")
    return dict.fromkeys(_read_names(single), single)


def _read_index(index: Path) -> dict[str, Path]:
    weight_map = read_json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise CheckpointError(f"{index}: weight_map: expected an object of tensor name to file name")
    outside = sorted({shard for shard in weight_map.values() if Path(shard).name != shard or shard in ("", "..")})
    if outside:
        raise CheckpointError(f"{index}: weight_map: expected plain file names, got {', '.join(map(repr, outside))}")
    return {name: index.parent / shard for name, shard in weight_map.items()}


def _read_names(path: Path) -> set[str]:
    try:
        with safe_open(path, "pt") as opened:
            return set(opened.keys())
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file, but the index names it") from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a safetensors file: {error}") from None


def _compare_names(model_dir: Path, wanted: set[str], files: dict[str, Path], config: ModelConfig) -> list[str]:
    problems = [f"{model_dir}: missing {name}" for name in sorted(wanted - files.keys())]
    extra = sorted(name for name in files.keys() - wanted if not _is_ignored(name, config))
    return problems + [f"{files[name]}: unexpected {name}" for name in extra]


def _is_ignored(name: str, config: ModelConfig) -> bool:
    """Draft layers for speculative decoding follow the last layer; old exports also hold rope tables."""
    if name.endswith(".rotary_emb.inv_freq") or (name == "lm_head.weight" and config.tie_word_embeddings):
        return True
    found = re.match(r"model\.layers\.(\d+)\.", name)
    past = int(found[1]) - config.num_hidden_layers if found else -1
    return 0 <= past < config.num_nextn_predict_layers


def _compare_contents(slots: dict[str, Slot], files: dict[str, Path]) -> list[str]:
    problems = []
    for path in sorted(set(files.values())):
        names = {name for name, file in files.items() if file == path}
        held = _read_names(path)
        problems += [f"{path}: missing {name}, which the index places here" for name in sorted(names - held)]
        problems += _compare_shapes(path, [slots[name] for name in sorted(names & held & slots.keys())])
    return problems


def _compare_shapes(path: Path, slots: list[Slot]) -> list[str]:
    problems = []
    with safe_open(path, "pt") as opened:
        for slot in slots:
            held, wanted = opened.get_slice(slot.name), list(slot.view.shape)
            if held.get_shape() != wanted:
                problems.append(f"{path}: {slot.name}: expected shape {wanted}, got {held.get_shape()}")
            if held.get_dtype() not in _KINDS:
                problems.append(f"{path}: {slot.name}: expected one of {_KINDS}, got {held.get_dtype()} (unsupported)")
    return problems


def _fill(slots: dict[str, Slot], files: dict[str, Path]) -> None:
    with torch.no_grad():
        for path in sorted(set(files.values())):
            with safe_open(path, "pt") as opened:
                for name, slot in slots.items():
                    if files[name] == path:
                        slot.view.copy_(opened.get_tensor(name))
