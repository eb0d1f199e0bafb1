"""Options about further attempts that do nothing, because other options leave no room for them."""

from __future__ import annotations

from collections.abc import Iterator

from ..exchange.plan import BUSY_STATUSES
from .feasible import UNSENT_CAUSES, Shape, TargetLists, never_hedged, why_never_resent
from .schema import Config
from .schema_route import RouteConfig
from .units import duration_text
from .wording import Path

Finding = tuple[Path, str]
MAX_NAMED = 3
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "DELETE"})


def find_idle_attempts(config: Config, lists: TargetLists) -> Iterator[Finding]:
    """Yield what is written about retry, fallback and hedge, and never happens.

    Cost: linear in the routes, times the shapes of the models' targets for those that are routed by model.
    """
    for place, route in enumerate(config.routes):
        at: Path = ("routes", place)
        shapes = lists.of(route)
        if route.max_attempts == 1:
            yield from _single(at, route)
            continue
        yield from _too_many(at, route)
        yield from _pauses(at, route)
        yield from _busy_statuses(at, route)
        yield from _no_budget(at, route, config, lists)
        yield from _unsent(at, route)
        yield from _no_room(at, route)
        if shapes and "fallback" in route.model_fields_set and route.fallback.on and _is_alone(shapes):
            yield (*at, "fallback"), "there is no other target, wanted a second one, or no `fallback`"
        yield from _hedge_times(at, route, config, shapes or ())


def _written(route: RouteConfig) -> Iterator[str]:
    """Yield the options that ask for further attempts, as far as the file spells them out."""
    rules = {
        "retry": bool(route.retry.on) and route.retry.attempts > 1,
        "fallback": bool(route.fallback.on),
        "hedge": route.hedge is not None,
        "busy_wait": route.busy_wait > 0,
    }
    yield from (name for name, is_wanted in rules.items() if is_wanted and name in route.model_fields_set)


def _single(at: Path, route: RouteConfig) -> Iterator[Finding]:
    for name in _written(route):
        yield (*at, name), f"`max_attempts: 1` leaves no room for it, wanted 2 or more there, or no `{name}`"


def _too_many(at: Path, route: RouteConfig) -> Iterator[Finding]:
    """More of one kind than there may be of all."""
    most = route.max_attempts
    rule = route.retry
    if "attempts" in rule.model_fields_set and rule.attempts > most:
        message = f"got {rule.attempts}, `max_attempts` allows {most} over all targets, wanted no more than that"
        yield (*at, "retry", "attempts"), message
    if route.hedge is not None and route.hedge.max >= most:
        message = f"got {route.hedge.max}, `max_attempts: {most}` leaves room for {most - 1}, wanted no more than that"
        yield (*at, "hedge", "max"), message


def _pauses(at: Path, route: RouteConfig) -> Iterator[Finding]:
    rule = route.retry
    longest_s = min(rule.backoff, rule.max_backoff)
    if longest_s >= route.deadline:
        message = f"a pause may last until the deadline ({duration_text(route.deadline)}), wanted a shorter one"
        yield (*at, "retry", "backoff"), message
    elif "backoff" in rule.model_fields_set and rule.backoff > rule.max_backoff:
        most = duration_text(rule.max_backoff)
        message = (
            f"got {duration_text(rule.backoff)}, no pause is longer than `max_backoff` ({most}), wanted more there"
        )
        yield (*at, "retry", "backoff"), message


def _busy_statuses(at: Path, route: RouteConfig) -> Iterator[Finding]:
    """Listed or not, a busy status falls back as `busy`; it is retried as any other, where no other target is left."""
    retry, fallback = route.retry, route.fallback
    reasons = {
        "retry": None if "status" in retry.on else "is not retried without `status` in `on`, wanted that there",
        "fallback": None if "busy" in fallback.on else "is always `busy`, wanted that in `on`",
    }
    if retry.attempts == 1:
        reasons["retry"] = "is not retried with `attempts: 1`, wanted 2 or more there"
    for name, rule in (("retry", retry), ("fallback", fallback)):
        if reasons[name] is None or "statuses" not in rule.model_fields_set:
            continue
        for place, status in enumerate(rule.statuses):
            if status in BUSY_STATUSES:
                message = f"got {status}, which {reasons[name]}, or no {status} here"
                yield (*at, name, "statuses", place), message


def _no_budget(at: Path, route: RouteConfig, config: Config, lists: TargetLists) -> Iterator[Finding]:
    """What asks the same target again, where every cluster forbids it."""
    clusters = lists.clusters_of(route)
    if not clusters or any(config.clusters[name].retry_budget.is_ever_granted for name in clusters):
        return
    named = _listed([f"`{name}`" for name in sorted(clusters)])
    instead = {"retry": "`attempts: 1`", "busy_wait": "`busy_wait: 0`"}
    for name in _written(route):
        if name in instead:
            message = f"the `retry_budget` of {named} allows none, wanted `ratio` or `floor` above 0 there"
            yield (*at, name), f"{message}, or {instead[name]}"


def _unsent(at: Path, route: RouteConfig) -> Iterator[Finding]:
    """What begins after a request was sent, where none may be sent again."""
    reason = why_never_resent(route)
    if reason is None:
        return
    for name in _written(route):
        if name in ("hedge", "busy_wait"):
            yield (*at, name), f"{reason}, wanted `replay: safe` where twice does no harm, or no `{name}`"
    for name, rule in (("retry", route.retry), ("fallback", route.fallback)):
        late = [cause for cause in rule.on if cause not in UNSENT_CAUSES]
        if late and "on" in rule.model_fields_set:
            causes = ", ".join(f"`{cause}`" for cause in late)
            message = f"{reason}, so nothing follows {causes}, wanted `replay: safe` where twice does no harm"
            yield (*at, name, "on"), message


def _no_room(at: Path, route: RouteConfig) -> Iterator[Finding]:
    """A body that is not kept cannot be sent again."""
    if route.replay_buffer or route.replay == "never" or "replay_buffer" not in route.model_fields_set:
        return
    methods = route.match.methods
    has_bodies = not methods or not _BODILESS.issuperset(methods)
    if has_bodies and (route.replay == "safe" or any(True for _ in _written(route))):
        message = "got 0, so that no request is sent again once some of its body went out, wanted room for the body"
        yield (*at, "replay_buffer"), message


def _is_alone(shapes: tuple[Shape, ...]) -> bool:
    return all(sum(map(len, shape)) == 1 for shape in shapes)


def _hedge_times(at: Path, route: RouteConfig, config: Config, shapes: tuple[Shape, ...]) -> Iterator[Finding]:
    """A hedge that is due when its attempt is over."""
    if route.hedge is None or why_never_resent(route) is not None:
        return
    path, after = (*at, "hedge", "after"), duration_text(route.hedge.after)
    if route.hedge.after >= route.deadline:
        deadline = duration_text(route.deadline)
        yield path, f"got {after}, the deadline ({deadline}) comes first, wanted less than that"
        return
    late = never_hedged(route, config.clusters, shapes)
    asked = {name for shape in shapes for group in shape for name in group}
    if late and asked == set(late):  # else it is meant for those that it reaches
        named = [f"`{name}` is given up after {duration_text(round(span_s, 3))}" for name, span_s in late.items()]
        yield path, f"got {after}, {_listed(named)}, wanted less than that"


def _listed(named: list[str]) -> str:
    more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
    return f"{', '.join(named[:MAX_NAMED])}{more}"
