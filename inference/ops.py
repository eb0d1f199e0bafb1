"""Who computes each operation of the model: a Triton kernel on a GPU, its torch twin everywhere else.

Both have one signature (see kernels/), so the model does not know which it calls. Imports torch, and Triton where a
kernel is picked, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Literal, TypeVar

from .kernels.fp8_gemm_torch import fp8_gemm
from .kernels.fp8_quantise_torch import fp8_quantise
from .kernels.gate_torch import gate
from .kernels.int8_gemm_torch import int8_gemm
from .kernels.mla_decode_torch import mla_decode
from .kernels.mla_prefill_torch import mla_prefill
from .kernels.moe_experts_torch import moe_experts
from .kernels.rms_norm_torch import rms_norm
from .kernels.rope_latent_torch import rope_latent
from .kernels.sample_torch import sample

Backend = Literal["torch", "triton"]
NAMES = (
    "fp8_gemm",
    "fp8_quantise",
    "gate",
    "int8_gemm",
    "mla_decode",
    "mla_prefill",
    "moe_experts",
    "rms_norm",
    "rope_latent",
    "sample",
)
_Op = TypeVar("_Op", bound=Callable[..., Any])


class Ops:
    """The operations of one model, each a function as its twin in kernels/ describes it.

    `default` is who computes where `chosen` does not say otherwise for an operation.
    """

    def __init__(self, default: Backend = "torch", chosen: Mapping[str, Backend] | None = None) -> None:
        self._backends: dict[str, Backend] = {**dict.fromkeys(NAMES, default), **(chosen or {})}
        unknown = sorted(self._backends.keys() - set(NAMES))
        if unknown:
            raise ValueError(f"expected operations out of {', '.join(NAMES)}, got {', '.join(unknown)}")
        self.fp8_gemm = self._pick(fp8_gemm)
        self.fp8_quantise = self._pick(fp8_quantise)
        self.gate = self._pick(gate)
        self.int8_gemm = self._pick(int8_gemm)
        self.mla_decode = self._pick(mla_decode)
        self.mla_prefill = self._pick(mla_prefill)
        self.moe_experts = self._pick(moe_experts)
        self.rms_norm = self._pick(rms_norm)
        self.rope_latent = self._pick(rope_latent)
        self.sample = self._pick(sample)

    def __str__(self) -> str:
        """Say who computes what: it decides the bits of an answer."""
        return ", ".join(f"{name} {backend}" for name, backend in sorted(self._backends.items()))

    def _pick(self, twin: _Op) -> _Op:
        name = twin.__name__
        backend = self._backends[name]
        if backend == "torch":
            return twin
        if backend == "triton":
            kernel: _Op = getattr(import_module(f"{__package__}.kernels.{name}"), name)
            return kernel
        raise ValueError(f"{name}: expected torch or triton, got {backend!r}")


def ops_for(device_type: str) -> Ops:
    """Return the operations for tensors on a kind of device, as torch names it: kernels on `cuda`."""
    return Ops("triton" if device_type == "cuda" else "torch")
