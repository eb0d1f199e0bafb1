"""Instances of the cache in one process, over one Redis, each in front of a scripted origin."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

from headgate.plugins.cache import Cache
from headgate.proxy.hookspecs import Setup

from ..unit.plugins.cache.stand import EPOCH, Ask, Origin, Stand

BOUND_S = 20.0
PLAIN = Ask()
FRESH = Origin((("Cache-Control", "max-age=60"), ("ETag", '"v1"')))


class Watched(Cache):
    """A cache that shows what its second level does, as it counts it."""

    def __init__(self, config: Any, *, wall: Callable[[], float]) -> None:
        super().__init__(config, wall=wall)
        self.results: Counter[tuple[str, str]] = Counter()
        self.changed = asyncio.Event()

    def _note_second(self, operation: str, result: str) -> None:
        super()._note_second(operation, result)
        self.results[operation, result] += 1
        self.changed.set()


class Instance(Stand):
    """One instance, whose wall clock is `ahead_s` ahead."""

    cache: Watched

    @property
    def results(self) -> Counter[tuple[str, str]]:
        return self.cache.results

    async def until(self, operation: str, result: str, number: int = 1) -> None:
        """Wait until so many operations have ended so."""
        async with asyncio.timeout(BOUND_S):
            while self.results[operation, result] < number:
                self.cache.changed.clear()
                await self.cache.changed.wait()


@contextlib.asynccontextmanager
async def instance(
    url: str, *, ahead_s: float = 0.0, is_deaf: bool = False, **settings: Any
) -> AsyncIterator[Instance]:
    """Run one; settings that begin with `second_` are those of the second level.

    Where `is_deaf`, its memory hears nothing of what others invalidate, as while there is no connection.
    """

    def wall() -> float:
        return EPOCH + asyncio.get_running_loop().time() + ahead_s

    second: dict[str, Any] = {"url": url, "timeout": "5s"}
    second |= {name.removeprefix("second_"): settings.pop(name) for name in [*settings] if name.startswith("second_")}
    cache = Watched(Cache.Config.model_validate({"second": second, **settings}), wall=wall)
    cache.headgate_configure(Setup("cache", None, {}))
    if is_deaf:
        assert cache._second is not None
        cache._second._ear.close()
    running = Instance(cache)
    try:
        yield running
    finally:
        shelf = running.cache.shelf
        assert not shelf.open and not len(shelf.flights) and not shelf.memory.reserved_bytes
        running.cache.close()
        await asyncio.sleep(0)  # the connection's task is told


async def stored(one: Instance, ask: Ask = PLAIN, origin: Origin = FRESH, number: int = 1) -> None:
    """Have one answer fetched and kept; it is the one of that `number`."""
    await one.ask(ask, origin)
    await one.until("keep", "kept", number)


async def turns_until(is_true: Callable[[], object]) -> None:
    """Wait until something is true of which nobody tells: it is looked at with every turn of the loop."""
    turn = asyncio.Event()
    async with asyncio.timeout(BOUND_S):
        while not is_true():
            turn.clear()
            asyncio.get_running_loop().call_soon(turn.set)
            await turn.wait()
