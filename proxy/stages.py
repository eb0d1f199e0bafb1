"""The frozen chains of stage hooks that one route calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from .errors import GatewayError
from .exchange.exchange import Exchange
from .exchange.message import Response, check_answer
from .hookspecs import STAGES, StageRule
from .observe.metrics import Counter
from .tasks import finish
from .verdicts import Reject

_log = logging.getLogger("headgate.plugins")
_LOG_EVERY_S = 60.0
_LAST = frozenset({"response_head", "log"})
_LAST_S = 1.0
PASSING = frozenset(STAGES) - _LAST - {"event"}  # whose hooks read the body or call targets, and pass errors on


@dataclass(slots=True)
class Hook:
    """One plugin's function for one stage. What it raises or answers wrongly is counted, in `failures`, too."""

    plugin: str
    function: Callable[..., Any]
    is_async: bool
    failures: Counter | None = None
    num_errors: int = 0
    logged_at: float = float("-inf")

    def note(self, stage: str, now: float, error: Exception) -> None:
        """Count a failure, and log it unless one was logged a moment ago."""
        self.num_errors += 1
        if self.failures is not None:
            self.failures.add(self.plugin, stage)
        if now - self.logged_at >= _LOG_EVERY_S:
            self.logged_at = now
            _log.error("plugin %s failed in stage %s: %r", self.plugin, stage, error, exc_info=error)


def count_of_failures() -> Counter:
    """Return the metric of what plugins fail by."""
    told = "Hooks that raised, or answered what their stage does not take."
    return Counter("headgate_plugin_failures", told, ("plugin", "stage"))


class Waiting:
    """The answer of a stage that has to be waited for: to be awaited once, inside a Task, or to be closed."""

    __slots__ = ("_answer", "_work")

    def __init__(self, answer: Coroutine[Any, Any, Any], work: Any) -> None:
        self._answer = answer
        self._work = work

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the hook, and ask those after it where they are to be asked; return the answer, or None."""
        return self._answer.__await__()

    def close(self) -> None:
        """Give it up, before it was awaited."""
        self._answer.close()
        _close(self._work)


class Chain:
    """The hooks of one stage, in the configured order. An empty chain costs one look at `is_used`.

    `is_inline`: no hook is `async def`. The functions whose names end so are for such a chain: they need no Task. Where
    one has to wait all the same, `first_inline` says so. What waits runs in a Task of the exchange's own, so that a
    hook's context variables stay with the exchange and `asyncio.timeout` works in it.
    """

    __slots__ = ("_hooks", "_returns", "_rule", "_stage", "_steps", "is_inline", "is_used")

    def __init__(self, stage: str, hooks: tuple[Hook, ...]) -> None:
        self._stage = stage
        self._rule: StageRule = STAGES[stage]
        # A plugin's own answer is looked at more closely, see `checked`.
        self._returns = tuple(kind for kind in self._rule.returns if kind is not Response)
        self._hooks = hooks
        self.is_used = bool(hooks)
        self._steps: tuple[tuple[Hook, Chain], ...] = ()  # each hook with those after it
        if hooks:
            later = Chain(stage, hooks[1:])
            self._steps = ((hooks[0], later), *later._steps)
        self.is_inline = not any(hook.is_async for hook in hooks)

    def __bool__(self) -> bool:
        return self.is_used

    @property
    def stage(self) -> str:
        """Whose hooks they are."""
        return self._stage

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """The hooks, in order."""
        return self._hooks

    @property
    def names(self) -> tuple[str, ...]:
        """The plugins of this stage, in order."""
        return tuple(hook.plugin for hook in self._hooks)

    def first_inline(self, exchange: Exchange) -> Any:
        """Return the first answer that is not None, or None; a `Waiting` where a hook before it has to wait.

        For any chain: an `async def` hook is one that has to wait.
        """
        for hook, later in self._steps:
            try:
                answer = hook.function(exchange)
                if answer is None:
                    continue
                if type(answer) in self._returns:
                    return answer
                answer = self._read(hook, exchange, answer)
            except Exception as error:
                self._failed(hook, exchange, error)
                continue
            return Waiting(self._first_after(answer, exchange, later), answer) if type(answer) is Waiting else answer
        return None

    async def first(self, exchange: Exchange) -> Any:
        """Return the first answer that is not None, or None."""
        answer = self.first_inline(exchange)
        return await answer if type(answer) is Waiting else answer

    def each_inline(self, exchange: Exchange) -> Iterator[Any]:
        """Call the hooks of an inline chain in turn, up to the first Reject; yield the answers that are not None.

        No list of them: where a hook fails that fails closed, the caller has what those before it answered.
        """
        for hook in self._hooks:
            answer = self._ask(hook, exchange)
            if answer is not None:
                yield answer
                if isinstance(answer, Reject):
                    return

    async def each(self, exchange: Exchange) -> AsyncIterator[Any]:
        """Call the hooks in turn, up to the first Reject; yield the answers that are not None."""
        for answer in self.each_inline(exchange):
            known = await answer if type(answer) is Waiting else answer
            if known is not None:
                yield known
                if isinstance(known, Reject):
                    return

    def every_inline(self, exchange: Exchange, shown: object) -> None:
        """Call every hook of an inline chain, to be shown something; answers are not wanted."""
        for hook in self._hooks:
            self._show(hook, exchange, shown)

    async def every(self, exchange: Exchange, shown: object) -> None:
        """Call every hook, to be shown something; answers are not wanted."""
        for hook in self._hooks:
            answer = self._show(hook, exchange, shown)
            if answer is not None:
                await answer

    async def every_to_its_end(self, exchange: Exchange, shown: object) -> None:
        """As `every`, though the exchange is cancelled meanwhile: a client may leave at any moment."""
        if self.is_inline:  # nothing is waited for
            self.every_inline(exchange, shown)
        else:
            await finish(self.every(exchange, shown), f"stage {self._stage}")

    def events(self, exchange: Exchange, event: bytes) -> bytes:
        """Pass one whole event through every hook."""
        for hook in self._hooks:
            try:
                answer = hook.function(exchange, event)
                checked(self._rule, answer)
            except Exception as error:
                self._failed(hook, exchange, error)
                continue
            if answer is not None:
                event = answer
        return event

    async def _first_after(self, waiting: Waiting, exchange: Exchange, later: Chain) -> Any:
        answer = await waiting
        return await later.first(exchange) if answer is None else answer

    def _ask(self, hook: Hook, exchange: Exchange) -> Any:
        """Return what a hook answers, or a `Waiting` for it."""
        try:
            answer = hook.function(exchange)
            return answer if answer is None or type(answer) in self._returns else self._read(hook, exchange, answer)
        except Exception as error:
            self._failed(hook, exchange, error)
            return None

    def _show(self, hook: Hook, exchange: Exchange, shown: object) -> Waiting | None:
        try:
            answer = hook.function(exchange, shown)
            waiting: Waiting | None = None if answer is None else self._read(hook, exchange, answer)
            return waiting
        except Exception as error:
            self._failed(hook, exchange, error)
            return None

    def _read(self, hook: Hook, exchange: Exchange, answer: Any) -> Any:
        if hook.is_async or (self._rule.may_wait and isinstance(answer, Awaitable)):
            return Waiting(self._waited(hook, exchange, answer), answer)
        return checked(self._rule, answer)

    async def _waited(self, hook: Hook, exchange: Exchange, work: Awaitable[Any]) -> Any:
        try:
            return checked(self._rule, await self._within(work, self._bound(exchange), hook.plugin))
        except Exception as error:
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

    def _failed(self, hook: Hook, exchange: Exchange, error: Exception) -> None:
        """Count and log a plugin's failure; end the exchange where the stage fails closed."""
        if isinstance(error, GatewayError) and self._stage in PASSING:
            raise error
        hook.note(self._stage, exchange.now(), error)
        if self._rule.is_fail_closed:
            raise GatewayError(self._rule.error_kind, f"plugin {hook.plugin}: {error!r}") from error


def checked(rule: StageRule, answer: Any) -> Any:
    """Return an answer that a hook of the stage may give. Raises: TypeError, ValueError for any other."""
    if answer is None:
        return None
    if isinstance(answer, rule.returns):
        if isinstance(answer, Response):
            check_answer(answer)
        return answer
    _close(answer)  # it is not waited for
    wanted = ", ".join(kind.__name__ for kind in rule.returns) or "nothing but None"
    raise TypeError(f"expected {wanted} or None from {rule.hook}, got {type(answer).__name__}")


def _close(work: Any) -> None:
    if isinstance(work, Waiting | Coroutine):
        work.close()
