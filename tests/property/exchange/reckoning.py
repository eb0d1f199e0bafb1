"""The rules of retry, fallback and resume, reckoned anew from an exchange's log: slow, and without state."""

from __future__ import annotations

import math
from dataclasses import dataclass

from headgate.proxy.errors import KINDS, Retryable
from headgate.proxy.exchange.attempt import Purpose
from headgate.proxy.exchange.gate import Report
from headgate.proxy.exchange.plan import CAUSES, Plan
from headgate.proxy.exchange.states import State

from .log import Asked, Entry, Given, Heard, Piece
from .scenario import Scenario

BUSY = (429, 503)
NEUTRAL = ("busy", "pool_full", "stale_connection")  # say nothing about a target's health


@dataclass(frozen=True)
class Next:
    """An attempt that may follow, and the instant from which on."""

    target: int
    purpose: Purpose
    at: float
    is_fresh: bool = False


def kind_of(plan: Plan, heard: Heard) -> str:
    """Return the name of the failure that was heard of; "" where a head is no failure."""
    if heard.kind != "head":
        return heard.kind
    if heard.state is State.RESUMING:
        return "" if heard.status == 200 else "busy" if heard.status in BUSY else "unhealthy_status"
    if heard.status in BUSY:
        return "busy"
    return "unhealthy_status" if heard.status in plan.retry.statuses | plan.fallback.statuses else ""


def report_of(plan: Plan, heard: Heard) -> Report:
    """Return what a failure says of its target."""
    kind = kind_of(plan, heard)
    if heard.kind == "head" and heard.status == 503 and heard.retry_after_s is None:
        return Report.DOWN
    if heard.state is State.RESUMING and heard.kind == "head" and heard.status < 500:
        return Report.NEUTRAL
    if kind in ("connect_timeout", "silent", "first_event_timeout", "stalled"):
        return Report.SILENT
    return Report.NEUTRAL if kind in NEUTRAL or kind not in CAUSES else Report.FAILED


class Reckoning:
    """What was so far when something was heard of."""

    def __init__(self, scenario: Scenario, plan: Plan, before: list[Entry], heard: Heard) -> None:
        self.scenario = scenario
        self.plan = plan
        self.before = before
        self.heard = heard
        self.kind = kind_of(plan, heard)
        self.given = [entry for entry in before if isinstance(entry, Given)]
        self.target = heard.target
        self.here = [entry for entry in self.given if entry.target == heard.target]

    @property
    def may_send_again(self) -> bool:
        """Whether the request may go out once more."""
        return self.heard.is_replayable and (self.plan.may_resend or not self.heard.has_sent)

    @property
    def has_room(self) -> bool:
        """Whether there is time, and an attempt left."""
        return self.heard.at < self.plan.deadline and len(self.given) < self.plan.max_attempts

    def candidates(self) -> list[Next]:
        """Return what may follow, in the order in which the gate is to be asked; the first that it grants is taken."""
        heard = self.heard
        if not self.has_room or not self.may_send_again:
            return []
        if heard.state in (State.COMMITTED, State.RESUMING):
            if not self.plan.may_resend:
                return []
            return self._resumes() if heard.kind != "head" or self.kind else []
        if not self.kind:
            return self._larger() if heard.is_too_long else []
        if heard.has_others or self.kind not in CAUSES:
            return []
        found = [*self._waits(), *self._retries()]
        return [*found, *(self._others() if self._is_fallback_listed() else []), *self._busy_alone()]

    # -- the same target

    def busy_until(self) -> float:
        """Return when the target lets itself be asked again, by its own word."""
        told = [e for e in (*self.before, self.heard) if isinstance(e, Heard) and e.retry_after_s is not None]
        here = [e.at + (e.retry_after_s or 0.0) for e in told if e.target == self.target and e.status in BUSY]
        return max(here, default=-math.inf)

    def _tries(self) -> int:
        return sum(entry.purpose is not Purpose.HEDGE for entry in self.here)

    def _has_waited(self) -> bool:
        """Whether this target's word of when to come back was taken once before."""
        return any(
            isinstance(entry, Heard)
            and entry.target == self.target
            and entry.status in BUSY
            and not entry.has_others
            and self._is_short_wait(entry)
            for entry in self.before
        )

    def _is_short_wait(self, heard: Heard) -> bool:
        span_s = heard.retry_after_s
        is_short = span_s is not None and 0 < self.plan.busy_wait_s >= span_s
        return is_short and heard.at + (span_s or 0.0) < self.plan.deadline

    def _waits(self) -> list[Next]:
        if self.kind != "busy" or self._has_waited() or not self._is_short_wait(self.heard):
            return []
        at = self.heard.at + (self.heard.retry_after_s or 0.0)
        return [Next(self.target, Purpose.RETRY, at)] if at >= self.busy_until() else []

    def _retries(self) -> list[Next]:
        retryable, cause = KINDS[self.kind].retryable, CAUSES[self.kind]
        if retryable is Retryable.NO or cause == "busy" or cause not in self.plan.retry.on:
            return []
        if cause == "status" and self.heard.status not in self.plan.retry.statuses:
            return []
        return self._again(is_fresh=retryable is Retryable.REUSED)

    def _busy_alone(self) -> list[Next]:
        rule = self.plan.retry
        is_listed = self.kind == "busy" and "status" in rule.on and self.heard.status in rule.statuses
        has_waited = self._has_waited() or self._is_short_wait(self.heard)
        return self._again(is_fresh=False) if is_listed and not has_waited else []

    def _again(self, *, is_fresh: bool) -> list[Next]:
        at = self.heard.at if is_fresh else self.heard.at + self._pause_s(self._tries())
        is_late = at >= self.plan.deadline or at < self.busy_until()
        if self._tries() >= self.plan.retry.tries_per_target or is_late:
            return []
        return [Next(self.target, Purpose.RETRY, at, is_fresh)]

    def _pause_s(self, tries: int) -> float:
        rule = self.plan.retry
        return self.scenario.random * min(rule.max_backoff_s, rule.backoff_s * 2.0 ** (tries - 1))

    def _resumes(self) -> list[Next]:
        heard = self.heard
        is_refused = heard.kind == "head" and heard.status < 500 and self.kind != "busy"
        if is_refused or (heard.kind != "head" and not heard.can_resume):
            return []
        tries = self._resumes_since_it_moved()
        if self.busy_until() > heard.at + self.plan.busy_wait_s:
            return []
        at = max(heard.at if tries == 0 else heard.at + self._pause_s(tries), self.busy_until())
        if tries >= self.plan.resume_tries or at >= self.plan.deadline:
            return []
        return [Next(self.target, Purpose.RESUME, at)]

    def _resumes_since_it_moved(self) -> int:
        tries = 0
        for entry in self.before:
            if isinstance(entry, Piece):
                tries = 0
            elif isinstance(entry, Given) and entry.purpose is Purpose.RESUME:
                tries += 1
        return tries

    # -- other targets

    def unasked(self) -> list[int]:
        """Return the targets whose breaker was not asked yet."""
        count = len(self.plan.timeouts) if self.plan.is_fallback_allowed else min(1, len(self.plan.timeouts))
        asked = {entry.target for entry in self._asked(Purpose.FIRST)}
        return [target for target in range(count) if target not in asked and self._takes_it(target)]

    def refused(self) -> list[int]:
        """Return the targets whose breaker refused, in the order of asking, that were not asked all the same."""
        forced = {entry.target for entry in self._asked(Purpose.FORCED)}
        return [
            entry.target
            for entry in self._asked(Purpose.FIRST)
            if not entry.is_granted and entry.target not in forced and self._takes_it(entry.target)
        ]

    def _asked(self, purpose: Purpose) -> list[Asked]:
        return [entry for entry in self.before if isinstance(entry, Asked) and entry.purpose is purpose]

    def _others(self) -> list[Next]:
        unasked, at = self.unasked(), self.heard.at
        return [
            *(Next(target, Purpose.FIRST, at) for target in unasked),
            *(Next(target, Purpose.FORCED, at) for target in [*self.refused(), *unasked]),
        ]

    def _is_fallback_listed(self) -> bool:
        rule = self.plan.fallback
        return CAUSES[self.kind] in rule.on and (self.kind != "unhealthy_status" or self.heard.status in rule.statuses)

    # -- larger contexts

    def _context(self, target: int) -> int:
        """Return how much a target declares to take; 0 where it declares nothing."""
        contexts = self.plan.contexts
        return (contexts[target] or 0) if target < len(contexts) else 0

    def _grown_from(self) -> int | None:
        """Return the context that was too small, where the exchange went on to a larger one."""
        for entry in self.given:
            if entry.after is not None and entry.after.is_too_long and not kind_of(self.plan, entry.after):
                return self._context(entry.after.target)
        return None

    def _takes_it(self, target: int) -> bool:
        floor = self._grown_from()
        return floor is None or self._context(target) > floor

    def _larger(self) -> list[Next]:
        used, at = self._context(self.target), self.heard.at
        if not used or self._grown_from() is not None or not self.plan.may_resend:
            return []
        unasked = [target for target in self.unasked() if self._context(target) > used]
        refused = [target for target in self.refused() if self._context(target) > used]
        return [
            *(Next(target, Purpose.FIRST, at) for target in unasked),
            *(Next(target, Purpose.FORCED, at) for target in [*refused, *unasked]),
        ]
