"""Options about answers, targets and clusters that do nothing, or not what they say."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Literal

from ..verdicts import CHAT_PATH, Target
from .feasible import TargetLists, can_be_chat, can_follow, why_never_resent
from .schema import Config
from .schema_delivery import HoldBack
from .schema_route import RouteConfig
from .units import duration_text, size_text
from .wording import Path

Finding = tuple[Path, str]
LEAST_WHOLE_BYTES = 16 << 10  # a whole answer of a model is seldom shorter
LEAST_EVENT_BYTES = 100  # an event with one token
_NONE = 1 << 60  # larger than any context


def find_idle_answers(config: Config) -> Iterator[Finding]:
    """Yield what is written about answers and never happens. Cost: linear in the routes and in all targets."""
    for place, route in enumerate(config.routes):
        at: Path = ("routes", place)
        yield from _unread_events(at, route)
        yield from _hold_back(at, route)
        yield from _hold_limit(at, route)
        yield from _contexts_of(at, route)
        yield from _needless(at, route, "prefill", _why_never_prefilled(route))
    for name, model in config.models.items():
        yield from _contexts(("models", name), model.to_groups())


def find_idle_health(config: Config) -> Iterator[Finding]:
    """Yield what is written about the health of clusters and never happens. Cost: linear in the clusters."""
    for name, cluster in config.clusters.items():
        at: Path = ("clusters", name)
        if len(cluster.endpoints) == 1:
            if "outlier" in cluster.model_fields_set:
                message = "the only endpoint is never left out, wanted another endpoint, or `breaker` in its place"
                yield (*at, "outlier"), message
            if "slow_start" in cluster.model_fields_set and cluster.slow_start:
                message = "the only endpoint always has the whole share, wanted another endpoint, or no `slow_start`"
                yield (*at, "slow_start"), message
        elif not cluster.outlier.max_share and cluster.outlier.model_fields_set & {"failures", "base", "max"}:
            yield (
                (*at, "outlier", "max_share"),
                "got 0, no endpoint is ever left out, wanted more for the rest to count",
            )
        if not cluster.breaker.ramp and "ramp_step" in cluster.breaker.model_fields_set:
            yield (*at, "breaker", "ramp_step"), "`ramp` has no steps, wanted some, or no `ramp_step`"


def find_idle_timeouts(config: Config, lists: TargetLists) -> Iterator[Finding]:
    """Yield timeouts that no deadline leaves room for. Cost: linear in the routes, and in what lists they may get."""
    longest_s = _longest_deadlines(config, lists)
    for name, cluster in config.clusters.items():
        deadline_s = longest_s.get(name, 0.0)
        for phase in sorted(cluster.timeouts.model_fields_set):
            timeout_s = float(getattr(cluster.timeouts, phase))
            if timeout_s >= deadline_s > 0:
                message = (
                    f"got {duration_text(timeout_s)}, no route that leads here has a deadline beyond "
                    f"{duration_text(deadline_s)}, wanted less than that"
                )
                yield ("clusters", name, "timeouts", phase), message


def _longest_deadlines(config: Config, lists: TargetLists) -> dict[str, float]:
    """Return the longest deadline under which each cluster may be asked."""
    by_list: dict[frozenset[str], float] = {}
    for route in config.routes:
        names = lists.clusters_of(route)
        by_list[names] = max(route.deadline, by_list.get(names, 0.0))
    longest_s: dict[str, float] = {}
    for names, deadline_s in by_list.items():
        for name in names:
            longest_s[name] = max(deadline_s, longest_s.get(name, 0.0))
    return longest_s


def _unread_events(at: Path, route: RouteConfig) -> Iterator[Finding]:
    """What is about events, where nobody reads them."""
    if route.kind == "inference":
        return
    if route.malformed == "skip":
        yield (*at, "malformed"), "events are read by `kind: inference` only, wanted that, or no `malformed`"
    if route.on_break == "resume":
        reason = (
            None if can_follow(route) else "`kind: http` with `commit: head` reads no events, so nothing is resumed"
        )
        reason = reason or why_never_resent(route)
        if route.max_attempts == 1:
            reason = "`max_attempts: 1` leaves no room to resume"
        if reason is not None:
            yield (*at, "on_break"), f"{reason}, wanted otherwise, or `on_break: error`"


def _why_never_prefilled(route: RouteConfig) -> str | None:
    """Say why no target continues an answer from its text."""
    if route.kind != "inference":
        return "only answers of `kind: inference` are continued from their text"
    if not can_be_chat(route.match.path):
        return f"no path that it takes ends in `{CHAT_PATH}`, and only chats are continued from their text"
    if route.on_break == "error":
        return "`on_break: error` continues no answer"
    if route.max_attempts == 1:
        return "`max_attempts: 1` leaves no room to continue an answer"
    return why_never_resent(route)


def _needless(
    at: Path, route: RouteConfig, name: Literal["context", "prefill"], reason: str | None
) -> Iterator[Finding]:
    """What targets declare and nobody asks for, where there is a reason for that."""
    for number, group in enumerate(route.targets if reason is not None else ()):
        for place, target in enumerate(group):
            if getattr(target, name) is not None:
                yield (*at, "targets", number, place, name), f"{reason}, wanted otherwise, or no `{name}`"


def _contexts_of(at: Path, route: RouteConfig) -> Iterator[Finding]:
    reason = why_never_resent(route)
    if route.max_attempts == 1:
        reason = "`max_attempts: 1` leaves no room for another target"
    yield from _needless(at, route, "context", reason) if reason is not None else _contexts(at, route.to_groups())


def _hold_back(at: Path, route: RouteConfig) -> Iterator[Finding]:
    hold, limit = route.hold_back, route.hold_back_limit
    path = (*at, "hold_back")
    if hold.tokens and not can_follow(route):
        message = "tokens are not counted on `kind: http` with `commit: head`, so that whole answers are held back"
        yield path, f"{message}, wanted `kind: inference`, or a time"
    elif hold.tokens * LEAST_EVENT_BYTES > limit:
        message = f"got {hold}, `hold_back_limit` ({size_text(limit)}) is reached before that, wanted more there"
        yield path, message
    if hold.span_s >= route.deadline:
        message = f"got {duration_text(hold.span_s)}, the deadline ({duration_text(route.deadline)}) comes first"
        yield path, f"{message}, wanted less than that, or `complete`"
    reason = "`max_attempts: 1` allows no other answer" if route.max_attempts == 1 else why_never_resent(route)
    if reason is not None and hold != HoldBack() and not hold.is_whole:
        yield path, f"{reason}, so that the answer only comes later, wanted otherwise, or no `hold_back`"


def _hold_limit(at: Path, route: RouteConfig) -> Iterator[Finding]:
    if "hold_back_limit" not in route.model_fields_set:
        return
    path, limit = (*at, "hold_back_limit"), route.hold_back_limit
    if route.hold_back == HoldBack():
        yield path, "nothing is held back here, wanted `hold_back`, or no limit"
    elif route.hold_back.is_whole and limit < LEAST_WHOLE_BYTES:
        message = f"got {size_text(limit)}, a longer answer is given away before it is complete"
        yield path, f"{message}, wanted {size_text(LEAST_WHOLE_BYTES)} or more"


def _contexts(at: Path, groups: tuple[tuple[Target, ...], ...]) -> Iterator[Finding]:
    """A context takes part only beside a larger one that is asked later, or a smaller one that is asked before."""
    contexts = [[target.context for target in group if target.context is not None] for group in groups]
    num_declared = sum(map(len, contexts))
    smallest = list(accumulate((min(group, default=_NONE) for group in contexts), min))
    largest = list(accumulate((max(group, default=0) for group in reversed(contexts)), max))[::-1]
    is_first = num_declared > 1  # of several it is a later one that is at fault
    for number, group in enumerate(groups):
        for place, target in enumerate(group):
            context = target.context
            if context is None:
                continue
            if not is_first and smallest[number] >= context >= largest[number]:
                yield (*at, "targets", number, place, "context"), _context_text(context, num_declared)
            is_first = False


def _context_text(context: int, num_declared: int) -> str:
    if num_declared == 1:
        return f"got {context}, no other target declares one, wanted a larger one there, or none here"
    return f"got {context}, the targets before declare as much, wanted more, or none"
