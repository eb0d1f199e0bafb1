"""Asks the branches side by side, until enough is known or the time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from ...proxy.errors import GatewayError
from ...proxy.exchange.exchange import Exchange
from ...proxy.exchange.message import Response
from .branch import Branch
from .rule import Rule, Verdict


class Taker(Protocol):
    """Does with answers what is to be done with them."""

    async def take(self, branch: Branch, answer: Response) -> None:
        """Take an answer that begins. Raises: GatewayError, where the branch comes to nothing by it."""

    def ended(self, branch: Branch) -> None:
        """Hear that a branch has come to an end of its own."""


class Gathering:
    """The branches of one exchange under way.

    A branch that becomes the `lead` is one whose answer the client has begun to get. It has no time of its own any
    more, and is not cut where it is not needed: only where the rule is lost.
    """

    __slots__ = ("_bounds", "_exchange", "_taker", "_until", "branches", "lead", "rule")

    def __init__(self, exchange: Exchange, branches: Sequence[Branch], rule: Rule, until: float, taker: Taker) -> None:
        self._exchange = exchange
        self._until = until
        self._taker = taker
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
            reason = "late" if await self._until_known(set(tasks.values())) else "not_needed"
            others = [branch for branch in tasks if branch is not self.lead]
            _give_up(others, reason)
            await _cancel([tasks[branch] for branch in others])
            if self.lead is not None and self.rule.verdict() is not Verdict.LOST:
                await tasks[self.lead]
        finally:
            _give_up(list(tasks), reason)
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
                await self._taker.take(branch, answer)
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
        self._taker.ended(branch)


def _give_up(branches: Sequence[Branch], reason: str) -> None:
    for branch in branches:
        branch.end("timeout") if reason == "late" else branch.end("skipped", reason=reason)


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
