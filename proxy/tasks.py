"""Background tasks that are kept, named, and never fail in silence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

_log = logging.getLogger("headgate")
_running: set[asyncio.Task[Any]] = set()


def spawn(work: Coroutine[Any, Any, None], name: str, context: Context | None = None) -> asyncio.Task[None]:
    """Run `work` in a task of its own. A reference is kept until it ends; an exception is logged."""
    task = asyncio.get_running_loop().create_task(work, name=name, context=context)
    _running.add(task)
    task.add_done_callback(_ended)
    return task


async def finish(work: Coroutine[Any, Any, None], name: str) -> None:
    """Run `work` to its end, though whoever waits for it is cancelled meanwhile. Cancel: raised after the end."""
    task = spawn(work, name)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def _ended(task: asyncio.Task[None]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("task %r failed: %r", task.get_name(), error, exc_info=error)
