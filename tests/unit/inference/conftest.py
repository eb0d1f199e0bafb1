"""A tiny random checkpoint, and what is loaded from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from headgate.inference.config import read_config
from headgate.inference.model import Deepseek
from headgate.inference.sample_checkpoint import write_sample_checkpoint
from headgate.inference.tokenizer import Tokenizer, read_tokenizer
from headgate.inference.weights import load_model


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Models this small lose far more than they gain by sharing a step between threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def sample_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a model in which no token ends a text."""
    path = tmp_path_factory.mktemp("checkpoint") / "sample"
    write_sample_checkpoint(path, has_end=False)
    return path


@pytest.fixture(scope="session")
def model(sample_dir: Path) -> Deepseek:
    return load_model(sample_dir, read_config(sample_dir))


@pytest.fixture(scope="session")
def tokenizer(sample_dir: Path) -> Tokenizer:
    return read_tokenizer(sample_dir)
