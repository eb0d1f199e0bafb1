"""The frozen chains of stage hooks that one route calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .errors import GatewayError
from .exchange.exchange import Exchange
from .hookspecs import STAGES, StageRule
from .tasks import finish

_log = logging.getLogger("headgate.plugins")
_LOG_EVERY_S = 60.0
_LAST = frozenset({"response_head", "log"})
_LAST_S = 1.0


@dataclass(slots=True)
class Hook:
    """One plugin's function for one stage. `num_errors` counts what it raised or answered wrongly."""

    plugin: str
    function: Callable[..., Any]
    is_async: bool
    num_errors: int = 0
    logged_at: float = float("-inf")


class Chain:
    """The hooks of one stage, in the configured order. An empty chain costs one truth test.

    An exchange runs in a Task of its own, so a hook's context variables stay with the exchange and `asyncio.timeout`
    works in it.
    """

    __slots__ = ("_hooks", "_rule", "_stage")

    def __init__(self, stage: str, hooks: tuple[Hook, ...]) -> None:
        self._stage = stage
        self._rule: StageRule = STAGES[stage]
        self._hooks = hooks

    def __bool__(self) -> bool:
        return bool(self._hooks)

    @property
    def names(self) -> tuple[str, ...]:
        """The plugins of this stage, in order."""
        return tuple(hook.plugin for hook in self._hooks)

    async def first(self, exchange: Exchange) -> Any:
        """Return the first answer that is not None, or None."""
        for hook in self._hooks:
            answer = await self._call(hook, exchange, (exchange,))
            if answer is not None:
                return answer
        return None

    async def each(self, exchange: Exchange, *rest: object) -> AsyncIterator[Any]:
        """Call every hook in turn; yield the answers that are not None. The caller may stop at one."""
        for hook in self._hooks:
            answer = await self._call(hook, exchange, (exchange, *rest))
            if answer is not None:
                yield answer

    async def every(self, exchange: Exchange, *rest: object) -> None:
        """Call every hook of a stage whose answers do not matter."""
        for hook in self._hooks:
            await self._call(hook, exchange, (exchange, *rest))

    async def every_to_its_end(self, exchange: Exchange, *rest: object) -> None:
        """As `every`, though the exchange is cancelled meanwhile: a client may leave at any moment."""
        work = self.every(exchange, *rest)
        if any(hook.is_async for hook in self._hooks):
            await finish(work, f"stage {self._stage}")
        else:  # nothing is waited for
            await work

    def events(self, exchange: Exchange, event: bytes) -> bytes:
        """Pass one whole event through every hook."""
        for hook in self._hooks:
            try:
                answer = hook.function(exchange, event)
                self._check(answer)
            except Exception as error:
                self._failed(hook, exchange, error)
                continue
            if answer is not None:
                event = answer
        return event

    async def _call(self, hook: Hook, exchange: Exchange, arguments: tuple[object, ...]) -> Any:
        try:
            answer = hook.function(*arguments)
            if hook.is_async:
                answer = await self._within(answer, self._bound(exchange), hook.plugin)
            return self._check(answer)
        except Exception as error:
            if isinstance(error, GatewayError) and self._stage not in _LAST:
                raise  # a hook that reads the body or calls a target passes on what happened to it
            self._failed(hook, exchange, error)
            return None

    def _bound(self, exchange: Exchange) -> float:
        # The stages that see how an exchange ended run after its deadline, too.
        return max(exchange.deadline, exchange.now() + _LAST_S) if self._stage in _LAST else exchange.deadline

    async def _within(self, work: Awaitable[Any], deadline: float, plugin: str) -> Any:
        try:
            async with asyncio.timeout_at(deadline if deadline != float("inf") else None) as bound:
                return await work
        except TimeoutError as error:
            if bound.expired() and self._stage not in _LAST:  # not by the clock: a timer may be early by a bit
                raise GatewayError("deadline", f"in plugin {plugin}") from error
            raise

    def _check(self, answer: Any) -> Any:
        if answer is None or isinstance(answer, self._rule.returns):
            return answer
        wanted = ", ".join(kind.__name__ for kind in self._rule.returns) or "nothing but None"
        raise TypeError(f"expected {wanted} or None from {self._rule.hook}, got {type(answer).__name__}")

    def _failed(self, hook: Hook, exchange: Exchange, error: Exception) -> None:
        """Count and log a plugin's failure; end the exchange where the stage fails closed."""
        hook.num_errors += 1
        now = exchange.now()
        if now - hook.logged_at >= _LOG_EVERY_S:
            hook.logged_at = now
            _log.error("plugin %s failed in stage %s: %r", hook.plugin, self._stage, error, exc_info=error)
        if self._rule.is_fail_closed:
            raise GatewayError(self._rule.error_kind, f"plugin {hook.plugin}: {error!r}") from error
