"""What the configuration allows one plugin: how long a call may wait, what a failure means, when it is left out.

A guarded hook stands in its chain as any other: routes without one run the very code that they ran before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass
from typing import Any

from .errors import GatewayError
from .exchange.exchange import Exchange
from .hookspecs import STAGES
from .stages import PASSING, Hook, Waiting, checked

_log = logging.getLogger("headgate.plugins")


@dataclass(frozen=True, slots=True)
class Guard:
    """One plugin's limits. `is_closed`: None leaves it to the stage; `eject_after` failures in a row leave it out."""

    deadline_s: float | None = None
    is_closed: bool | None = None
    eject_after: int | None = None
    eject_for_s: float = 10.0


def guarded(hook: Hook, stage: str, guard: Guard) -> Hook:
    """Return `hook` under `guard`. What it counts is counted there from now on."""
    made = Hook(hook.plugin, hook.function, hook.is_async, hook.failures)
    made.function = _Guarded(hook, made, stage, guard)
    return made


class _Guarded:
    """The function of a guarded hook. `_left_out_until`: None while it takes part; then one probe at a time."""

    __slots__ = (
        "_function",
        "_guard",
        "_hook",
        "_is_closed",
        "_is_probing",
        "_left_out_until",
        "_num_in_row",
        "_stage",
    )

    def __init__(self, given: Hook, hook: Hook, stage: str, guard: Guard) -> None:
        self._function = given.function
        self._hook = hook
        self._stage = stage
        self._guard = guard
        self._is_closed = STAGES[stage].is_fail_closed if guard.is_closed is None else guard.is_closed
        self._num_in_row = 0
        self._left_out_until: float | None = None
        self._is_probing = False

    def __call__(self, exchange: Exchange, *shown: object) -> Any:
        is_probe = self._left_out_until is not None
        if is_probe and not self._may_probe(exchange.now()):
            return self._give_nothing("is left out for a while")
        self._is_probing = self._is_probing or is_probe
        try:
            answer = self._function(exchange, *shown)
            if self._is_to_wait(answer):
                return _GuardedWaiting(self, self._waited(exchange, answer, is_probe), answer, is_probe)
            return self._succeeded(checked(STAGES[self._stage], answer), is_probe)
        except Exception as error:
            return self._failed(exchange, error, is_probe)
        except BaseException:
            self.give_up(is_probe)
            raise

    def _may_probe(self, now: float) -> bool:
        return not self._is_probing and self._left_out_until is not None and now >= self._left_out_until

    def _is_to_wait(self, answer: object) -> bool:
        return self._hook.is_async or (STAGES[self._stage].may_wait and isinstance(answer, Awaitable))

    async def _waited(self, exchange: Exchange, work: Awaitable[Any], is_probe: bool) -> Any:
        try:
            async with asyncio.timeout(self._guard.deadline_s):
                answer = await work
            return self._succeeded(checked(STAGES[self._stage], answer), is_probe)
        except Exception as error:
            return self._failed(exchange, error, is_probe)
        except BaseException:  # cancelled: it tells nothing
            self.give_up(is_probe)
            raise

    def _succeeded(self, answer: Any, is_probe: bool) -> Any:
        self._num_in_row = 0
        if is_probe:
            self._left_out_until, self._is_probing = None, False
            _log.warning("plugin %s takes part in stage %s again", self._hook.plugin, self._stage)
        return answer

    def _failed(self, exchange: Exchange, error: Exception, is_probe: bool) -> None:
        """Count a failure; answer nothing, or end the exchange."""
        self.give_up(is_probe)
        if isinstance(error, GatewayError) and self._stage in PASSING:
            raise error  # no fault of the plugin
        now, most = exchange.now(), self._guard.eject_after
        self._hook.note(self._stage, now, error)
        self._num_in_row += 1
        if is_probe:
            self._left_out_until = now + self._guard.eject_for_s
        elif self._left_out_until is None and most is not None and self._num_in_row >= most:
            self._left_out_until = now + self._guard.eject_for_s
            row = f"{self._num_in_row} failures in a row"
            _log.error("plugin %s is left out of stage %s after %s", self._hook.plugin, self._stage, row)
        return self._give_nothing(repr(error), error)

    def _give_nothing(self, why: str, error: Exception | None = None) -> None:
        if self._is_closed:
            raise GatewayError(STAGES[self._stage].error_kind, f"plugin {self._hook.plugin}: {why}") from error

    def give_up(self, is_probe: bool) -> None:
        """A call has told nothing; if it was the probe, the next one is."""
        if is_probe:
            self._is_probing = False


class _GuardedWaiting(Waiting):
    """The answer of a guarded hook that has to be waited for."""

    __slots__ = ("_guarded", "_is_probe")

    def __init__(self, guarded: _Guarded, answer: Coroutine[Any, Any, Any], work: Any, is_probe: bool) -> None:
        super().__init__(answer, work)
        self._guarded = guarded
        self._is_probe = is_probe

    def close(self) -> None:
        """Give it up, before it was awaited."""
        super().close()
        self._guarded.give_up(self._is_probe)
