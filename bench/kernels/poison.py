"""Memory that shows what a kernel did with it: unwritten parts are NaN, and nothing around it may change."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

GUARD_BYTES = 256  # before and after each allocation; as aligned as what the allocator gives has to be
_SIGN = 77
_EMPTY = {
    torch.ops.aten.empty.memory_format,
    torch.ops.aten.empty_like.default,
    torch.ops.aten.new_empty.default,
    torch.ops.aten.empty_strided.default,
}


class Poisoned(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is active, `torch.empty` and its like give memory that is full of NaN and stands between guards.

    Integers are half of what their type holds. On the CPU and on a GPU; there, guards see near misses alone.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._guarded: list[Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if func not in _EMPTY or made.device.type == "meta":
            return made
        return self._poisoned(made)

    def _poisoned(self, like: Tensor) -> Tensor:
        with torch._C._DisableTorchDispatch():
            num_bytes = like.untyped_storage().nbytes()
            whole = torch.full((num_bytes + 2 * GUARD_BYTES,), _SIGN, dtype=torch.uint8, device=like.device)
            inner = whole[GUARD_BYTES : GUARD_BYTES + num_bytes].view(like.dtype)
            inner.fill_(_poison(like.dtype))
            self._guarded.append(whole)
            return inner.as_strided(like.shape, like.stride(), inner.storage_offset())

    def is_intact(self) -> bool:
        """Whether nothing was written outside of what was allocated."""
        edges = (part for w in self._guarded for part in (w[:GUARD_BYTES], w[-GUARD_BYTES:]))
        return all(bool((edge == _SIGN).all()) for edge in edges)


def _poison(dtype: torch.dtype) -> float | int | bool:
    if dtype.is_floating_point or dtype.is_complex:
        return float("nan")
    return True if dtype == torch.bool else torch.iinfo(dtype).max // 2 + 1
