"""What the card can do: the most that a copy moves and a matrix product computes, on random data."""

from __future__ import annotations

from collections.abc import Callable

import torch

from .timing import timed

COPY_BYTES = 4 << 30
SIZE = 8192  # of the matrices
SECONDS = 0.5  # of each


def measure() -> dict[str, float]:
    """Return `copy` in bytes a second, read and written, and `bf16` and `fp8` in operations a second.

    What cannot be measured is left out; the copy has to be.
    Raises: RuntimeError where nothing can be copied.
    """
    found = {"copy": _copied()}
    for name, product in (("bf16", _bf16), ("fp8", _fp8)):
        try:
            found[name] = 2 * SIZE**3 / timed([product()], SECONDS).us * 1e6
        except (RuntimeError, AttributeError, TypeError, ValueError) as error:
            print(f"no product in {name}: {error}")
        torch.cuda.empty_cache()
    return found


def _copied() -> float:
    free, _ = torch.cuda.mem_get_info()
    source = torch.empty(min(COPY_BYTES, free // 4), dtype=torch.uint8, device="cuda").random_()
    target = torch.empty_like(source)
    return 2 * len(source) / timed([lambda: target.copy_(source)], SECONDS).us * 1e6


def _drawn(dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(SIZE, SIZE, device="cuda").to(dtype)


def _bf16() -> Callable[[], object]:
    a, b = _drawn(torch.bfloat16), _drawn(torch.bfloat16)
    out = torch.empty_like(a)
    return lambda: torch.mm(a, b, out=out)


def _fp8() -> Callable[[], object]:
    a, b = _drawn(torch.float8_e4m3fn), _drawn(torch.float8_e4m3fn).t()
    one = torch.ones((), device="cuda")
    return lambda: torch._scaled_mm(a, b, scale_a=one, scale_b=one, out_dtype=torch.bfloat16)
