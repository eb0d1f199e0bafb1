"""The plugin: who goes where, and how it went."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate

from ...proxy.buckets import num_buckets, place_of
from ...proxy.config.schema_route import to_groups
from ...proxy.errors import KINDS
from ...proxy.exchange.exchange import Exchange
from ...proxy.exchange.message import Response
from ...proxy.hookspecs import Setup, hookimpl
from ...proxy.observe.metrics import Counter, Gauge, Histogram, Registry
from ...proxy.verdicts import Outcome, Route, Target
from .config import STABLE, CanaryConfig, TesterConfig
from .watch import Watch

_MAX_ROUTES = 4096
_LABELS = ("plugin", "variant", "outcome")
_log = logging.getLogger("headgate.plugins")

Groups = tuple[tuple[Target, ...], ...]


class Canary:
    """Send a share of the callers to other targets, the same callers each time, and see how they fare.

    Silent for everybody else: then the next plugin of the stage, or the route's own targets, serve them.
    """

    Config = CanaryConfig

    def __init__(self, config: CanaryConfig) -> None:
        self._config = config
        self._variants = {name: _Variant(name, config) for name in config.variants}
        self._names = tuple(self._variants)
        self._ends = tuple(accumulate(variant.weight for variant in config.variants.values()))
        self._num_buckets = num_buckets(config.share)
        self._name = self._salt = "canary"
        self._model_names: Mapping[str, str] = {}
        self._requests = Counter("headgate_canary_requests", "Requests by variant and how they ended.", _LABELS)
        self._durations = Histogram("headgate_canary_duration_seconds", "Whole exchanges by variant.", _LABELS[:2])
        self._stopped = Gauge("headgate_canary_stopped", "Workers that have taken the variant out.", _LABELS[:2])

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Take the name and the models. Raises: ValueError for a model that is none."""
        self._name = setup.name
        self._salt = self._config.salt or setup.name
        self._model_names = {name: model for model, info in setup.models.items() for name in (model, *info.aliases)}
        unknown = [model for model in self._config.models if model not in setup.models]
        if unknown:
            raise ValueError(f"models: expected names under `models`, got `{unknown[0]}`")

    @hookimpl
    def headgate_metrics(self, registry: Registry) -> None:
        """Register what is counted."""
        self._requests = registry.register(self._requests)
        self._durations = registry.register(self._durations)
        self._stopped = registry.register(self._stopped)
        for name in self._names:
            self._stopped.set(0, self._name, name)

    @hookimpl
    def headgate_route(self, exchange: Exchange) -> Route | None:
        """Choose the caller's targets; None where they are the stable ones."""
        model = self._model_of(exchange)
        stable = exchange.groups or (exchange.models[model] if model is not None else ())
        if not stable or (self._config.models and model not in self._config.models):
            return None
        name = self._asked(exchange)
        chosen = _Chosen(name or self._drawn(exchange), is_asked=name is not None)
        exchange.state.setdefault(Canary, {})[self._name] = chosen
        if self._config.logged:
            exchange.extra[self._name] = chosen.name
        if chosen.name == STABLE:
            return None
        return self._variants[chosen.name].route(exchange.route.name, None if exchange.groups else model, stable)

    @hookimpl
    def headgate_response_head(self, exchange: Exchange, response: Response) -> None:
        """Tell the client, where it is wanted."""
        name, chosen = self._config.response_field, self._chosen(exchange)
        if name is not None and chosen is not None:
            response.fields.set(name, chosen.name)

    @hookimpl
    def headgate_log(self, exchange: Exchange, outcome: Outcome) -> None:
        """Count how it went; take a variant out that goes too badly."""
        chosen = self._chosen(exchange)
        if chosen is None:
            return
        variant = self._variants.get(chosen.name)
        how = _how_it_ended(outcome, variant)
        self._requests.add(self._name, chosen.name, how)
        self._durations.observe(outcome.duration_s, self._name, chosen.name)
        # What was answered without a target, or given up, or was a tester's choice, says nothing of the targets.
        if self._config.stop is not None and outcome.attempts and how != "gone" and not chosen.is_asked:
            self._watch(variant, is_error=how in ("error", "fallback"))

    def _model_of(self, exchange: Exchange) -> str | None:
        """Return the model asked for, under its own name."""
        return self._model_names.get(exchange.model) if exchange.model is not None else None

    def _chosen(self, exchange: Exchange) -> _Chosen | None:
        chosen: _Chosen | None = exchange.state.get(Canary, {}).get(self._name)
        return chosen

    def _asked(self, exchange: Exchange) -> str | None:
        """Return the variant that a tester asks for."""
        testers, identity = self._config.testers, exchange.identity
        if testers is None or identity is None:
            return None
        name = exchange.request.fields.get(testers.field)
        is_known = name == STABLE or name in self._variants
        return name if is_known and _may_choose(testers, identity.key_id) else None

    def _drawn(self, exchange: Exchange) -> str:
        if not self._num_buckets:
            return STABLE
        key = self._config.by.key_of(exchange)
        if key is None:
            return STABLE
        place = place_of(self._salt, key)
        if place.bucket >= self._num_buckets:
            return STABLE
        name = self._names[bisect_right(self._ends, place.point % self._ends[-1])]
        return STABLE if self._variants[name].is_stopped else name

    def _watch(self, variant: _Variant | None, *, is_error: bool) -> None:
        for watched in (variant,) if variant is not None else self._variants.values():
            watch = watched.watch
            if watch is None or watched.is_stopped:
                continue
            if watch.add(is_variant=variant is not None, is_error=is_error):
                watched.is_stopped = True
                self._stopped.set(1, self._name, watched.name)
                _log.warning("%s: variant %s is taken out: too many errors beside the stable", self._name, watched.name)


class _Chosen:
    """Where an exchange went. `is_asked`: a tester asked for it."""

    __slots__ = ("is_asked", "name")

    def __init__(self, name: str, *, is_asked: bool) -> None:
        self.name = name
        self.is_asked = is_asked


class _Variant:
    """One variant, with the routes that lead to it: the same object each time, so that a course is worked out once."""

    __slots__ = ("_groups", "_has_fallback", "_routes", "is_stopped", "name", "target_names", "watch")

    def __init__(self, name: str, config: CanaryConfig) -> None:
        variant, stop = config.variants[name], config.stop
        self.name = name
        self.is_stopped = False
        self.watch = Watch(stop.above, stop.requests) if stop is not None else None
        self._groups = to_groups(variant.targets)
        self._has_fallback = variant.fallback == "stable"
        self.target_names = frozenset(target.name for group in self._groups for target in group)
        self._routes: dict[tuple[str, str | None], tuple[Groups, Route]] = {}

    def route(self, name: str, model: str | None, stable: Groups) -> Route:
        """Return the way to the variant, and from there to the stable targets, for a route (and a model)."""
        known = self._routes.get((name, model))
        if known is not None and known[0] is stable:
            return known[1]
        if len(self._routes) >= _MAX_ROUTES:  # reloads brought ever new route names
            self._routes.clear()
        route = Route((*self._groups, *stable) if self._has_fallback else self._groups, model)
        self._routes[name, model] = (stable, route)
        return route


def _may_choose(testers: TesterConfig, key_id: str) -> bool:
    return any(key_id == key or (key.endswith("*") and key_id.startswith(key[:-1])) for key in testers.keys)


def _how_it_ended(outcome: Outcome, variant: _Variant | None) -> str:
    """Return `ok`, `client_error`, `error`, `gone`, or `fallback`: a stable target answered for the variant."""
    if outcome.is_client_gone:
        return "gone"
    if variant is not None and outcome.target is not None and outcome.target not in variant.target_names:
        return "fallback"
    if outcome.error is not None:
        return "client_error" if KINDS[outcome.error].source == "downstream" else "error"
    if outcome.status >= 500:
        return "error"
    return "client_error" if outcome.status >= 400 else "ok"
