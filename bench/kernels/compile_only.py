"""Triton's compiler without a GPU: launchers run on meta tensors, and what they would launch is compiled for sm_90."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget

from .spec import Inputs, Shape, Spec

BIN = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
MAX_SHARED_BYTES = 232_448  # of one block on Hopper (CUDA C Programming Guide, compute capability 9.0)
META = torch.device("meta")
_OPCODES = re.compile(r"\b(HGMMA|QGMMA|HMMA|IMMA|FFMA|LDGSTS|UTMALDG|STL|LDL)\b")


@dataclass(frozen=True)
class Compiled:
    """One kernel as the compiler made it: registers and spilled bytes of a thread, shared bytes of a block."""

    name: str
    num_registers: int
    num_spilled_bytes: int
    num_shared_bytes: int
    cubin: bytes = field(repr=False)

    @cached_property
    def opcodes(self) -> frozenset[str]:
        """Those of its instructions that say how it does its work. Cost: some half a second, the first time."""
        return frozenset(_OPCODES.findall(_run("cuobjdump", "-sass", self.cubin)))


class _Utils:
    def __init__(self) -> None:
        self.by_handle: dict[int, Compiled] = {}

    def load_binary(self, name: str, cubin: bytes, shared: int, device: int) -> tuple[object, int, int, int, int]:
        usage = dict(re.findall(r"(REG|STACK|LOCAL):(\d+)", _run("cuobjdump", "--dump-resource-usage", cubin)))
        spilled = int(usage["STACK"]) + int(usage["LOCAL"])
        made = Compiled(name, int(usage["REG"]), spilled, shared, cubin)
        handle = len(self.by_handle) + 1
        self.by_handle[handle] = made
        return made, handle, made.num_registers, spilled // 4, 1024  # without a first, it would load at every launch

    def get_device_properties(self, device: int) -> dict[str, int]:
        return {
            "max_shared_mem": MAX_SHARED_BYTES,
            "multiprocessor_count": 132,
            "warpSize": 32,
            "max_num_regs": 65_536,
        }


class CompileOnly:
    """A driver of a GPU that is not there. `launched` is what would have run, each time."""

    def __init__(self) -> None:
        self.launched: list[Compiled] = []
        self.utils = _Utils()

    def launcher_cls(self, source: Any, metadata: object) -> Any:
        _check_descriptors(source)

        def launch(x: int, y: int, z: int, stream: int, handle: int, *arguments: object) -> None:
            self.launched.append(self.utils.by_handle[handle])

        return launch

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int | None = None) -> int:
        return 0

    def get_active_torch_device(self) -> Any:
        raise RuntimeError("there is no device")


def activate() -> CompileOnly:
    """Make Triton use such a driver from now on, in this process, and return it."""
    driver = CompileOnly()
    triton.runtime.driver.set_active(driver)
    return driver


def compiled(driver: CompileOnly, spec: Spec, shape: Shape, **others: object) -> list[Compiled]:
    """Return what a shape of a kernel launches, each once, in the order of their first launch."""
    inputs: Inputs = {**shape.make(META, shape.dtype), **others}
    driver.launched.clear()
    spec.run(spec.kernel, inputs)
    return list(dict.fromkeys(driver.launched))


def _check_descriptors(source: Any) -> None:
    """Refuse what Triton's launcher for CUDA does: it makes maps of descriptors that are arguments, of no others.

    Source: triton/backends/nvidia/driver.py 3.7.1, `expand_signature` and `wrap_handle_tensordesc`.
    """
    for argument, kind in source.signature.items():
        if isinstance(kind, tuple) and _has_descriptor(kind):
            wanted = "expected tensor descriptors to be arguments themselves, which is all that a GPU's launcher takes"
            raise TypeError(f"{wanted}; got one in the tuple `{argument}` of `{source.name}`: make the tuple in there")


def _has_descriptor(kind: object) -> bool:
    return any(map(_has_descriptor, kind)) if isinstance(kind, tuple) else str(kind).startswith("tensordesc")


def _run(program: str, option: str, cubin: bytes) -> str:
    own = BIN / program
    environment = {"PATH": f"{BIN}:/usr/local/cuda/bin:/usr/bin:/bin"}  # it calls nvdisasm
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [str(own) if own.is_file() else program, option, file.name]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout
