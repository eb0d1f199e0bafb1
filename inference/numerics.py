"""The numerics id: a short name for all that decides the bits of an answer.

Servers with equal ids give the same tokens for the same request and seed, so a stream that one of them began may go
on at another. The id is rather too narrow than too wide: a difference that may matter counts as one.
"""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

import numpy as np
import tokenizers
import torch

from .cache import LatentCache
from .config import ModelConfig
from .model import Deepseek
from .ops import Ops
from .tokenizer import TOKENIZER_FILES
from .weights import weight_files

# To be raised with every change after which the same request, seed and weights give another token, event or byte.
GENERATION_VERSION = 2

_ID_CHARS = 16
_PROBE_TOKENS = 24
_PROBE_STEPS = 4
_CPU_INFO = Path("/proc/cpuinfo")
# A cloud's name for a processor may stand for several; family and model do not.
_CPU_FIELDS = ("vendor_id", "cpu family", "model", "model name")


def numerics_id(model_dir: Path, config: ModelConfig, backend: str, probed: bytes) -> str:
    """Name the model with what runs it, in 16 hex digits.

    Cost: O(bytes of the checkpoint).
    """
    digest = hashlib.sha256(f"{GENERATION_VERSION}|{config}|{backend}|".encode() + probed)
    for path in (*(model_dir / name for name in TOKENIZER_FILES), *weight_files(model_dir)):
        digest.update(_file_digest(path))
    return digest.hexdigest()[:_ID_CHARS]


def describe_backend(threads: int, ops: Ops) -> str:
    """Say what computes: libraries, processor and instruction set, threads, number format, operations.

    Kernels are chosen by processor, not only by instruction set, and each sums in an order of its own.
    """
    parts = (
        f"torch {torch.__version__} {torch.backends.cpu.get_cpu_capability()}",
        f"numpy {np.__version__}",
        f"tokenizers {tokenizers.__version__}",
        _processor(),
        f"threads {threads}",
        "float32",
        str(ops),
    )
    return ", ".join(parts)


def probe(model: Deepseek) -> bytes:
    """Run a short prefill and a few steps, and digest every bit of their logits.

    This finds what no list of versions names, such as settings in the environment that choose other kernels. Call it
    with as many threads as will serve.
    Raises: FloatingPointError where a logit is not a number: then the model can answer nobody.
    """
    vocab_size = model.config.vocab_size
    cache = LatentCache(model.config, _PROBE_TOKENS + _PROBE_STEPS)
    ids = [(7919 * at + 1) % vocab_size for at in range(_PROBE_TOKENS)]
    digest = hashlib.sha256()
    with torch.inference_mode():
        for _ in range(1 + _PROBE_STEPS):
            logits = model(torch.tensor(ids), cache.extend([len(ids)])).numpy()
            if not np.isfinite(logits).all():
                raise FloatingPointError("expected finite logits, got some that are no numbers")
            digest.update(logits.tobytes())
            ids = [int(logits[-1].argmax())]
    return digest.digest()


def _file_digest(path: Path) -> bytes:
    if not path.is_file():
        return b"-"
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()


def _processor() -> str:
    """Name the processor's model, where the system tells it."""
    if _CPU_INFO.is_file():
        first = _CPU_INFO.read_text("utf-8", "replace").partition("\n\n")[0]
        fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.split("\n"))}
        return " ".join((platform.machine(), *(fields.get(name, "-") for name in _CPU_FIELDS)))
    return f"{platform.machine()} {platform.processor()}"
