"""The budget that a store of answers keeps within."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from ...ext.cache_core import CacheCore, Policy, Reason

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Budget(Generic[K, V]):
    """Entries and reserved bytes within one budget: `used_bytes` never exceeds `max_bytes`.

    The core counts both and says who goes first. A quarter may be reserved for answers that are still being collected.
    """

    __slots__ = ("_core",)

    def __init__(self, core: CacheCore[K, V]) -> None:
        self._core = core

    def __len__(self) -> int:
        return len(self._core)

    @property
    def eviction(self) -> Policy:
        """Which entries go first."""
        return self._core.policy

    @property
    def max_bytes(self) -> int:
        """The budget."""
        return self._core.max_bytes

    @property
    def stored_bytes(self) -> int:
        """The sizes of all entries together."""
        return self._core.stored_bytes

    @property
    def reserved_bytes(self) -> int:
        """What is set aside for answers that are being collected."""
        return self._core.reserved_bytes

    @property
    def used_bytes(self) -> int:
        """Stored and reserved bytes."""
        return self._core.used_bytes

    def num_left(self, reason: Reason) -> int:
        """How many entries have left for `reason`."""
        return self._core.num_left(reason)

    def reserve(self, size_bytes: int, now: float) -> bool:
        """Set bytes aside for an answer that is being collected; False where too many are already."""
        if self.reserved_bytes + size_bytes > self.max_bytes // 4:
            return False
        return self._core.reserve(size_bytes, now)

    def release(self, size_bytes: int) -> None:
        """Give reserved bytes back."""
        self._core.release(size_bytes)

    def resize(self, max_bytes: int) -> None:
        """Change the budget; what no longer fits is given up. Cost: linear in what leaves."""
        self._core.resize(max_bytes)
