"""Hooks whose time is taken, for the exchanges that are drawn for it.

A timed hook stands in a chain of its own, beside the plain one: exchanges that are not drawn run the very code that
they would run without it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from time import perf_counter
from typing import Any

from .exchange.exchange import Exchange
from .hookspecs import STAGES
from .observe.metrics import Histogram
from .snapshot import RouteProgram
from .stages import Chain, Hook, Waiting

BUCKETS_S = (
    *(1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)

Clock = Callable[[], float]


def hook_seconds() -> Histogram:
    """Return the metric of how long hooks take."""
    told = "Call to answer of a hook, waits included, in the exchanges that are timed."
    return Histogram("headgate_plugin_seconds", told, ("plugin", "stage"), BUCKETS_S)


def timed(program: RouteProgram, seconds: Histogram, clock: Clock = perf_counter) -> RouteProgram:
    """Return a program that does the same and counts in `seconds` how long each hook took."""
    if not any(program.chains.values()):
        return program
    return replace(program, chains={stage: _timed(chain, seconds, clock) for stage, chain in program.chains.items()})


def _timed(chain: Chain, seconds: Histogram, clock: Clock) -> Chain:
    return Chain(chain.stage, tuple(_TimedHook(hook, chain.stage, seconds, clock) for hook in chain.hooks))


class _TimedHook(Hook):
    """Does what another hook does, and fails in its name."""

    __slots__ = ("_given",)

    def __init__(self, given: Hook, stage: str, seconds: Histogram, clock: Clock) -> None:
        super().__init__(given.plugin, _Timed(given, stage, seconds, clock), given.is_async, given.failures)
        self._given = given

    def note(self, stage: str, now: float, error: Exception) -> None:
        """Count a failure where those of all exchanges are counted."""
        self._given.note(stage, now, error)


class _Timed:
    """The function of a timed hook. A call is counted once, however it ends; not where nobody awaits its answer."""

    __slots__ = ("_clock", "_function", "_labels", "_may_wait", "_seconds")

    def __init__(self, given: Hook, stage: str, seconds: Histogram, clock: Clock) -> None:
        self._function = given.function
        self._may_wait = given.is_async or STAGES[stage].may_wait
        self._labels = (given.plugin, stage)
        self._seconds = seconds
        self._clock = clock

    def __call__(self, exchange: Exchange, *shown: object) -> Any:
        began, is_over = self._clock(), True
        try:
            answer = self._function(exchange, *shown)
            if self._may_wait and isinstance(answer, Awaitable):
                is_over = False
                return Waiting(self._waited(answer, began), answer)
            return answer
        finally:
            if is_over:
                self._count(began)

    async def _waited(self, answer: Awaitable[Any], began: float) -> Any:
        try:
            return await answer
        finally:
            self._count(began)

    def _count(self, began: float) -> None:
        self._seconds.observe(self._clock() - began, *self._labels)
