"""Checkpoint files: sharded or single, and every way they can be wrong."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from headgate.inference.config import CheckpointError, read_config
from headgate.inference.model import Deepseek
from headgate.inference.sample_checkpoint import write_sample_checkpoint
from headgate.inference.weights import load_model, save_model, weight_files

FILE = "model.safetensors"
INDEX = "model.safetensors.index.json"
IDS = torch.arange(40)[None]


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    write_sample_checkpoint(tmp_path)
    return tmp_path


def _load(path: Path) -> Deepseek:
    return load_model(path, read_config(path))


def _rewrite(path: Path, change: dict[str, Tensor | None]) -> None:
    """Put tensors into the file, or take out those given as None."""
    tensors = {**load_file(path / FILE), **change}
    save_file({name: value for name, value in tensors.items() if value is not None}, path / FILE)


def _problems(path: Path) -> list[str]:
    with pytest.raises(CheckpointError) as caught:
        _load(path)
    return str(caught.value).splitlines()


def test_saved_model_loads_bit_for_bit(model_dir: Path, tmp_path: Path) -> None:
    model = _load(model_dir)
    save_model(model, tmp_path / "again")
    assert (tmp_path / "again" / FILE).read_bytes() == (model_dir / FILE).read_bytes()


def test_experts_lie_one_by_one_in_the_file(model_dir: Path) -> None:
    names = load_file(model_dir / FILE).keys()
    assert "model.layers.1.mlp.experts.3.gate_proj.weight" in names
    assert not [name for name in names if "gate_up_proj" in name]


def test_shards_load_as_one_file_does(model_dir: Path) -> None:
    expected = _load(model_dir)(IDS)
    tensors = load_file(model_dir / FILE)
    (model_dir / FILE).unlink()
    shards = {name: f"model-0000{1 + at % 3}-of-00003.safetensors" for at, name in enumerate(tensors)}
    for shard in set(shards.values()):
        save_file({name: value for name, value in tensors.items() if shards[name] == shard}, model_dir / shard)
    (model_dir / INDEX).write_bytes(orjson.dumps({"metadata": {}, "weight_map": shards}))
    assert weight_files(model_dir) == sorted(model_dir / shard for shard in set(shards.values()))
    assert torch.equal(_load(model_dir)(IDS), expected)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_files_load_as_float32(model_dir: Path, kind: torch.dtype) -> None:
    halves = {name: value.to(kind) for name, value in load_file(model_dir / FILE).items()}
    save_file(halves, model_dir / FILE)
    logits = _load(model_dir)(IDS)
    save_file({name: value.float() for name, value in halves.items()}, model_dir / FILE)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, _load(model_dir)(IDS))


def test_every_wrong_tensor_is_reported_at_once(model_dir: Path) -> None:
    norm, gate = "model.norm.weight", "model.layers.1.mlp.experts.0.up_proj.weight"
    codes = torch.zeros(32, 64, dtype=torch.int8)
    extra = torch.zeros(2)
    _rewrite(model_dir, {"lm_head.weight": None, norm: torch.zeros(63), gate: codes, "model.extra.weight": extra})
    file = model_dir / FILE
    assert _problems(model_dir) == [
        f"{model_dir}: missing lm_head.weight",
        f"{file}: unexpected model.extra.weight",
        f"{file}: {gate}: expected one of ('F64', 'F32', 'F16', 'BF16'), got I8 (unsupported)",
        f"{file}: {norm}: expected shape [64], got [63]",
    ]


def test_a_long_list_of_problems_is_cut(model_dir: Path) -> None:
    _rewrite(model_dir, {f"extra.{at}": torch.zeros(1) for at in range(60)})
    problems = _problems(model_dir)
    assert len(problems) == 51
    assert problems[-1] == "and 10 more"


def test_draft_layers_and_rope_tables_are_left_out(model_dir: Path) -> None:
    config = orjson.loads((model_dir / "config.json").read_bytes())
    (model_dir / "config.json").write_bytes(orjson.dumps({**config, "num_nextn_predict_layers": 1}))
    table = "model.layers.0.self_attn.rotary_emb.inv_freq"
    _rewrite(model_dir, {"model.layers.2.eh_proj.weight": torch.zeros(1), table: torch.zeros(8)})
    _load(model_dir)
    _rewrite(model_dir, {"model.layers.3.eh_proj.weight": torch.zeros(1)})
    assert _problems(model_dir) == [f"{model_dir / FILE}: unexpected model.layers.3.eh_proj.weight"]


def test_index_that_does_not_fit_its_files_is_reported(model_dir: Path) -> None:
    names = load_file(model_dir / FILE)
    (model_dir / INDEX).write_bytes(orjson.dumps({"weight_map": dict.fromkeys([*names, "model.gone"], FILE)}))
    assert _problems(model_dir) == [
        f"{model_dir / FILE}: unexpected model.gone",
        f"{model_dir / FILE}: missing model.gone, which the index places here",
    ]
    (model_dir / INDEX).write_bytes(orjson.dumps({"weight_map": dict.fromkeys(names, "gone.safetensors")}))
    assert _problems(model_dir) == [f"{model_dir / 'gone.safetensors'}: no such file, but the index names it"]


@pytest.mark.parametrize(
    ("weight_map", "problem"),
    [([], "weight_map: expected an object"), ({"a": 1}, "weight_map: expected an object"), ({"a": "../b"}, "../b")],
)
def test_malformed_index_is_refused(model_dir: Path, weight_map: object, problem: str) -> None:
    (model_dir / INDEX).write_bytes(orjson.dumps({"weight_map": weight_map}))
    assert problem in _problems(model_dir)[0]


@pytest.mark.parametrize(
    "content",
    [b"", b"\x08\x00\x00\x00\x00\x00\x00\x00notjson!", b"\xff" * 64],
    ids=["empty", "broken-head", "huge-head"],
)
def test_file_of_another_format_is_named(model_dir: Path, content: bytes) -> None:
    (model_dir / FILE).write_bytes(content)
    assert _problems(model_dir)[0].startswith(f"{model_dir / FILE}: not a safetensors file")


def test_folder_without_weights_is_named(model_dir: Path) -> None:
    (model_dir / FILE).unlink()
    assert _problems(model_dir) == [f"{model_dir}: expected {FILE} or {INDEX}, found neither"]


@pytest.mark.parametrize("name", ["model.norm.weight", "model.layers.1.mlp.gate.e_score_correction_bias"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_norms_and_biases_that_are_no_numbers_are_named(model_dir: Path, name: str, value: float) -> None:
    tensor = load_file(model_dir / FILE)[name]
    tensor[1] = value
    _rewrite(model_dir, {name: tensor})
    assert _problems(model_dir) == [f"{model_dir / FILE}: {name}: expected finite numbers, got some that are not"]


@pytest.mark.parametrize("shard", ["", ".", "..", "a/b"])
def test_a_shard_that_is_no_plain_file_name_is_refused(model_dir: Path, shard: str) -> None:
    (model_dir / INDEX).write_bytes(orjson.dumps({"weight_map": {"model.norm.weight": shard}}))
    assert _problems(model_dir) == [f"{model_dir / INDEX}: weight_map: expected plain file names, got {shard!r}"]
