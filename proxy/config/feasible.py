"""What a route can do at all: which attempts its options leave room for, whatever they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..exchange.plan import IDEMPOTENT, SILENCES
from ..verdicts import CHAT_PATH, Target
from .schema import Config
from .schema_cluster import Cluster
from .schema_route import RouteConfig

MODEL_ROUTE = "model_route"
MAX_SHAPES = 100
# Why an attempt may fail before a byte of the request was sent: no connection, or one that is no longer sound.
UNSENT_CAUSES = frozenset({"connect", "reset", "malformed"})
_KEY = "idempotency-key"

# The clusters of a list of targets, group by group: all that decides how long they may be silent.
Shape = tuple[tuple[str, ...], ...]


def may_be_resent(route: RouteConfig, method: str, *, has_key: bool = False) -> bool:
    """Whether a request may be sent again after bytes of it went out (RFC 9110 §9.2.2).

    `has_key`: it has an Idempotency-Key.
    """
    return route.replay == "safe" or (route.replay == "idempotent" and (has_key or method in IDEMPOTENT))


def why_never_resent(route: RouteConfig) -> str | None:
    """Say what forbids to send again what was sent, for all requests of the route, or all without a key for it.

    None where some may be sent again.
    """
    if route.replay == "never":
        return "`replay: never` forbids to send again what was sent"
    methods = route.match.methods
    rule = route.match.headers.get(_KEY)
    is_keyed = rule is not None and rule.present is not False
    if route.replay == "safe" or not methods or is_keyed or not IDEMPOTENT.isdisjoint(methods):
        return None
    return f"`replay: idempotent` forbids to send a {' or '.join(methods)} again that has no Idempotency-Key"


def causes_of(on: Sequence[str], *, may_resend: bool) -> tuple[str, ...]:
    """Return the causes out of `on` that an attempt can have, and another one follow."""
    return tuple(cause for cause in on if may_resend or cause in UNSENT_CAUSES)


def can_follow(route: RouteConfig) -> bool:
    """Whether anybody reads the events of a committed answer."""
    return route.kind == "inference" or route.commit == "first_event"


def can_resume(route: RouteConfig, *, may_resend: bool) -> bool:
    """Whether a committed answer that breaks off can be continued, where its service allows it."""
    return route.on_break == "resume" and may_resend and route.max_attempts > 1 and can_follow(route)


def can_be_chat(path: str) -> bool:
    """Whether a pattern takes paths of chats: only their answers are continued from a text."""
    ends = path.split("/")[-2:]
    if ends[-1].startswith("{*"):
        return True
    return all(end.startswith("{") or end == name for end, name in zip(ends, CHAT_PATH.split("/")[1:], strict=True))


def can_outgrow(route: RouteConfig, groups: Sequence[Sequence[Target]], *, may_resend: bool) -> bool:
    """Whether a prompt that is too long for one target may go on to another one, that declares a larger context."""
    contexts = {target.context for group in groups for target in group if target.context is not None}
    return may_resend and route.max_attempts > 1 and len(contexts) > 1


def num_hedges(route: RouteConfig, *, may_resend: bool) -> int:
    """Return how many hedges one exchange may have."""
    if route.hedge is None or not may_resend or route.hedge.after >= route.deadline:
        return 0
    return min(route.hedge.max, route.max_attempts - 1)


def most_tries(route: RouteConfig, *, may_resend: bool) -> int:
    """Return how many tries one target may get, hedges left out: one more for a busy one that asks for a short wait."""
    tries = route.retry.attempts if causes_of(route.retry.on, may_resend=may_resend) else 1
    return tries + has_busy_wait(route, may_resend=may_resend)


def has_busy_wait(route: RouteConfig, *, may_resend: bool) -> bool:
    """Whether a busy target may be waited for: it was sent the request already."""
    return may_resend and route.busy_wait > 0


def whole_s(route: RouteConfig, cluster: Cluster) -> float:
    """Return how long one attempt may take to begin, in seconds."""
    times = cluster.timeouts
    return times.connect + times.head + (times.first_event if route.commit == "first_event" else 0.0)


def never_hedged(route: RouteConfig, clusters: Mapping[str, Cluster], shapes: Sequence[Shape]) -> Mapping[str, float]:
    """Return the clusters that are given up before a hedge is due wherever they are asked, and after how long."""
    if route.hedge is None:
        return {}
    longest: dict[str, float] = {}
    for shape in shapes:
        num_asked, num_all = 0, sum(map(len, shape))
        for group in shape:
            num_asked += len(group)
            for name in group:
                span_s = _patience_s(route, clusters[name], num_asked, num_all)
                longest[name] = max(span_s, longest.get(name, 0.0))
    return {name: span_s for name, span_s in longest.items() if span_s <= route.hedge.after}


def _patience_s(route: RouteConfig, cluster: Cluster, num_asked: int, num_all: int) -> float:
    """Return how long a target may take to begin, in seconds, at most.

    `num_asked` are the targets up to its group. While others are left a silent one has a share of the time only, the
    larger the fewer attempts are left for them (see exchange/patience.py).
    """
    longest_s = whole_s(route, cluster)
    if num_asked == num_all or not set(route.fallback.on) >= SILENCES:
        return longest_s
    num_attempts = most_tries(route, may_resend=True) * num_asked
    num_left = min(num_all - num_asked, max(1, route.max_attempts - num_attempts))
    connect_s = cluster.timeouts.connect
    return min(longest_s, connect_s + max(0.0, route.deadline - connect_s) / (num_left + 2))


def shape_of(groups: Sequence[Sequence[Target]]) -> Shape:
    """Return the clusters of `groups`."""
    return tuple(tuple(target.cluster for target in group) for group in groups)


class TargetLists:
    """Which lists of targets the routes of a configuration may get, as shapes."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._anywhere = frozenset(config.clusters)
        self._of_models = tuple(dict.fromkeys(shape_of(model.to_groups()) for model in config.models.values()))
        self._by_model = _names(self._of_models)

    def of(self, route: RouteConfig) -> tuple[Shape, ...] | None:
        """Return the shapes that `route` may get; None where plugins decide, or where they are too many to look at.

        A request without a body names no model: it goes to the route's own targets, where it has any.
        """
        if self._is_free(route) or (self._is_by_model(route) and len(self._of_models) > MAX_SHAPES):
            return None
        own = (shape_of(route.to_groups()),) if route.targets else ()
        return (*self._of_models, *own) if self._is_by_model(route) else own

    def clusters_of(self, route: RouteConfig) -> frozenset[str]:
        """Return the clusters that `route` may lead to."""
        if self._is_free(route):
            return self._anywhere
        own = {target.cluster for group in route.targets for target in group}
        if not self._is_by_model(route):
            return frozenset(own)
        return self._by_model | own if own else self._by_model

    def _is_by_model(self, route: RouteConfig) -> bool:
        return bool(self._config.plugins_of(route).get("route"))

    def _is_free(self, route: RouteConfig) -> bool:
        plugins = self._config.plugins_of(route)
        routers = plugins.get("route", ())
        return bool(plugins.get("aggregate")) or any(self._config.plugins[name].use != MODEL_ROUTE for name in routers)


def _names(shapes: Sequence[Shape]) -> frozenset[str]:
    return frozenset(name for shape in shapes for group in shape for name in group)
