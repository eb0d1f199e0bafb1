"""How hard a route tries for one request, in words: only what can happen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..verdicts import Target
from .feasible import can_be_chat, can_follow, can_outgrow, can_resume, causes_of, never_hedged, num_hedges, shape_of
from .schema_cluster import Cluster
from .schema_delivery import HoldBack
from .schema_route import RouteConfig
from .units import duration_text, size_text
from .worst_case import WorstCase

Groups = Sequence[Sequence[Target]]


def policy_lines(
    route: RouteConfig, groups: Groups, clusters: Mapping[str, Cluster], worst: WorstCase, *, may_resend: bool
) -> tuple[tuple[str, str], ...]:
    """Say what follows a failure, as pairs of a name and a text. Where there is no target, plugins decide."""
    if not groups:
        return (("deadline", duration_text(route.deadline)),)
    return (
        ("commit", "with the head" if route.commit == "head" else "with the first event or byte of the body"),
        ("replay", f"{route.replay}: {_replay(route, may_resend)}"),
        ("retry", _retry(route, may_resend)),
        ("fallback", _fallback(route, groups, may_resend)),
        ("hedge", _hedge(route, groups, clusters, may_resend)),
        ("hold back", _hold(route)),
        ("after a break", _resume(route, groups, may_resend)),
        ("deadline", duration_text(route.deadline)),
        ("worst case", f"{counted(worst.attempts, 'attempt')}, {_span(worst.latency_s)}{_cut(worst)}"),
        ("worst cost", f"{counted(worst.cost, 'computation')} of the request"),
    )


def counted(number: int, what: str) -> str:
    """Write a number of things: `1 token`, `2 tokens`."""
    return f"{number} {what}{'s' * (number != 1)}"


def _span(seconds: float) -> str:
    return duration_text(round(seconds, 3))


def _replay(route: RouteConfig, may_resend: bool) -> str:
    if route.max_attempts == 1:
        return "there is one attempt"
    if not may_resend:
        return "sent again only if nothing of it was sent"
    if not route.replay_buffer:
        return "sent again after a failure, with a body only if nothing of that was sent"
    return f"a body up to {size_text(route.replay_buffer)} is sent again after a failure"


def _retry(route: RouteConfig, may_resend: bool) -> str:
    tries, causes = min(route.retry.attempts, route.max_attempts), causes_of(route.retry.on, may_resend=may_resend)
    if tries == 1 or not causes:
        return "none"
    return f"up to {tries} tries of a target for {', '.join(causes)}"


def _fallback(route: RouteConfig, groups: Groups, may_resend: bool) -> str:
    if sum(map(len, groups)) == 1:
        return "none"
    causes = list(causes_of(route.fallback.on, may_resend=may_resend)) if route.max_attempts > 1 else []
    if can_outgrow(route, groups, may_resend=may_resend):
        causes.append("a prompt longer than the target's context")
    # Whose breaker is open is passed over before there is an attempt.
    return f"for {', '.join(causes)}" if causes else "none, but past an open breaker"


def _hedge(route: RouteConfig, groups: Groups, clusters: Mapping[str, Cluster], may_resend: bool) -> str:
    number = num_hedges(route, may_resend=may_resend)
    if route.hedge is None or not number:
        return "none"
    shape = shape_of(groups)
    late = never_hedged(route, clusters, [shape])
    after = duration_text(route.hedge.after)
    given_up = ", ".join(f"{name} is given up after {_span(span_s)}" for name, span_s in late.items())
    if len(late) == len({name for group in shape for name in group}):
        return f"none: {given_up}, before {after}"
    return f"{number} beside one that has not begun after {after}" + (f"; {given_up}" if late else "")


def _hold(route: RouteConfig) -> str:
    hold = route.hold_back
    if hold == HoldBack():
        return "none"
    # Where nobody reads events no token is ever counted, and what would outlast the deadline never ends by itself.
    is_whole = hold.is_whole or (hold.tokens > 0 and not can_follow(route)) or hold.span_s >= route.deadline
    amount = counted(hold.tokens, "token") if hold.tokens else duration_text(hold.span_s)
    return f"{'the whole answer' if is_whole else amount}, up to {size_text(route.hold_back_limit)}"


def _resume(route: RouteConfig, groups: Groups, may_resend: bool) -> str:
    if not can_resume(route, may_resend=may_resend):
        return "an error"
    is_chat = route.kind == "inference" and can_be_chat(route.match.path)  # whose text alone is enough to go on
    told = [target.name for group in groups for target in group if is_chat and target.prefill is not None]
    from_text = f", or a chat from its text by {', '.join(told)}" if told else ""
    return f"resumed where that is exact{from_text}, else an error"


def _cut(worst: WorstCase) -> str:
    """Say why the worst case is no longer than it is."""
    if not worst.is_cut_by_deadline:
        return ""
    if worst.patience_s == float("inf"):
        return " (the deadline; an answer that is held back may take all of it)"
    return f" (the deadline; timeouts add up to {_span(worst.patience_s)})"
