"""Who asks, where that has to be waited for: the exchange stays in the lane, and goes on there once it is known."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..errors import GatewayError
from ..exchange.message import Response
from ..stages import Waiting

if TYPE_CHECKING:
    from .serving import InlineServing


def answer_early(serving: InlineServing, found: Response | Waiting, body: bytes | None) -> None:
    """Give the answer to what needs no identity, or wait to hear who it is. No more of the body is read then."""
    if body is None:
        serving.connection.hold_body()
    if isinstance(found, Waiting):
        serving.asking = Asking(serving, found, body)
    else:
        serving.is_kept = serving.is_kept and body is not None
        serving.give(found)


class Asking:
    """A task that hears who asks. `body` is the request's, where it has come."""

    __slots__ = ("_body", "_serving", "_task", "_waiting")

    def __init__(self, serving: InlineServing, waiting: Waiting, body: bytes | None) -> None:
        self._serving = serving
        self._waiting = waiting
        self._body = body
        self._task = serving.acceptor.loop.create_task(_heard_of(waiting), name="auth", context=serving.context)
        self._task.add_done_callback(self._heard)

    def cancel(self) -> None:
        """The exchange has ended."""
        self._task.cancel()

    def _heard(self, task: asyncio.Task[Any]) -> None:
        serving = self._serving
        self._waiting.close()  # it may never have begun
        if serving.asking is None:  # the exchange has ended, or is answered, meanwhile
            if not task.cancelled():
                task.exception()
            return
        serving.asking = None
        serving.context.run(serving.guarded, self._go_on)
        if self._body is None and serving.connection.serving is serving and not serving.is_begun:
            serving.connection.release_body()

    def _go_on(self) -> None:
        serving = self._serving
        if self._task.cancelled():  # by itself: what it waited for was
            raise GatewayError("stage_failed", "an auth plugin waited for what was cancelled")
        early = serving.pipeline.known(serving.program, self._task.result())
        if early is not None:
            answer_early(serving, early, self._body)
        elif self._body is not None:
            serving.proceed(self._body)


async def _heard_of(waiting: Waiting) -> Any:
    return await waiting
