"""Laws of a chain: how a hook is written, and how its chain is asked, changes nothing of what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headgate.proxy.errors import GatewayError
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.message import Response
from headgate.proxy.hookspecs import STAGES
from headgate.proxy.stages import Chain, Hook, Waiting
from headgate.proxy.verdicts import Hit, Identity, Miss, Reject, Reservation, Route

from ..unit.plugins.exchanges import make_exchange
from ..virtual_clock import run


class Refusal(Reject):
    """An answer of a type of the plugin's own."""


ANSWERS: list[object] = [None, None, Identity("k", "t"), Route(()), Reservation(), Hit(Response(200)), Miss()]
ANSWERS += [Response(200), Reject("forbidden"), Refusal("forbidden"), "wrong", RuntimeError("broken")]
ANSWERS += [GatewayError("client_gone")]
FIRST = ("auth", "route", "request", "cache", "aggregate")
EACH = ("ratelimit",)
EVERY = ("response_head", "log")


@dataclass
class Seen:
    """What came of a chain."""

    answers: list[object] = field(default_factory=list)
    error: tuple[str, str] | None = None
    calls: list[int] = field(default_factory=list)
    num_errors: list[int] = field(default_factory=list)


def written(way: str, number: int, answer: object, seen: Seen) -> Hook:
    """Write a hook that gives `answer`, or raises it."""

    def plain(exchange: Exchange, *rest: object) -> Any:
        seen.calls.append(number)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def waits(exchange: Exchange, *rest: object) -> Any:
        await asyncio.sleep(number)
        return plain(exchange)

    functions: dict[str, Callable[..., Any]] = {
        "def": plain,
        "async def": waits,
        "awaitable": lambda *args: waits(*args),
    }
    return Hook(f"p{number}", functions[way], way == "async def")


async def ask(stage: str, ways: list[str], answers: list[object], *, is_inline: bool) -> Seen:
    seen = Seen()
    hooks = tuple(
        written(way, number, answer, seen) for number, (way, answer) in enumerate(zip(ways, answers, strict=True))
    )
    made, exchange = Chain(stage, hooks), make_exchange(now=asyncio.get_running_loop().time)
    try:
        await (_inline if is_inline else _awaited)(made, stage, exchange, seen)
    except GatewayError as error:
        seen.error = (error.kind.name, error.detail)
    seen.num_errors = [hook.num_errors for hook in hooks]
    return seen


async def _awaited(made: Chain, stage: str, exchange: Exchange, seen: Seen) -> None:
    if stage in FIRST:
        seen.answers.append(await made.first(exchange))
    elif stage in EACH:
        async for answer in made.each(exchange):
            seen.answers.append(answer)
    else:
        await made.every(exchange, None)


async def _inline(made: Chain, stage: str, exchange: Exchange, seen: Seen) -> None:
    if stage in FIRST:
        answer = made.first_inline(exchange)
        seen.answers.append(await answer if type(answer) is Waiting else answer)
    elif stage in EACH:
        seen.answers.extend(made.each_inline(exchange))
    else:
        made.every_inline(exchange, None)


def expected(stage: str, answers: list[object]) -> Seen:
    """What the page on hooks promises."""
    rule, seen = STAGES[stage], Seen(num_errors=[0] * len(answers))
    for number, answer in enumerate(answers):
        seen.calls.append(number)
        if isinstance(answer, GatewayError) and stage not in EVERY:
            seen.error = (answer.kind.name, answer.detail)
            return seen
        if isinstance(answer, Exception) or (answer is not None and not isinstance(answer, rule.returns)):
            seen.num_errors[number] = 1
            if rule.is_fail_closed:
                seen.error = (rule.error_kind, "")
                return seen
        elif answer is not None:
            seen.answers.append(answer)
            if stage in FIRST or isinstance(answer, Reject):
                return seen
    if stage in FIRST:
        seen.answers.append(None)
    return seen


@given(
    stage=st.sampled_from(FIRST + EACH + EVERY),
    answers=st.lists(st.sampled_from(ANSWERS), max_size=4),
    data=st.data(),
)
def test_each_way_of_asking_keeps_the_rules(stage: str, answers: list[object], data: st.DataObject) -> None:
    kinds = ["def", "async def"] + ["awaitable"] * STAGES[stage].may_wait
    ways = data.draw(st.lists(st.sampled_from(kinds), min_size=len(answers), max_size=len(answers)))

    async def main() -> tuple[Seen, Seen]:
        awaited = await ask(stage, ways, answers, is_inline=False)
        inline_ways = ways if stage in FIRST else ["def"] * len(answers)
        return awaited, await ask(stage, inline_ways, answers, is_inline=True)

    for seen in run(main()):
        wanted = expected(stage, answers)
        if wanted.error is not None and seen.error is not None and not wanted.error[1]:
            wanted.error = (wanted.error[0], seen.error[1])  # its words are the plugin's
        assert seen == wanted
