"""How long an attempt may be silent, where others could still answer in its place."""

from __future__ import annotations

from .attempt import AWAITING_EVENT, AWAITING_HEAD, Attempt
from .plan import Plan

NEVER = float("inf")
LEAST_IDLE_S = 2.0  # near the deadline a part of what is left would be less than any model's pause


def begin_by(plan: Plan, attempt: Attempt, num_others: int) -> float:
    """Return when the attempt must have begun to answer; infinity where nobody waits for its turn.

    Each of the others has its part of the time that was left when the attempt last moved, and the last one two.
    """
    if not num_others:
        return NEVER
    return attempt.share_from + (plan.deadline - attempt.share_from) / (num_others + 2)


def timer(plan: Plan, attempt: Attempt, num_others: int) -> tuple[float, str]:
    """Return when an attempt that has a connection fails by itself, and the error that this is."""
    timeouts = plan.timeouts[attempt.target]
    if attempt.phase is AWAITING_HEAD:
        instant, kind = min(attempt.since + timeouts.head_s, begin_by(plan, attempt, num_others)), "silent"
    elif attempt.phase is AWAITING_EVENT:
        until = begin_by(plan, attempt, num_others)
        instant, kind = min(attempt.since + timeouts.first_event_s, until), "first_event_timeout"
    else:
        instant, kind = attempt.since + _idle_s(plan, attempt, num_others), "stalled"
    return (instant, kind) if instant < plan.deadline else (plan.deadline, "deadline")


def _idle_s(plan: Plan, attempt: Attempt, num_others: int) -> float:
    idle_s = plan.timeouts[attempt.target].idle_s
    if not num_others:
        return idle_s
    return min(idle_s, max(LEAST_IDLE_S, (plan.deadline - attempt.since) / (num_others + 2)))
