"""Asks the branches side by side, until enough is known or the time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ...proxy.errors import GatewayError
from ...proxy.exchange.exchange import Exchange
from ...proxy.exchange.message import Response
from .branch import Branch
from .rule import Rule, Verdict

Take = Callable[[Branch, Response], Awaitable[None]]


class Gathering:
    """The branches of one exchange under way.

    `take` does with an answer that begins what is to be done with it. A branch that becomes the `lead` is one whose
    answer the client has begun to get: it is neither cut nor timed any more, but the others have ended when it does.
    """

    __slots__ = ("_bounds", "_exchange", "_take", "_until", "branches", "lead", "rule")

    def __init__(self, exchange: Exchange, branches: Sequence[Branch], rule: Rule, until: float, take: Take) -> None:
        self._exchange = exchange
        self._until = until
        self._take = take
        self._bounds: dict[Branch, asyncio.Timeout] = {}
        self.branches = branches
        self.rule = rule
        self.lead: Branch | None = None

    def lead_by(self, branch: Branch) -> None:
        """Give the client this branch's answer."""
        self.lead = branch
        self._bounds[branch].reschedule(None)

    async def run(self) -> Verdict:
        """Ask, and wait for no more than is needed. Every branch has ended then, none is under way.

        Raises: GatewayError for what the client did. Cancel: every branch is cancelled at once.
        """
        tasks = {branch: asyncio.create_task(self._ask(branch)) for branch in self.branches if branch.outcome is None}
        reason = "abandoned"
        try:
            is_late = await self._until_known(set(tasks.values()))
            if self.lead is not None and self.rule.verdict() is not Verdict.LOST:
                await _cancel([task for branch, task in tasks.items() if branch is not self.lead])
                await tasks[self.lead]
            reason = "late" if is_late else "not_needed"
        finally:
            for branch in tasks:
                branch.end("timeout") if reason == "late" else branch.end("skipped", reason=reason)
            await _cancel(list(tasks.values()))
        return self.rule.verdict()

    async def _until_known(self, pending: set[asyncio.Task[None]]) -> bool:
        """Wait until the rule is decided, or the lead has failed; return whether the time was over before."""
        while pending and self.rule.verdict() is Verdict.OPEN and not self._is_lead_lost:
            left_s = self._until - self._exchange.now()
            done, pending = await asyncio.wait(pending, timeout=max(0.0, left_s), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if not done:
                return True
        return False

    @property
    def _is_lead_lost(self) -> bool:
        return self.lead is not None and self.lead.outcome not in (None, "ok")

    async def _ask(self, branch: Branch) -> None:
        began = self._exchange.now()
        try:
            async with asyncio.timeout(branch.options.timeout) as bound:
                self._bounds[branch] = bound
                answer = branch.answer = await self._exchange.call(branch.target)
                branch.usage = answer.usage
                await self._take(branch, answer)
            branch.end("ok" if answer.status < 400 else "error")
        except TimeoutError:
            if not bound.expired():
                raise
            branch.end("timeout")
        except GatewayError as error:
            if error.kind.source == "downstream":
                raise
            branch.end("timeout" if error.kind.name == "deadline" else "error", error=error)
        finally:
            branch.took_s = self._exchange.now() - began


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    """End tasks, and wait until they have given back what they had."""
    left = [task for task in tasks if not task.done()]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left)
    for task in tasks:  # of several that failed only one is raised: the others are seen here
        if not task.cancelled():
            task.exception()
