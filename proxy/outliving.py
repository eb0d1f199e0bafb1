"""An exchange whose answer others want, too: it goes on when its client leaves, until nobody wants it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from .downstream.shared_client import SharedClient
from .exchange.message import Response
from .verdicts import Companions


@dataclass(frozen=True, slots=True)
class SharedAsk:
    """How to ask the targets for what `companions` want, too. `ask` is to be called once."""

    companions: Companions
    ask: Callable[[], Awaitable[Response]]


async def outlive(work: Coroutine[Any, Any, None], client: SharedClient) -> None:
    """Do what answers a client; go on though this task is cancelled for its leaving, while others want the answer.

    In a task of its own: what waits in it cannot be cancelled and go on. Cancel: `work` is cancelled where nobody else
    wants it, and has ended when this returns. Raises: what `work` raises; CancelledError once nobody wanted it any
    more.
    """
    task = asyncio.get_running_loop().create_task(work, name="shared exchange")
    client.stop = task.cancel
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            own = asyncio.current_task()
            if own is not None and client.leave():
                own.uncancel()
            else:
                cancelled = error
                task.cancel()
    client.stop = None  # or the two would hold each other
    if cancelled is None:
        task.result()
        return
    if not task.cancelled():
        task.exception()  # it is told as the client's leaving
    raise cancelled
