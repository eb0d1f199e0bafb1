"""What is to be told to Redis: answers to keep, and what to forget."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass

from ....proxy.tasks import spawn
from ..entry import Entry
from ..key import Uri
from .value import Seen

MAX_FORGOTTEN = 1024
RETRY_S = 1.0
PAUSE_S = 0.01  # between two times: what changes all the time is told so often at most

Forgotten = Uri | None  # None: everything


@dataclass(frozen=True, slots=True)
class Parcel:
    """An answer to keep, in the generations in which it was asked for."""

    entry: Entry
    seen: Seen


class Outbox:
    """Tells Redis in the background: first what to forget, for as long as that takes, then what to keep.

    What is to be kept is dropped where there is no room for it, or where Redis does not learn what to forget. Nothing
    to forget is ever dropped: where too many are to be, everything is.
    """

    def __init__(
        self,
        keep: Callable[[Parcel], Awaitable[None]],
        forget: Callable[[Forgotten], Awaitable[bool]],
        dropped: Callable[[], None],
        max_bytes: int,
    ) -> None:
        """`forget` returns whether it is done, and is called again until it is; `dropped` counts what is not kept."""
        self._keep = keep
        self._dropped = dropped
        self._forget = forget
        self._max_bytes = max_bytes
        self._parcels: deque[Parcel] = deque()
        self._forgotten: dict[Forgotten, int] = {}  # with a number of its own each time it is to be forgotten
        self._num_forgotten = 0
        self._told_at = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False
        self.held_bytes = 0

    @property
    def forgotten(self) -> tuple[Forgotten, ...]:
        """What Redis has yet to forget."""
        return tuple(self._forgotten)

    def is_forgotten(self, uri: Uri) -> bool:
        """Whether Redis has yet to forget a URI: what it has of it is not to be used."""
        return bool(self._forgotten) and (uri in self._forgotten or None in self._forgotten)

    def put(self, parcel: Parcel) -> bool:
        """Have an answer kept; return False where there is no room."""
        if self._is_closed or self.held_bytes + parcel.entry.size_bytes > self._max_bytes:
            return False
        self.held_bytes += parcel.entry.size_bytes
        self._parcels.append(parcel)
        self._begin()
        return True

    def forget(self, what: Forgotten) -> None:
        """Have a URI forgotten, or everything."""
        self._num_forgotten += 1
        if what is None or len(self._forgotten) >= MAX_FORGOTTEN or None in self._forgotten:
            self._forgotten = {None: self._num_forgotten}
        else:
            self._forgotten[what] = self._num_forgotten
        self._begin()

    def drop(self) -> None:
        """Give up what is to be kept."""
        while self._parcels:
            self._next()
            self._dropped()

    def close(self) -> None:
        """Tell nothing more."""
        self._is_closed = True
        self.drop()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        if self._task is None and not self._is_closed:
            self._task = spawn(self._work(), "cache-second", Context())

    def _next(self) -> Parcel:
        parcel = self._parcels.popleft()
        self.held_bytes -= parcel.entry.size_bytes
        return parcel

    async def _work(self) -> None:
        try:
            while self._forgotten or self._parcels:  # every turn waits for Redis
                if self._forgotten:
                    await self._forget_all()
                else:
                    await self._keep(self._next())
        finally:
            self._task = None

    async def _forget_all(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._told_at + PAUSE_S - loop.time()))
        self._told_at = loop.time()
        told = list(self._forgotten.items())
        are_done = await asyncio.gather(*(self._forget(what) for what, _ in told))
        for (what, number), is_done in zip(told, are_done, strict=True):
            if is_done and self._forgotten.get(what) == number:  # else it changed once more meanwhile
                del self._forgotten[what]
        if not all(are_done):
            self.drop()
            await asyncio.sleep(RETRY_S)
