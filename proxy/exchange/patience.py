"""How long an attempt may be silent, where others could still answer in its place."""

from __future__ import annotations

from .attempt import ANSWERING, AWAITING_EVENT, AWAITING_HEAD, Attempt
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
    timeouts, phase, since = plan.timeouts[attempt.target], attempt.phase, attempt.since
    if phase is AWAITING_HEAD:
        instant, kind = since + timeouts.head_s, "silent"
    elif phase is AWAITING_EVENT:
        instant, kind = since + timeouts.first_event_s, "first_event_timeout"
    else:
        instant, kind = since + timeouts.idle_s, "stalled"
    deadline = plan.deadline
    if num_others:
        if phase is ANSWERING:
            until = since + max(LEAST_IDLE_S, (deadline - since) / (num_others + 2))
        else:
            until = attempt.share_from + (deadline - attempt.share_from) / (num_others + 2)
        if until < instant:
            instant = until
    return (instant, kind) if instant < deadline else (deadline, "deadline")
