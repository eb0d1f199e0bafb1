"""What a worker does on a GPU."""

from __future__ import annotations

import math
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

import torch
import triton
from torch import Tensor

from . import ceilings
from .attempts import Failure, attempt
from .checks import check, difference, is_far
from .choosing import choice, chosen
from .overrun import overrun
from .spec import Inputs, Shape, Spec
from .timing import num_sets, timed
from .work import Item

T = TypeVar("T")
CUDA = torch.device("cuda")
SECONDS = 0.25  # of timing one thing
SWEEP_SECONDS = 0.05
CACHE_BYTES = 64 << 20  # where the card does not say
SMALL = 1 << 20  # elements of inputs that a memory checker gets


def machine(item: Item) -> dict[str, Any]:
    """Return what machine it is; no name where there is no GPU."""
    found = {"name": "", "torch": torch.__version__, "triton": triton.__version__, "driver": _driver()}
    if not torch.cuda.is_available():
        return found
    about = torch.cuda.get_device_properties(0)
    sizes = {"memory_mib": about.total_memory >> 20, "l2_mib": _cache_bytes() >> 20}
    capability = f"{about.major}.{about.minor}"
    return {**found, "name": about.name, "capability": capability, "num_sms": about.multi_processor_count, **sizes}


def checked(item: Item) -> dict[str, Any]:
    """Return the verdict on a kernel in one type, of fresh inputs, each twice."""
    spec, dtype = Spec(item.kernel), getattr(torch, item.detail)
    verdict = check(spec, spec.kernel, CUDA, dtype, seed=item.seed, is_repeated=True)
    return {**asdict(verdict), "is_right": verdict.is_right}


def time_shape(item: Item) -> dict[str, Any]:
    """Return how long a kernel takes for a shape."""
    spec, shape = _shape(item)
    calls, sets = _rotation(shape, item.seed, partial(spec.run, spec.kernel))
    return asdict(timed(calls, SECONDS)) | {"sets": sets}


def beside_twin(item: Item) -> dict[str, Any]:
    """Return by how much a shape's result differs from that of the torch twin, which may fail at that size."""
    spec, shape = _shape(item)
    got = _copied(spec.run(spec.kernel, _made(shape, item.seed)))
    if not all(bool(x.isfinite().all()) for x in got if x.dtype.is_floating_point):
        return {"difference": "not finite", "is_far": True}
    far = difference(got, spec.run(spec.reference, _made(shape, item.seed)))
    told = far if math.isfinite(far) else "not finite"
    return {"difference": told, "is_far": is_far(far, spec.tolerance(shape.dtype))}


def time_peer(item: Item) -> dict[str, Any]:
    """Return how long a peer takes for a shape."""
    spec, shape = _shape(item)
    is_compiled = "compile" in item.detail
    if is_compiled:
        torch.compiler.reset()  # or it compiles for any shape, once it has seen two
    peer = spec.peers(is_compiled)[item.detail]
    calls, sets = _rotation(shape, item.seed, peer)
    return asdict(timed(calls, SECONDS)) | {"sets": sets}


def sweep(item: Item) -> dict[str, Any]:
    """Return the time of every configuration for a shape; one that gives another result is wrong."""
    spec, shape = _shape(item)
    until = time.monotonic() + item.seconds - 5
    calls, _ = _rotation(shape, item.seed, partial(spec.run, spec.kernel))
    about = choice(spec, _made(shape, item.seed))
    usual = _copied(spec.run(spec.kernel, _made(shape, item.seed)))
    tried: list[dict[str, Any]] = []
    for config in about.tries:
        if time.monotonic() > until:
            break
        tried.append({"config": config, **_tried(spec, shape, item.seed, config, calls, usual)})
    left_out = len(about.tries) - len(tried)
    return {"bucket": about.bucket, "default": about.default, "tried": tried, "left_out": left_out}


def touch(item: Item) -> dict[str, Any]:
    """Run a kernel's small cases, for a memory checker to watch."""
    spec, dtype = Spec(item.kernel), getattr(torch, item.detail)
    torch.manual_seed(item.seed)
    count = 0
    for case in spec.cases(CUDA, dtype):
        if sum(value.numel() for value in case.inputs.values() if isinstance(value, Tensor)) <= SMALL:
            spec.run(spec.kernel, case.inputs)
            torch.cuda.synchronize()
            count += 1
    return {"num_cases": count}


def overran(item: Item) -> dict[str, Any]:
    """Write past the end of an allocation, for a memory checker to find."""
    overrun(torch.zeros(1000, device=CUDA))
    torch.cuda.synchronize()
    return {}


def is_sound() -> bool:
    """Whether the GPU can still be used by this process."""
    try:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    except RuntimeError:
        return False
    return True


def _tried(
    spec: Spec, shape: Shape, seed: int, config: Mapping[str, int], calls: list[Callable[[], object]], usual: Any
) -> dict[str, Any]:
    def taken() -> dict[str, Any]:
        far = difference(spec.run(spec.kernel, _made(shape, seed)), usual)
        if is_far(far, spec.tolerance(shape.dtype)):
            return {"failure": f"differs from the default by {far:.1e}"}
        return {"us": timed(calls, SWEEP_SECONDS).us}

    with chosen(spec, config):
        found = _tolerated(attempt(taken))
    return {"failure": found.said} if isinstance(found, Failure) else found


def _tolerated(found: T | Failure) -> T | Failure:
    """Return it. Raises: the error, if the GPU is spoiled by it."""
    if isinstance(found, Failure) and not is_sound():
        raise found.error
    return found


def _shape(item: Item) -> tuple[Spec, Shape]:
    spec = Spec(item.kernel)
    return spec, spec.shapes()[item.number]


def _made(shape: Shape, seed: int) -> Inputs:
    torch.manual_seed(seed)
    return shape.make(CUDA, shape.dtype)


def _rotation(shape: Shape, seed: int, function: Callable[[Inputs], object]) -> tuple[list[Callable[[], object]], int]:
    """Return calls of a function with inputs of their own, so many that these do not sit in the cache."""
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    first = _made(shape, seed)
    set_bytes = torch.cuda.memory_allocated() - before
    free, _ = torch.cuda.mem_get_info()
    count = num_sets(shape.num_bytes, set_bytes, _cache_bytes(), free)
    sets = [first] + [_made(shape, seed + number) for number in range(1, count)]
    return [partial(function, one) for one in sets], count


def _copied(outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(x.clone() for x in outputs)


def _cache_bytes() -> int:
    return int(getattr(torch.cuda.get_device_properties(0), "L2_cache_size", CACHE_BYTES))


def _driver() -> str:
    if shutil.which("nvidia-smi") is None:
        return ""
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    said = subprocess.run(asked, capture_output=True, text=True, timeout=30)
    return said.stdout.strip() if said.returncode == 0 else ""


DOES: dict[str, Callable[[Item], Mapping[str, Any]]] = {
    "machine": machine,
    "ceilings": lambda item: ceilings.measure(),
    "check": checked,
    "time": time_shape,
    "twin": beside_twin,
    "peer": time_peer,
    "sweep": sweep,
    "touch": touch,
    "overrun": overran,
}
