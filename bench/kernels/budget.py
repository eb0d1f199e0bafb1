"""The time that a run may take, and what it had no time for."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .work import Item


class Budget:
    """Seconds that are spent by a clock."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.seconds = seconds
        self._clock, self._began = clock, clock()
        self._lock = threading.Lock()
        self._left_out: list[Item] = []

    def spent(self) -> float:
        """Return the seconds since the beginning."""
        return self._clock() - self._began

    def left(self) -> float:
        """Return the seconds that are left; negative once it is overdrawn."""
        return self.seconds - self.spent()

    def leave_out(self, item: Item) -> None:
        """Note an item that there was no time for."""
        with self._lock:
            self._left_out.append(item)

    @property
    def left_out(self) -> list[Item]:
        """What there was no time for."""
        with self._lock:
            return list(self._left_out)
