"""The plugin `prompt_guard`: what a prompt may be, before it goes anywhere."""

from __future__ import annotations

from collections.abc import Awaitable

from ...proxy.by_route import ByRoute
from ...proxy.errors import GatewayError
from ...proxy.exchange.exchange import Exchange
from ...proxy.hookspecs import Setup, hookimpl
from ...proxy.observe.metrics import Counter, Registry
from ...proxy.verdicts import Reject
from .config import PromptGuardConfig
from .rules import Refusal, Rules


class PromptGuard:
    """Refuse prompts that are too large, or hold what they may not. Nothing of a prompt is told or logged."""

    Config = PromptGuardConfig
    RouteOptions = PromptGuardConfig

    def __init__(self, config: PromptGuardConfig) -> None:
        self._rules = ByRoute(config, Rules)
        self._refused = Counter("headgate_prompt_guard_refused", "Prompts that were refused.", ("plugin", "reason"))
        self._name = "prompt_guard"

    @hookimpl
    def headgate_metrics(self, registry: Registry) -> None:
        """Count refusals."""
        self._refused = registry.register(self._refused)

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Take the name."""
        self._name = setup.name

    @hookimpl
    def headgate_request(self, exchange: Exchange) -> Reject | Awaitable[Reject | None] | None:
        """Judge the body; only one that has not come yet has to be waited for."""
        body = exchange.request.body
        if body.is_empty:
            return None
        rules = self._rules.of(self._name, exchange.route)
        data = body.arrived(rules.max_bytes)
        return self._later(exchange, rules) if data is None else self._judged(exchange, rules, data)

    async def _later(self, exchange: Exchange, rules: Rules) -> Reject | None:
        return self._judged(exchange, rules, await exchange.request.body.read(rules.max_bytes))

    def _judged(self, exchange: Exchange, rules: Rules, data: bytes) -> Reject | None:
        try:
            rules.judge(data, exchange.model)
        except Refusal as refusal:
            self._refused.add(self._name, refusal.reason)
            return Reject(refusal.kind, refusal.message, f"{self._name}: {refusal.detail}")
        except Exception as error:  # the stage fails open, and a guard must not
            raise GatewayError("stage_failed", f"{self._name}: {type(error).__name__}") from error
        return None
