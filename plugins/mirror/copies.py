"""Copies that wait, and those under way, within bounds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass

from ...proxy.aside import AsideRequest
from ...proxy.tasks import spawn

_OVERHEAD_BYTES = 2048  # of the objects of one copy: bounds their number where bodies are empty


@dataclass(frozen=True, slots=True)
class Copy:
    """A request to send, until an instant of the loop's clock, and what the client's answer was."""

    request: AsideRequest
    deadline: float
    status: int | None
    digest: bytes | None

    @property
    def size_bytes(self) -> int:
        """What it takes, about."""
        return self.request.size_bytes + _OVERHEAD_BYTES


class Copies:
    """Sends copies, at most so many at once, in the order in which they came.

    `num_running`: those under way; `held_bytes`: of all that are not done.

    What does not fit is not taken: nobody waits for room.
    """

    def __init__(self, send: Callable[[Copy], Awaitable[None]], max_parallel: int, max_held_bytes: int) -> None:
        self._send = send
        self._max_parallel = max_parallel
        self._max_held_bytes = max_held_bytes
        self._waiting: deque[Copy] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self.num_running = 0
        self.held_bytes = 0

    def offer(self, copy: Copy) -> bool:
        """Take a copy to send; return False where there is no room. Cost: O(1); at most one task is made."""
        if self.held_bytes + copy.size_bytes > self._max_held_bytes:
            return False
        self.held_bytes += copy.size_bytes
        self._waiting.append(copy)
        if self.num_running < self._max_parallel:
            self.num_running += 1
            # Not in the exchange's context: that must not live as long as a copy of it.
            task = spawn(self._work(), "send copies of requests", Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return True

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._sent(self._waiting.popleft())
        finally:
            self.num_running -= 1  # at once: the task is among `_tasks` for a turn of the loop yet

    async def _sent(self, copy: Copy) -> None:
        try:
            await self._send(copy)
        finally:
            self.held_bytes -= copy.size_bytes

    def close(self) -> None:
        """Give up what waits, and end what is under way."""
        while self._waiting:
            self.held_bytes -= self._waiting.popleft().size_bytes
        for task in self._tasks:
            task.cancel()
