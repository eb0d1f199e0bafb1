"""What a worker does with Triton's compiler alone: all but take times, which it says by giving none."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import triton

from .attempts import Failure, attempt
from .choosing import choice, chosen
from .compile_only import META, Compiled, activate, compiled
from .spec import Spec
from .work import Item

CPU = torch.device("cpu")
DRIVER = activate()
_NUMBERS = ("name", "num_registers", "num_spilled_bytes", "num_shared_bytes")  # what costs nothing to tell


def machine(item: Item) -> dict[str, Any]:
    """Return the versions."""
    return {"name": "no GPU", "torch": torch.__version__, "triton": triton.__version__, "driver": ""}


def compile_shape(item: Item) -> dict[str, Any]:
    """Return what a shape of a kernel compiles to, and with which configuration."""
    spec = Spec(item.kernel)
    shape = spec.shapes()[item.number]
    about = choice(spec, shape.make(META, shape.dtype))
    made = compiled(DRIVER, spec, shape)
    lacking = sorted(
        f"{kernel.name} {opcode}"
        for kernel in made
        for opcode in shape.opcodes.get(kernel.name, frozenset()) - kernel.opcodes
    )
    kernels = [{**_told(kernel), "opcodes": sorted(kernel.opcodes)} for kernel in made]
    return {"bucket": about.bucket, "config": about.used, "kernels": kernels, "lacking": lacking}


def time_shape(item: Item) -> dict[str, Any]:
    """Launch a shape on meta tensors."""
    spec = Spec(item.kernel)
    compiled(DRIVER, spec, spec.shapes()[item.number])
    return {}


def run_peer(item: Item) -> dict[str, Any]:
    """Run a peer on the CPU, on the first of the cases that are like what it is made for.

    Raises: what the peer raises on the last case, if it can do none.
    """
    spec = Spec(item.kernel)
    if "compile" in item.detail:
        return {"case": ""}  # a compiler for the CPU is not what is rehearsed
    peer = spec.peers(is_compiling=False)[item.detail]
    torch.manual_seed(item.seed)
    failed: Failure | None = None
    for case in spec.cases(CPU, torch.bfloat16):
        found = attempt(partial(peer, case.inputs))
        if not isinstance(found, Failure):
            return {"case": case.name}
        failed = found
    raise LookupError("there is no case to run it on") if failed is None else failed.error


def sweep(item: Item) -> dict[str, Any]:
    """Compile every configuration for a shape; of `detail` `1/4`, every fourth from the second on."""
    spec = Spec(item.kernel)
    shape = spec.shapes()[item.number]
    first, _, step = (item.detail or "0/1").partition("/")
    until = time.monotonic() + item.seconds - 5
    about = choice(spec, shape.make(META, shape.dtype))
    tried: list[dict[str, Any]] = []
    tries = about.tries[int(first) :: int(step)]
    for config in tries:
        if time.monotonic() > until:
            break
        with chosen(spec, config):
            made = attempt(partial(compiled, DRIVER, spec, shape))
        tried.append(
            {
                "config": config,
                **({"failure": made.said} if isinstance(made, Failure) else {"kernels": [_told(k) for k in made]}),
            }
        )
    return {"bucket": about.bucket, "default": about.default, "tried": tried, "left_out": len(tries) - len(tried)}


def is_sound() -> bool:
    """Whether the process can go on: always."""
    return True


def _told(kernel: Compiled) -> dict[str, Any]:
    return {name: getattr(kernel, name) for name in _NUMBERS}


DOES: dict[str, Callable[[Item], Mapping[str, Any]]] = {
    "machine": machine,
    "ceilings": lambda item: {},
    "compile": compile_shape,
    "time": time_shape,
    "twin": lambda item: {},
    "peer": run_peer,
    "sweep": sweep,
}
