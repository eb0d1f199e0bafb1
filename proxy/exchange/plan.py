"""What one exchange may do, fixed before it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

# RFC 9110 §9.2.2.
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

# Why an attempt failed, in the words of the configuration, by the name of the error.
CAUSES: dict[str, str] = {
    "connect_failed": "connect",
    "connect_timeout": "connect",
    "tls_failed": "connect",
    "pool_full": "connect",
    "reset": "reset",
    "stale_connection": "reset",
    "truncated": "reset",
    "silent": "silent",
    "first_event_timeout": "first_event",
    "unhealthy_status": "status",
    "busy": "busy",
    "error_event": "error_event",
    "stalled": "silent",
    "malformed_answer": "malformed",
    "malformed_event": "malformed",
    "answer_too_large": "malformed",
}

# What says nothing about the target's health: it is busy, or the failure is not its own.
NEUTRAL = frozenset({"busy", "pool_full", "stale_connection"})

BUSY_STATUSES = frozenset({429, 503})

# The causes that silence may have: no connection, no head, no first event in time.
SILENCES = frozenset({"connect", "silent", "first_event"})

_TOO_LONG_STATUSES = frozenset({400, 413, 422})
_blank = object.__new__


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long one target may be silent, in seconds: to the head, to the first event, between pieces."""

    head_s: float = 60.0
    first_event_s: float = 60.0
    idle_s: float = 60.0


@dataclass(frozen=True, slots=True)
class RetryRule:
    """When the same target is tried again, and how long after."""

    tries_per_target: int = 2
    on: frozenset[str] = frozenset({"connect", "reset", "status"})
    statuses: frozenset[int] = frozenset({502, 503, 504})
    backoff_s: float = 0.025
    max_backoff_s: float = 1.0


@dataclass(frozen=True, slots=True)
class FallbackRule:
    """When the next target is tried."""

    on: frozenset[str] = frozenset(
        {"connect", "reset", "silent", "first_event", "status", "busy", "error_event", "malformed"}
    )
    statuses: frozenset[int] = frozenset({500, 502, 503, 504, 529})


@dataclass(frozen=True, slots=True)
class HedgeRule:
    """When a target that is slow to begin is asked a second time, beside the first."""

    delay_s: float
    max_hedges: int = 1


@dataclass(frozen=True, slots=True)
class HoldRule:
    """How much of an answer is held back before the client gets any of it; the first that is reached ends it.

    `tokens` counts events with content, `span_s` runs from the first event; 0 means no such bound. `is_whole` holds the
    whole answer. `cap_bytes` bounds what is held in any case.
    """

    tokens: int = 0
    span_s: float = 0.0
    is_whole: bool = False
    cap_bytes: int = 1 << 20

    @property
    def due_s(self) -> float:
        """How long after the beginning it ends by itself; infinity where it does not."""
        return self.span_s if self.span_s and not self.is_whole else float("inf")


@dataclass(slots=True)  # nobody changes one; but a frozen one takes three times as long to make
class Plan:
    """The policy of a route, applied to one request.

    `timeouts` has one entry per target, in the order of trying. `may_resend` says whether the request may be sent again
    after bytes of it went out (an idempotent method, or the route's permission). `deadline` is an absolute instant.
    `contexts` holds what targets declare to take, in tokens. `resume_tries` bounds the attempts to continue a committed
    answer from one break to the next byte; 0: a break is told to the client at once. `prefills` says of each target
    whether it goes on from a text that it is told; empty: none does.

    What follows from the others: `faults` are the statuses that are failures, `max_fallbacks` says how many targets
    could be asked after the first, should it be silent.
    """

    timeouts: tuple[Timeouts, ...]
    deadline: float
    may_resend: bool
    is_fallback_allowed: bool = True
    max_attempts: int = 6
    busy_wait_s: float = 3.0
    commit: Literal["head", "first_event"] = "head"
    retry: RetryRule = field(default_factory=RetryRule)
    fallback: FallbackRule = field(default_factory=FallbackRule)
    hedge: HedgeRule | None = None
    hold: HoldRule | None = None
    contexts: tuple[int | None, ...] = ()
    resume_tries: int = 0
    prefills: tuple[bool, ...] = ()
    faults: frozenset[int] = field(init=False, repr=False, compare=False)
    max_fallbacks: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.faults = BUSY_STATUSES | self.retry.statuses | self.fallback.statuses
        num_targets = len(self.timeouts) if self.is_fallback_allowed else 1
        # Silence is cut short only where all that it may be called leads on to another target.
        self.max_fallbacks = min(num_targets, self.max_attempts) - 1 if self.fallback.on >= SILENCES else 0

    def at(self, deadline: float) -> Plan:
        """Return the same plan with another deadline. Cost: a copy, a tenth of what it takes to make one."""
        plan = _blank(Plan)
        plan.timeouts = self.timeouts
        plan.deadline = deadline
        plan.may_resend = self.may_resend
        plan.is_fallback_allowed = self.is_fallback_allowed
        plan.max_attempts = self.max_attempts
        plan.busy_wait_s = self.busy_wait_s
        plan.commit = self.commit
        plan.retry = self.retry
        plan.fallback = self.fallback
        plan.hedge = self.hedge
        plan.hold = self.hold
        plan.contexts = self.contexts
        plan.resume_tries = self.resume_tries
        plan.prefills = self.prefills
        plan.faults = self.faults
        plan.max_fallbacks = self.max_fallbacks
        return plan

    def fault_of(self, status: int) -> str | None:
        """Return the name of the failure that a status is, or None where it is an answer."""
        if status not in self.faults:
            return None
        return "busy" if status in BUSY_STATUSES else "unhealthy_status"

    def may_be_too_long(self, status: int) -> bool:
        """Whether that status may say that a prompt does not fit a target, where targets declare what they take."""
        return status in _TOO_LONG_STATUSES and any(context is not None for context in self.contexts)

    @property
    def max_resumes(self) -> int:
        """How many attempts could continue an answer whose first attempt was the only one."""
        return min(self.resume_tries, self.max_attempts - 1)

    def prefilled_after(self, target: int) -> tuple[int, ...]:
        """Return the targets behind `target` that go on from a text."""
        return tuple(n for n, is_prefilled in enumerate(self.prefills) if is_prefilled and n > target)
