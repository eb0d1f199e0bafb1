"""The numerics id: equal for equal servers, another for whatever decides bits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import torch
from safetensors.torch import load_file, save_file

from headgate.inference import numerics
from headgate.inference.config import CheckpointError, read_config
from headgate.inference.numerics import describe_backend, numerics_id, probe
from headgate.inference.ops import Ops
from headgate.inference.sample_checkpoint import write_sample_checkpoint
from headgate.inference.serve import ServeOptions, load_service
from headgate.inference.weights import load_model


def _id(model_dir: Path, backend: str = "cpu", probed: bytes = b"") -> str:
    return numerics_id(model_dir, read_config(model_dir), backend, probed)


def _nudge_a_weight(model_dir: Path) -> None:
    tensors = load_file(model_dir / "model.safetensors")
    tensors["model.norm.weight"][3] += 1e-6
    save_file(tensors, model_dir / "model.safetensors")


def _set_in_config(name: str, value: object) -> Callable[[Path], None]:
    def change(model_dir: Path) -> None:
        path = model_dir / "config.json"
        path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), name: value}))

    return change


def _append_to(name: str) -> Callable[[Path], None]:
    def change(model_dir: Path) -> None:
        with (model_dir / name).open("a") as file:
            file.write(" ")

    return change


def test_the_id_does_not_depend_on_the_folder(sample_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(sample_dir, tmp_path / "elsewhere")
    first = _id(sample_dir)
    assert _id(sample_dir) == first == _id(tmp_path / "elsewhere")
    assert len(first) == 16
    assert int(first, 16) >= 0


@pytest.mark.parametrize(
    "change",
    [
        _nudge_a_weight,
        _set_in_config("eos_token_id", 5),
        _set_in_config("rms_norm_eps", 2e-6),
        _append_to("tokenizer.json"),
        _append_to("tokenizer_config.json"),
        _append_to("chat_template.jinja"),
        lambda model_dir: (model_dir / "chat_template.jinja").unlink(),
    ],
    ids=["weight", "end token", "norm", "tokenizer", "its settings", "template", "no template"],
)
def test_the_id_changes_with_every_file_of_the_model(
    sample_dir: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    shutil.copytree(sample_dir, tmp_path / "changed")
    change(tmp_path / "changed")
    assert _id(tmp_path / "changed") != _id(sample_dir)


def test_the_id_changes_with_what_runs_the_model(sample_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [_id(sample_dir), _id(sample_dir, backend="other"), _id(sample_dir, probed=b"other")]
    monkeypatch.setattr(numerics, "GENERATION_VERSION", numerics.GENERATION_VERSION + 1)
    ids.append(_id(sample_dir))
    assert len(set(ids)) == len(ids)


def test_threads_libraries_processor_and_operations_are_named() -> None:
    named = describe_backend(1, Ops())
    assert named != describe_backend(2, Ops())
    assert "gate torch, int8_gemm torch, mla_decode torch" in named
    assert f"torch {torch.__version__}" in named
    assert "numpy " in named
    assert "float32" in named


def test_the_probe_sees_a_change_of_one_weight(sample_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(sample_dir, tmp_path / "changed")
    _nudge_a_weight(tmp_path / "changed")
    model, again, other = (
        load_model(path, read_config(path)) for path in (sample_dir, sample_dir, tmp_path / "changed")
    )
    assert probe(model) == probe(model) == probe(again)
    assert probe(model) != probe(other)


def test_a_loaded_service_tells_the_id_as_its_fingerprint_too(sample_dir: Path, tmp_path: Path) -> None:
    write_sample_checkpoint(tmp_path / "other", seed=1, has_end=False)
    services = [
        load_service(ServeOptions(path, "", 0, name, 1, 0, 0))
        for path, name in ((sample_dir, "a"), (sample_dir, "b"), (tmp_path / "other", "a"))
    ]
    ids = [service.numerics for service in services]
    assert ids[0] == ids[1] != ids[2]
    assert services[0].fingerprint == f"fp_{ids[0]}"


def test_a_model_that_can_answer_nobody_is_not_served(sample_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(sample_dir, tmp_path / "broken")
    tensors = load_file(tmp_path / "broken" / "model.safetensors")
    tensors["lm_head.weight"][7] = float("nan")
    save_file(tensors, tmp_path / "broken" / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"broken: the model does not work: expected finite logits"):
        load_service(ServeOptions(tmp_path / "broken", "", 0, "a", 1, 0, 0))
