"""Who may change an open file: one process at a time, and nobody who has died."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from types import TracebackType

PATIENCE_S = 1.0


class BusyError(RuntimeError):
    """Another process holds the lock and does not let go, since it has been stopped, say."""


class FileLock:
    """The lock of one opening of a file: of two openings one has to wait. What a process holds that dies is free.

    It is held for microseconds and waited for without giving way, at most `PATIENCE_S`; once that was in vain only one
    try is made, until one succeeds.
    """

    __slots__ = ("_descriptor", "_is_stuck", "_now")

    def __init__(self, descriptor: int, now: Callable[[], float] = time.monotonic) -> None:
        self._descriptor = descriptor
        self._now = now
        self._is_stuck = False

    def __enter__(self) -> None:
        """Take it. Raises: BusyError."""
        if not self._is_free() and not self._is_free_in_time():
            self._is_stuck = True
            raise BusyError("expected the accounts to be free, another process holds them: is it stopped?")
        self._is_stuck = False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Let go."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _is_free_in_time(self) -> bool:
        if self._is_stuck:
            return False
        until = self._now() + PATIENCE_S
        while self._now() < until:
            os.sched_yield()
            if self._is_free():
                return True
        return False

    def _is_free(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
