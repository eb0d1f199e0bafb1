"""One stage, run as the gateway runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...proxy.compile import stage_hooks
from ...proxy.errors import GatewayError
from ...proxy.exchange.exchange import Exchange
from ...proxy.hooks import type_of
from ...proxy.hookspecs import STAGES
from ...proxy.stages import Chain, Hook

_FIRST = ("auth", "route", "cache", "aggregate")
_EACH = ("ratelimit", "request")


@dataclass(frozen=True, slots=True)
class StageRun:
    """What came of a stage.

    `answer` is what the gateway goes on with: None for no opinion, and also where the plugin failed in a stage that
    fails open. `error` would end the exchange. `num_failures` counts what the hook raised or answered wrongly: it is
    0 where a plugin did as it should.
    """

    answer: Any
    error: GatewayError | None
    num_failures: int


async def run_stage(plugin: object, stage: str, exchange: Exchange, shown: object = None) -> StageRun:
    """Run one plugin's hook of `stage` with the gateway's own checks, deadline and rule for failures.

    `shown` is the second argument, of the stages that have one: the Response of `response_head`, the bytes of `event`,
    the Outcome of `log`. Raises: PluginError for a class that the gateway would refuse, ValueError for a stage that it
    has no hook for.
    """
    return await run_hook(hooks_of(plugin), stage, exchange, shown)


def hooks_of(plugin: object) -> Mapping[str, Hook]:
    """Return the hooks of a plugin by stage. Raises: PluginError for a class that the gateway would refuse."""
    type_of("plugin", type(plugin))
    return stage_hooks("plugin", plugin)


async def run_hook(hooks: Mapping[str, Hook], stage: str, exchange: Exchange, shown: object = None) -> StageRun:
    """Run one of `hooks` as `run_stage` does. Raises: ValueError for a stage that there is no hook for."""
    if stage not in STAGES:
        raise ValueError(f"expected a stage, got {stage!r}; the stages are {', '.join(STAGES)}")
    if stage not in hooks:
        wanted = f"mark a method `{STAGES[stage].hook}` with @hookimpl"
        raise ValueError(f"expected one of the plugin's stages, {', '.join(hooks)}, got {stage!r}: {wanted}")
    hook, before = hooks[stage], hooks[stage].num_errors
    try:
        answer, error = await _answer(Chain(stage, (hook,)), stage, exchange, shown), None
    except GatewayError as raised:
        answer, error = None, raised
    return StageRun(answer, error, hook.num_errors - before)


async def _answer(chain: Chain, stage: str, exchange: Exchange, shown: object) -> Any:
    if stage in _FIRST:
        return await chain.first(exchange)
    if stage in _EACH:
        return next(iter([answer async for answer in chain.each(exchange)]), None)
    if stage == "event":
        if not isinstance(shown, bytes):
            raise TypeError(f"expected the event's bytes as `shown`, got {type(shown).__name__}")
        return chain.events(exchange, shown)
    return await chain.every(exchange, shown)
