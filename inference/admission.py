"""Who may enter: the bound on requests inside the server.

A request is counted from its head to the last byte of its answer, so bodies being read, jobs that wait and answers
being written are all bounded by the one number.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager

_MAX_RETRY_AFTER_S = 60
_NEW_SHARE = 0.2


class Refused(Exception):
    """No room, or the server is going away; try again after `retry_after_s`."""

    def __init__(self, code: str, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_s = retry_after_s


class Admission:
    """Lets one request run and `max_waiting` others wait. Used from the event loop only."""

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._mean_service_s = 1.0
        self._idle = asyncio.Event()
        self._idle.set()
        self.active_count = 0
        self.is_draining = False

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Hold a place while inside.

        Raises: Refused.
        """
        if self.is_draining:
            raise Refused("draining", "this server is shutting down", retry_after_s=1)
        if self.active_count > self._max_waiting:
            raise Refused("queue_full", f"{self._max_waiting} requests are waiting already", self._retry_after_s())
        self.active_count += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.active_count -= 1
            if self.active_count == 0:
                self._idle.set()

    def observe(self, service_s: float) -> None:
        """Learn how long the model was busy with one request."""
        self._mean_service_s += _NEW_SHARE * (service_s - self._mean_service_s)

    async def wait_idle(self) -> None:
        """Wait until nobody is inside."""
        await self._idle.wait()

    def _retry_after_s(self) -> int:
        """Guess when half of those inside will have been served."""
        return min(_MAX_RETRY_AFTER_S, max(1, math.ceil(self._mean_service_s * self.active_count / 2)))
