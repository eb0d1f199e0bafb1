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
    "malformed_answer": "malformed",
    "answer_too_large": "malformed",
}

BUSY_STATUSES = frozenset({429, 503})


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
class Plan:
    """The policy of a route, applied to one request.

    `timeouts` has one entry per target, in the order of trying. `may_resend` says whether the request may be sent again
    after bytes of it went out (an idempotent method, or the route's permission). `deadline` is an absolute instant.
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
