"""An event loop in a thread, for what has to run beside blocking clients."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

BOUND_S = 60.0
T = TypeVar("T")


class Background:
    """The loop of `background`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop and wait for it."""

        async def telling_where() -> T:
            try:
                return await work
            except TimeoutError as late:  # would come out of the thread as a new one, without its traceback
                raise AssertionError("waited too long, see above for what") from late

        return asyncio.run_coroutine_threadsafe(telling_where(), self._loop).result(BOUND_S)

    @contextlib.contextmanager
    def holding(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Enter an asynchronous context manager in the loop, and leave it there."""
        value = self.run(manager.__aenter__())
        try:
            yield value
        finally:
            self.run(manager.__aexit__(None, None, None))


@contextlib.contextmanager
def background() -> Iterator[Background]:
    """Run an event loop in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield Background(loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(BOUND_S)
        loop.close()
