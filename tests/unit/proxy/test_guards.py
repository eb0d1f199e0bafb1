"""Guards: how long a plugin may take, what its failure means, and when it is left out."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

from headgate.proxy.errors import GatewayError
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.message import Response
from headgate.proxy.guards import Guard, guarded
from headgate.proxy.stages import Chain, Hook
from headgate.proxy.verdicts import Hit, Identity, Miss

from ...virtual_clock import run
from ..plugins.exchanges import make_exchange

EJECTING = Guard(eject_after=3, eject_for_s=10.0)


class Scripted:
    """A hook that does what `now` says, and counts its calls."""

    def __init__(self) -> None:
        self.now: Any = None
        self.num_calls = 0

    def plain(self, exchange: Exchange, *shown: object) -> Any:
        self.num_calls += 1
        if isinstance(self.now, Exception):
            raise self.now
        return self.now

    async def waits(self, exchange: Exchange, *shown: object) -> Any:
        self.num_calls += 1
        if isinstance(self.now, (int, float)):
            await asyncio.sleep(self.now)
            return None
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


class Asked:
    """A guarded hook in its chain."""

    def __init__(self, stage: str, guard: Guard, *, is_async: bool = False) -> None:
        self.script = Scripted()
        self.stage = stage
        function: Callable[..., Any] = self.script.waits if is_async else self.script.plain
        self.hook = guarded(Hook("p", function, is_async), stage, guard)
        self.chain = Chain(stage, (self.hook,))

    async def ask(self, does: Any = None, deadline_s: float = float("inf")) -> Any:
        """Return the answer; of an error the name."""
        self.script.now = does
        exchange = make_exchange(now=asyncio.get_running_loop().time)
        exchange.deadline = exchange.now() + deadline_s
        try:
            if self.stage == "ratelimit":
                return next(iter([answer async for answer in self.chain.each(exchange)]), None)
            if self.stage == "event":
                return self.chain.events(exchange, b"data: 1\n\n")
            if self.stage == "response_head":
                return await self.chain.every(exchange, Response(200))
            return await self.chain.first(exchange)
        except GatewayError as error:
            return error.kind.name


BROKEN = RuntimeError("broken")


def test_a_good_answer_goes_through() -> None:
    async def main() -> None:
        identity = Identity("k", "t")
        assert await Asked("auth", EJECTING).ask(identity) is identity
        assert await Asked("cache", EJECTING, is_async=True).ask(Miss()) == Miss()
        assert await Asked("event", EJECTING).ask(b"") == b""

    run(main())


def test_a_call_that_waits_too_long_is_a_failure() -> None:
    async def main() -> tuple[Any, Any, float]:
        cache = Asked("cache", Guard(deadline_s=0.5), is_async=True)
        assert await cache.ask(0.4) is None
        assert cache.hook.num_errors == 0
        begun = asyncio.get_running_loop().time()
        late = await cache.ask(3.0)
        took_s = asyncio.get_running_loop().time() - begun
        assert cache.hook.num_errors == 1
        return late, await Asked("auth", Guard(deadline_s=0.5), is_async=True).ask(3.0), took_s

    late, denied, took_s = run(main())
    assert (late, denied) == (None, "stage_failed")
    assert took_s == pytest.approx(0.5, abs=0.01)


def test_the_deadline_of_the_exchange_is_no_fault_of_the_plugin() -> None:
    async def main() -> None:
        cache = Asked("cache", Guard(deadline_s=5.0, eject_after=1, eject_for_s=10.0), is_async=True)
        assert await cache.ask(3.0, deadline_s=1.0) == "deadline"
        assert cache.hook.num_errors == 0
        assert await cache.ask(Miss()) == Miss()

    run(main())


@pytest.mark.parametrize("failure", [BROKEN, "wrong"])
@pytest.mark.parametrize("is_async", [False, True])
def test_an_open_stage_may_be_closed(failure: object, is_async: bool) -> None:
    async def main() -> None:
        cache = Asked("cache", Guard(is_closed=True), is_async=is_async)
        assert await cache.ask(failure) == "stage_failed"
        assert cache.hook.num_errors == 1
        limit = Asked("ratelimit", Guard(is_closed=False), is_async=is_async)
        assert await limit.ask(failure) is None
        assert limit.hook.num_errors == 1

    run(main())


@pytest.mark.parametrize(
    ("stage", "left_out"),
    [
        ("cache", None),
        ("auth", "stage_failed"),
        ("ratelimit", "stage_unavailable"),
        ("event", b"data: 1\n\n"),
        ("response_head", None),
    ],
)
def test_a_plugin_that_fails_in_a_row_is_left_out(stage: str, left_out: object) -> None:
    async def main() -> None:
        asked = Asked(stage, EJECTING)
        await asked.ask(BROKEN)
        await asked.ask(BROKEN)
        await asked.ask(None)  # the row is broken
        for _ in range(3):
            await asked.ask(BROKEN)
        assert asked.script.num_calls == 6
        assert await asked.ask(None) == left_out
        await asyncio.sleep(9.9)
        assert await asked.ask(None) == left_out
        assert (asked.script.num_calls, asked.hook.num_errors) == (6, 5)

    run(main())


def test_one_probe_decides_whether_it_comes_back() -> None:
    async def main() -> None:
        cache = Asked("cache", EJECTING)
        for _ in range(3):
            await cache.ask(BROKEN)
        await asyncio.sleep(10)
        assert await cache.ask(BROKEN) is None
        assert cache.script.num_calls == 4
        hit = Hit(Response(200))
        await asyncio.sleep(9)
        assert await cache.ask(hit) is None  # left out again, from the failed probe on
        await asyncio.sleep(1)
        assert await cache.ask(hit) is hit
        assert await cache.ask(BROKEN) is None
        assert await cache.ask(hit) is hit  # a row begins anew
        assert cache.script.num_calls == 7

    run(main())


def test_there_is_one_probe_at_a_time_and_one_that_is_given_up_makes_room() -> None:
    async def main() -> None:
        cache = Asked("cache", EJECTING, is_async=True)
        for _ in range(3):
            await cache.ask(BROKEN)
        await asyncio.sleep(10)
        probe = asyncio.create_task(cache.ask(60.0))
        await asyncio.sleep(1)
        assert await cache.ask(Miss()) is None
        assert cache.script.num_calls == 4
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        assert await cache.ask(Miss()) == Miss()

    run(main())


def test_what_the_core_raises_neither_counts_nor_breaks_a_row() -> None:
    async def main() -> None:
        cache = Asked("cache", EJECTING)
        for does in (BROKEN, GatewayError("client_gone"), BROKEN, GatewayError("body_too_large"), BROKEN):
            await cache.ask(does)
        assert await cache.ask(Miss()) is None
        assert (cache.script.num_calls, cache.hook.num_errors) == (5, 3)

    run(main())


def test_an_answer_that_nobody_waits_for_is_closed() -> None:
    async def main() -> None:
        cache = Asked("cache", EJECTING, is_async=True)
        cache.chain.first_inline(make_exchange()).close()
        for _ in range(3):
            await cache.ask(BROKEN)
        await asyncio.sleep(10)
        cache.chain.first_inline(make_exchange(now=asyncio.get_running_loop().time)).close()  # the probe
        assert await cache.ask(Miss()) == Miss()

    run(main())
    gc.collect()  # a coroutine that was never awaited would warn, which is an error here


def test_calls_that_began_before_decide_nothing_while_it_is_left_out() -> None:
    async def main() -> None:
        cache = Asked("cache", EJECTING, is_async=True)
        early = [asyncio.create_task(cache.ask(5.0)), asyncio.create_task(cache.ask(12.0))]
        await asyncio.sleep(0.1)
        for _ in range(3):
            await cache.ask(BROKEN)
        await asyncio.sleep(6)
        assert early[0].done()
        assert await cache.ask(Miss()) is None  # the good end of the first has not brought it back
        await asyncio.sleep(5)
        probe = asyncio.create_task(cache.ask(60.0))
        await asyncio.sleep(2)
        assert early[1].done()
        assert await cache.ask(Miss()) is None  # nor has the second made room for another probe
        assert cache.script.num_calls == 6
        assert await probe is None
        assert await cache.ask(Miss()) == Miss()

    run(main())
