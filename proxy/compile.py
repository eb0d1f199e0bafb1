"""Builds a snapshot out of a checked configuration."""

from __future__ import annotations

import hashlib
import inspect
import random
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ..ext.route_table import RouteTable
from .config.header_edits import HeaderEdits, RequestHeaderEdits
from .config.lint_guards import CLOSABLE, OPENABLE
from .config.schema import Config
from .config.schema_cluster import Cluster as ClusterConfig
from .config.schema_delivery import HoldBack
from .config.schema_guards import GuardConfig
from .config.schema_health import HealthCheck
from .config.schema_route import RouteConfig
from .endpoints import endpoint_of
from .exchange.exchange import RouteView
from .exchange.plan import FallbackRule, HedgeRule, HoldRule, RetryRule, Timeouts
from .guards import Guard, guarded
from .hook_timing import hook_seconds, timed
from .hooks import PluginType, make, manager
from .hookspecs import STAGES, ModelInfo, Setup
from .observe.access_log import AccessLog
from .observe.metrics import Counter, Histogram, Registry
from .observe.observer import Observer
from .plugin_close import close_plugin
from .plugin_error import PluginError, told
from .plugin_types import PluginTypes
from .snapshot import Draw, FieldEdits, RouteProgram, Snapshot
from .stages import Chain, Hook, count_of_failures
from .upstream.cluster import Cluster, ClusterSettings
from .upstream.health.breaker import BreakerSettings
from .upstream.health.budget import BudgetSettings
from .upstream.health.outlier import OutlierSettings
from .upstream.health.settings import CheckSettings, HealthSettings
from .upstream.pool import PoolLimits

_SCAN_LIMIT_BYTES = 1 << 30  # where the route sets no limit of its own
_RESUME_TRIES = 3
_SHAPING = ("route", "request", "aggregate")  # stages


def try_plugins(config: Config, types: PluginTypes) -> None:
    """Make every plugin of a configuration and close it again. Raises: PluginError."""
    registry = Registry()
    Observer(registry, AccessLog("off"))  # no plugin may have the name of one of its metrics
    made = dict[str, Any]()
    try:
        _instances(config, types, registry, None, made)
    finally:
        _close(made)


def build(config: Config, types: PluginTypes, registry: Registry, previous: Snapshot | None = None) -> Snapshot:
    """Return the snapshot of `config`. Raises: PluginError, OSError; then `previous` stays in force, untouched.

    Whatever it raises, it has closed the plugins that it made.
    """
    made = dict[str, Any]()
    try:
        return _snapshot(config, _instances(config, types, registry, previous, made), types, registry, previous)
    except BaseException:
        _close(made)
        raise


def _close(made: Mapping[str, Any]) -> None:
    for name, instance in made.items():
        close_plugin(name, instance)


def _snapshot(
    config: Config, instances: dict[str, Any], types: PluginTypes, registry: Registry, previous: Snapshot | None
) -> Snapshot:
    failures = registry.register(count_of_failures())
    hooks = {name: _guarded_hooks(name, instance, config, failures) for name, instance in instances.items()}
    programs = tuple(_program(route, config, hooks) for route in config.routes)
    seconds = registry.register(hook_seconds())
    return Snapshot(
        config=config,
        version=previous.version + 1 if previous else 1,
        programs=programs,
        table=RouteTable([route.to_spec() for route in config.routes]),
        clusters=_clusters(config, previous, types.counting.num_workers),
        instances=instances,
        models={name: model.to_groups() for name, model in config.models.items()},
        draw=_draw(programs, seconds, config.observe.time_hooks_every),
    )


def _draw(programs: tuple[RouteProgram, ...], seconds: Histogram, every: int) -> Draw | None:
    """Return what leads one exchange of about `every` by hooks that are timed; 0: none is."""
    if not every:
        return None
    # By chance, or a rhythm among the requests could keep some of them from being drawn.
    return Draw(tuple(timed(program, seconds) for program in programs), partial(random.randrange, 1, 2 * every))


def _instances(
    config: Config, types: PluginTypes, registry: Registry, previous: Snapshot | None, made: dict[str, Any]
) -> dict[str, Any]:
    """Return the plugins of `config`. Those that are new are put into `made`, too, each before it can fail."""
    infos = {name: ModelInfo(tuple(model.aliases), model.owned_by) for name, model in config.models.items()}
    instances = dict[str, Any]()
    for name, settings in config.plugins.items():
        old = previous.instances.get(name) if previous else None
        if old is not None and previous is not None and _is_unchanged(name, old, config, previous):
            instances[name] = old  # told nothing anew: should the rest be refused, it still serves the old snapshot
        else:
            kind = types.get(settings.use)
            instances[name] = made[name] = instance = make(kind, settings.settings)
            _set_up(instance, kind, Setup(name, old, infos, types.counting), registry)
    return instances


def _is_unchanged(name: str, instance: Any, config: Config, previous: Snapshot) -> bool:
    if previous.config.plugins[name] != config.plugins[name]:
        return False
    return previous.config.models == config.models or not hasattr(instance, "headgate_configure")


def _set_up(instance: Any, kind: PluginType, setup: Setup, registry: Registry) -> None:
    """Call the set-up hooks of a new instance. Raises: PluginError."""
    try:
        if hasattr(instance, "headgate_configure"):
            instance.headgate_configure(setup)
        if hasattr(instance, "headgate_metrics"):
            instance.headgate_metrics(registry)
    except (Exception, SystemExit) as error:
        raise PluginError(f"plugin `{setup.name}` ({kind.origin}): refused its configuration: {told(error)}") from error


def stage_hooks(name: str, instance: Any, failures: Counter | None = None) -> dict[str, Hook]:
    """Return the stage hooks of one instance, as pluggy finds them. Their failures are counted in `failures`."""
    plugins = manager()
    plugins.register(instance, name)
    plugins.check_pending()
    found: dict[str, Hook] = {}
    for stage, rule in STAGES.items():
        for implementation in getattr(plugins.hook, rule.hook).get_hookimpls():
            function = implementation.function
            found[stage] = Hook(name, function, inspect.iscoroutinefunction(function), failures)
    return found


def _guarded_hooks(name: str, instance: Any, config: Config, failures: Counter) -> dict[str, Hook]:
    """Return the stage hooks of one instance, under its guard where it has one that does anything."""
    hooks, settings = stage_hooks(name, instance, failures), config.guards.get(name)
    if settings is None:
        return hooks
    return {stage: guarded(hook, stage, _guard(settings, stage)) for stage, hook in hooks.items()}


def _guard(settings: GuardConfig, stage: str) -> Guard:
    allowed = {"closed": CLOSABLE, "open": OPENABLE}.get(settings.on_failure or "", frozenset())
    is_closed = settings.on_failure == "closed" if stage in allowed else None
    return Guard(settings.deadline, is_closed, settings.eject_after, settings.eject_for)


def _program(route: RouteConfig, config: Config, hooks: Mapping[str, Mapping[str, Hook]]) -> RouteProgram:
    names = config.plugins_of(route)
    return RouteProgram(
        view=RouteView(
            route.name,
            route.to_groups(),
            dict(route.plugins),
            route.kind == "inference",
            route.body_limit,
            _digest(route, config, names),
        ),
        chains={stage: Chain(stage, tuple(hooks[name][stage] for name in names.get(stage, ()))) for stage in STAGES},
        reads_model=route.read_model,
        scan_limit_bytes=route.body_limit or _SCAN_LIMIT_BYTES,
        replay=route.replay,
        replay_buffer_bytes=route.replay_buffer,
        deadline_s=route.deadline,
        commit=route.commit,
        retry=RetryRule(
            route.retry.attempts,
            frozenset(route.retry.on),
            frozenset(route.retry.statuses),
            route.retry.backoff,
            route.retry.max_backoff,
        ),
        fallback=FallbackRule(frozenset(route.fallback.on), frozenset(route.fallback.statuses)),
        max_attempts=route.max_attempts,
        busy_wait_s=route.busy_wait,
        hedge=HedgeRule(route.hedge.after, route.hedge.max) if route.hedge is not None else None,
        hold=_hold(route),
        resume_tries=_RESUME_TRIES if route.on_break == "resume" else 0,
        is_skipping_malformed=route.malformed == "skip",
        is_websocket_allowed=route.websocket,
        request_edits=_edits_of(route.request_headers),
        response_edits=_edits_of(route.response_headers),
    )


def _digest(route: RouteConfig, config: Config, names: Mapping[str, Sequence[str]]) -> str:
    """Return a digest of what shapes an answer before a cache sees it: who changes requests, and who aggregates."""
    shaping = [name for stage in _SHAPING for name in names.get(stage, ())]
    told = [(name, config.plugins[name], route.plugins.get(name)) for name in shaping]
    return hashlib.sha256(repr((told, route.request_headers)).encode()).hexdigest()


def _edits_of(edits: HeaderEdits | RequestHeaderEdits) -> FieldEdits | None:
    return FieldEdits(tuple(edits.set.items()), tuple(edits.remove)) if edits.set or edits.remove else None


def _hold(route: RouteConfig) -> HoldRule | None:
    hold = route.hold_back
    if hold == HoldBack():
        return None
    return HoldRule(hold.tokens, hold.span_s, hold.is_whole, route.hold_back_limit)


def _clusters(config: Config, previous: Snapshot | None, num_workers: int) -> dict[str, Cluster]:
    clusters: dict[str, Cluster] = {}
    for name, cluster in config.clusters.items():
        # An authority's file may hold something else under the same name.
        is_same = previous is not None and previous.config.clusters.get(name) == cluster and cluster.tls.ca is None
        if is_same and previous is not None:
            clusters[name] = previous.clusters[name]
        else:
            clusters[name] = Cluster(_settings(name, cluster, num_workers), random.random)
    return clusters


def _settings(name: str, cluster: ClusterConfig, num_workers: int) -> ClusterSettings:
    credential = None
    if cluster.credential is not None:
        credential = (cluster.credential_header, cluster.credential_prefix + cluster.credential.reveal())
    pool = cluster.pool
    return ClusterSettings(
        name=name,
        endpoints=tuple(endpoint_of(url, cluster.tls) for url in cluster.endpoints),
        timeouts=Timeouts(cluster.timeouts.head, cluster.timeouts.first_event, cluster.timeouts.idle),
        pool=PoolLimits(
            max_connections=pool.max_connections,
            max_waiting=pool.max_waiting,
            max_idle=pool.max_idle,
            idle_timeout_s=pool.idle_timeout,
            connect_timeout_s=cluster.timeouts.connect,
        ),
        credential=credential,
        set_fields=tuple(cluster.headers.set.items()),
        removed_fields=tuple(cluster.headers.remove),
        is_host_preserved=cluster.preserve_host,
        health=_health(cluster, num_workers),
    )


def _health(cluster: ClusterConfig, num_workers: int) -> HealthSettings:
    outlier, breaker, budget, check = cluster.outlier, cluster.breaker, cluster.retry_budget, cluster.health_check
    return HealthSettings(
        outlier=OutlierSettings(outlier.failures, outlier.base, outlier.max, outlier.max_share, outlier.panic),
        breaker=BreakerSettings(breaker.failures, breaker.probes, breaker.ramp, breaker.ramp_step),
        # The share of the requests adds up over the workers by itself.
        budget=BudgetSettings(budget.ratio, budget.floor / num_workers, budget.window),
        slow_start_s=cluster.slow_start,
        check=_check(check) if check is not None else None,
    )


def _check(check: HealthCheck) -> CheckSettings:
    return CheckSettings(
        path=check.path,
        interval_s=check.interval,
        timeout_s=check.timeout,
        num_healthy=check.healthy,
        num_unhealthy=check.unhealthy,
        statuses=frozenset(check.statuses),
    )
