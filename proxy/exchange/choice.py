"""Which attempt comes next."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import KINDS, Retryable
from .attempt import Attempt, Purpose
from .gate import Gate
from .plan import CAUSES, SILENCES, Plan


class Choice:
    """Retry, fallback, hedge and resume of one exchange: what the plan, the gate and the time that is left allow.

    `num_attempts` counts attempts given out; `target` is the one asked last; `random` returns a float in [0, 1).
    """

    __slots__ = (
        "_busy_until",
        "_busy_waited",
        "_forced",
        "_gate",
        "_has_grown",
        "_left",
        "_plan",
        "_random",
        "_resumes",
        "_tries",
        "num_attempts",
        "num_hedges",
        "target",
    )

    def __init__(self, plan: Plan, gate: Gate, random: Callable[[], float], *, is_admitted: bool) -> None:
        """`is_admitted`: the first attempt, at the first target, was given out; else its breaker refused it."""
        self._plan = plan
        self._gate = gate
        self._random = random
        count = len(plan.timeouts) if plan.is_fallback_allowed else 1
        self._left = list(range(count - 1, 0, -1))  # targets not asked yet, the next one last
        # Targets whose breaker is open, the next one last: asked after all others.
        self._forced = [] if is_admitted else [0]
        self._tries = 1  # on the target in use
        self._resumes = 0  # since the answer last moved
        self._busy_until = 0.0  # so the target in use said: until then it is not asked again
        self._busy_waited = False
        self._has_grown = False
        self.num_attempts = 1 if is_admitted else 0
        self.num_hedges = 0
        self.target = 0

    def after(self, kind: str, now: float, status: int, retry_after_s: float | None) -> Attempt | None:
        """Return the next attempt that the plan allows after a failure before the commit point, or None."""
        if kind not in CAUSES or not self._has_room(now):
            return None
        if kind == "busy" and (waited := self._wait_for_busy(now, retry_after_s)) is not None:
            return waited
        if (again := self._retry(kind, now, status)) is not None:
            return again
        return self._fall_back(kind, now, status) or self._retry_busy_alone(kind, now, status)

    def larger(self, now: float) -> Attempt | None:
        """Return an attempt at the next target that declares a larger context than the one in use: once."""
        contexts = self._plan.contexts
        used = contexts[self.target] if self.target < len(contexts) else None
        if used is None or self._has_grown or not self._has_room(now):
            return None
        larger = [t for t in (*self._left, *self._forced) if t < len(contexts) and (contexts[t] or 0) > used]
        if not larger:
            return None
        self._has_grown = True
        self._left = [target for target in self._left if target in larger]
        self._forced = [target for target in self._forced if target in larger]
        return self.next_target(now)

    def hedge(self, slow: Attempt, now: float, *, is_ready: bool) -> Attempt | None:
        """Return a second attempt at the target of `slow`, or None: then for good."""
        rule = self._plan.hedge
        if rule is None:
            return None
        may_begin = is_ready and self._has_room(now) and now >= self._busy_until
        hedge = self._admitted(slow.target, Purpose.HEDGE, now, now) if may_begin else None
        # Where one is denied, no other is asked for.
        self.num_hedges = rule.max_hedges if hedge is None else self.num_hedges + 1
        return hedge

    def resume(self, now: float) -> Attempt | None:
        """Return an attempt to continue the committed answer, or None.

        At the same target; where that failed, at the next that goes on from a text. The gate refuses who could not.
        """
        if self._resumes >= self._plan.resume_tries or not self._has_room(now):
            return None
        others = self._plan.prefilled_after(self.target)
        pause_s = self._pause_s(self._resumes) if self._resumes else 0.0
        targets = (*others, self.target) if self._resumes else (self.target, *others)
        self._resumes += 1
        for target in targets:
            is_same = target == self.target
            attempt = self._resume_again(now + pause_s, now) if is_same else self._resume_at(target, now)
            if attempt is not None:
                return attempt
        return None

    def _resume_again(self, at: float, now: float) -> Attempt | None:
        if self._busy_until > now + self._plan.busy_wait_s:
            return None
        at = max(at, self._busy_until)
        return self._admitted(self.target, Purpose.RESUME, at, now) if at < self._plan.deadline else None

    def _resume_at(self, target: int, now: float) -> Attempt | None:
        attempt = self._admitted(target, Purpose.RESUME, now, now)
        return self._at(attempt) if attempt is not None else None

    def moved(self) -> None:
        """The committed answer goes on: a later break has its tries anew."""
        self._resumes = 0

    def busy(self, now: float, retry_after_s: float | None) -> None:
        """The target in use is busy, and may say for how long it is not to be asked again."""
        if retry_after_s is not None:
            self._busy_until = max(self._busy_until, now + retry_after_s)

    @property
    def num_left(self) -> int:
        """How many further targets could still be asked, should the one in use be silent."""
        # Silence is cut short only where all that it may be called leads on to another target.
        if not self._plan.fallback.on >= SILENCES:
            return 0
        return min(len(self._left) + len(self._forced), self._plan.max_attempts - self.num_attempts)

    @property
    def num_resumes_left(self) -> int:
        """How many further attempts could still continue the committed answer."""
        return min(self._plan.resume_tries - self._resumes, self._plan.max_attempts - self.num_attempts)

    def _has_room(self, now: float) -> bool:
        return now < self._plan.deadline and self.num_attempts < self._plan.max_attempts

    def _wait_for_busy(self, now: float, retry_after_s: float | None) -> Attempt | None:
        # 429/503 mean busy, not broken: a short wait that the target asked for is waited out once.
        longest_s = self._plan.busy_wait_s
        if retry_after_s is None or self._busy_waited or not longest_s or retry_after_s > longest_s:
            return None
        if now + retry_after_s >= self._plan.deadline:
            return None
        self._busy_waited = True
        return self._again(now + retry_after_s, now)

    def _retry(self, kind: str, now: float, status: int) -> Attempt | None:
        rule, cause = self._plan.retry, CAUSES[kind]
        retryable = KINDS[kind].retryable
        # Silence is never retried on the same target; a busy one is left alone while others are there.
        if retryable is Retryable.NO or cause == "busy" or cause not in rule.on:
            return None
        if cause == "status" and status not in rule.statuses:
            return None
        return self._paused(now, is_fresh=retryable is Retryable.REUSED)

    def _retry_busy_alone(self, kind: str, now: float, status: int) -> Attempt | None:
        rule = self._plan.retry
        if kind != "busy" or "status" not in rule.on or status not in rule.statuses or self._busy_waited:
            return None
        return self._paused(now, is_fresh=False)

    def _paused(self, now: float, *, is_fresh: bool) -> Attempt | None:
        """Return one more try of the same target, after a pause: none where a kept connection was closed."""
        if self._tries >= self._plan.retry.tries_per_target:
            return None
        at = now if is_fresh else now + self._pause_s(self._tries)
        attempt = self._again(at, now) if at < self._plan.deadline else None
        if attempt is not None:
            attempt.is_fresh = is_fresh
        return attempt

    def _again(self, at: float, now: float) -> Attempt | None:
        if at < self._busy_until:
            return None
        attempt = self._admitted(self.target, Purpose.RETRY, at, now)
        if attempt is not None:
            self._tries += 1
        return attempt

    def _pause_s(self, tries: int) -> float:
        rule = self._plan.retry
        ceiling = min(rule.max_backoff_s, rule.backoff_s * 2.0 ** (tries - 1))
        return ceiling * self._random()  # full jitter: a herd must not return together

    def _fall_back(self, kind: str, now: float, status: int) -> Attempt | None:
        plan = self._plan
        if CAUSES[kind] not in plan.fallback.on:
            return None
        if kind == "unhealthy_status" and status not in plan.fallback.statuses:
            return None
        return self.next_target(now)

    def next_target(self, now: float) -> Attempt | None:
        """Return an attempt at the next target that may be asked; an open breaker moves its target behind."""
        while self._left:
            target = self._left.pop()
            attempt = self._admitted(target, Purpose.FIRST, now, now)
            if attempt is not None:
                return self._at(attempt)
            self._forced.insert(0, target)
        while self._forced:
            attempt = self._force(self._forced.pop(), now)
            if attempt is not None:
                return attempt
        return None

    def _force(self, target: int, now: float) -> Attempt | None:
        attempt = self._admitted(target, Purpose.FORCED, now, now)
        return self._at(attempt) if attempt is not None else None

    def _at(self, attempt: Attempt) -> Attempt:
        self.target = attempt.target
        self._tries = 1
        self._busy_until = 0.0
        self._busy_waited = False
        return attempt

    def _admitted(self, target: int, purpose: Purpose, at: float, now: float) -> Attempt | None:
        ticket = self._gate.admit(target, purpose, now)
        if ticket is None:
            return None
        self.num_attempts += 1
        return Attempt(self.num_attempts, target, at, purpose, ticket)
