"""One timer per attempt, re-armed lazily."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Watchdog:
    """Calls `bite` once the machine's timer is due.

    `timer` returns the next instant and the error it means. While bytes move, the instant only moves away, so the armed
    handle is left alone and looks again when it fires: a piece of an answer costs no timer operation.
    `expired` is the error that was due, once it was.
    """

    __slots__ = ("_bite", "_due", "_handle", "_loop", "_timer", "expired")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, timer: Callable[[], tuple[float, str]], bite: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._timer = timer
        self._bite = bite
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0  # its instant: the handle of a timer that is as good as due does not know it
        self.expired: str | None = None

    def look(self) -> None:
        """Arm for the present instant; called where a new state may end earlier than the last."""
        instant, _ = self._timer()
        if self._handle is not None:
            if self._due <= instant:
                return
            self._handle.cancel()
        self._arm(instant)

    def _arm(self, instant: float) -> None:
        self._due = instant
        self._handle = self._loop.call_at(instant, self._fire)

    def _fire(self) -> None:
        self._handle = None
        instant, kind = self._timer()
        if instant > self._loop.time():
            self._arm(instant)
            return
        self.expired = kind
        self._bite()

    def stop(self) -> None:
        """Disarm for good."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
