"""An event loop whose clock stands still while anything can run, and then jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class StandstillError(RuntimeError):
    """Everything waits and no timer is set: nothing can happen any more."""


class _JumpingSelector(selectors.SelectSelector):
    """Waits in no time: what would be waited for is added to `now`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise StandstillError("every task waits and no timer is set")
        self.now += timeout
        return ready


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """A loop for code without sockets: hours of waiting take no time, and each run is the same."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._clock_resolution = 1e-6  # well above the rounding of instants years away

    def time(self) -> float:
        """Return the virtual instant, seconds since the loop was made."""
        return self._jumping.now


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run `main` to its end on a virtual clock that begins at 0.

    Raises: StandstillError instead of waiting for ever.
    """
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(main)
