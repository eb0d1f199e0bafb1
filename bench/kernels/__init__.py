"""What each kernel is held to: its cases and float64 oracle, its shapes and peers.

One module a kernel, of the interface that `spec.py` names. The tests run the cases in the interpreter, compile the
shapes without a GPU, and plant bugs; `python -m bench.kernels` checks and times them on a GPU. Imports torch and
triton alone: it has to run on a machine that has nothing else.

`HEADGATE_KERNELS` names some of them, with commas between: for whoever works on one.
"""

import os

_ALL = (
    "rms_norm",
    "rope_latent",
    "gate",
    "moe_align",
    "moe_experts",
    "mla_decode",
    "mla_prefill",
    "sample",
    "fp8_quantise",
    "fp8_gemm",
    "int8_gemm",
)
NAMES = tuple(name for name in os.environ.get("HEADGATE_KERNELS", "").split(",") if name) or _ALL
