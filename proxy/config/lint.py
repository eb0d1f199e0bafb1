"""What is wrong or doubtful between parts of a configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from ...ext.route_table import RouteSpec, RouteTable
from ..forwarded import is_ours
from .addresses import Address, parse_address
from .feasible import TargetLists
from .lint_answers import find_idle_answers, find_idle_health, find_idle_timeouts
from .lint_attempts import find_idle_attempts
from .schema import Config
from .schema_route import RouteMatch, TargetConfig
from .wording import Path, path_text, shown

Finding = tuple[Path, str]
MAX_COMPARED = 1000
_HTTP_CACHE, _COMPLETION_CACHE = "cache", "completion_cache"


def find_conflicts(data: Any, config: Config | None) -> Iterator[Finding]:
    """Yield what contradicts itself. Where `data` is wrong elsewhere `config` is None: what cannot be read is skipped.

    Cost: O(n²) in the number of routes with one path, of which the first `MAX_COMPARED` are compared.
    """
    if not isinstance(data, dict):
        return
    routes = [(place, route) for place, route in enumerate(_items(data, "routes")) if isinstance(route, dict)]
    yield from _repeated_routes(routes)
    yield from _shadowed_routes(routes, config)
    yield from _idle_routes(routes, data)
    yield from _colliding_aliases(data)
    yield from _repeated_addresses(data)


def find_doubts(config: Config) -> Iterator[Finding]:
    """Yield what is allowed but hardly meant, and what does nothing. Cost: as `find_idle_attempts` and the others."""
    yield from _unused_clusters(config)
    yield from _unused_plugins(config)
    yield from _unused_options(config)
    yield from _unreached_completions(config)
    yield from _unreached_models(config)
    yield from _exposed_secrets(config)
    yield from _idle_edits(config)
    lists = TargetLists(config)
    yield from find_idle_attempts(config, lists)
    yield from find_idle_timeouts(config, lists)
    yield from find_idle_answers(config)
    yield from find_idle_health(config)


def _items(data: dict[str, Any], name: str) -> list[Any]:
    items = data.get(name)
    return items if isinstance(items, list) else []


def _mapping(data: dict[str, Any], name: str) -> dict[str, Any]:
    section = data.get(name)
    return section if isinstance(section, dict) else {}


def _repeated_routes(routes: list[tuple[int, dict[str, Any]]]) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for place, route in routes:
        name = route.get("name", f"route-{place + 1}")
        if not isinstance(name, str):
            continue
        if name in first:
            yield ("routes", place, "name"), f"`{name}` is the name of routes[{first[name]}] too, wanted another name"
        first.setdefault(name, place)


def _shadowed_routes(routes: list[tuple[int, dict[str, Any]]], config: Config | None) -> Iterator[Finding]:
    if config is not None:
        readable = [(place, route.to_spec()) for place, route in enumerate(config.routes)]
    else:
        readable = [(place, spec) for place, route in routes if (spec := _spec_of(place, route)) is not None]
    compared = list(_first_of_each_path(readable))
    for loser, winner in RouteTable([spec for _, spec in compared]).shadowed():
        (place, _), (other, spec) = compared[loser], compared[winner]
        message = f"no request gets here, routes[{other}] (`{spec.name}`) takes them all, wanted a narrower match there"
        yield ("routes", place, "match"), message


def _first_of_each_path(routes: list[tuple[int, RouteSpec]]) -> Iterator[tuple[int, RouteSpec]]:
    """Leave out what would make the comparison, quadratic in the routes of one path, take minutes."""
    seen: Counter[str] = Counter()
    for place, spec in routes:
        seen[spec.path] += 1
        if seen[spec.path] <= MAX_COMPARED:
            yield place, spec


def _spec_of(place: int, route: dict[str, Any]) -> RouteSpec | None:
    name = route.get("name", f"route-{place + 1}")
    try:
        return RouteMatch.model_validate(route.get("match")).to_spec(str(name))
    except ValidationError:
        return None


def _idle_routes(routes: list[tuple[int, dict[str, Any]]], data: dict[str, Any]) -> Iterator[Finding]:
    defaults = _mapping(data, "stages")
    for place, route in routes:
        stages = {**defaults, **_mapping(route, "stages")}
        answering = route.get("targets", ()), stages.get("route", ()), stages.get("aggregate", ())
        if not any(answering) and None not in answering:  # a key without a value is told by itself
            message = "nothing answers here, wanted `targets`, or a plugin in the stage `route` or `aggregate`"
            yield ("routes", place), message


def _colliding_aliases(data: dict[str, Any]) -> Iterator[Finding]:
    models = _mapping(data, "models")
    owner: dict[str, str] = {}
    for name, model in models.items():
        aliases = _items(model, "aliases") if isinstance(model, dict) else []
        for place, alias in enumerate(aliases):
            if not isinstance(alias, str):
                continue
            at = ("models", name, "aliases", place)
            if alias in models:
                yield at, f"{shown(alias)} is the name of a model, wanted another alias"
            elif alias in owner:
                yield at, f"{shown(alias)} is an alias of the model {shown(owner[alias])} already, wanted another alias"
            owner.setdefault(alias, name)


def _repeated_addresses(data: dict[str, Any]) -> Iterator[Finding]:
    places: list[tuple[Path, Any]] = [(("listeners", i), item) for i, item in enumerate(_items(data, "listeners"))]
    taken: dict[tuple[int, bool, str], str] = {}
    for path, item in [*places, (("admin",), data.get("admin"))]:
        address = _address_of(item)
        if address is None or address.port == 0:
            continue
        family = (address.port, ":" in address.host)
        is_wild = address.host in _WILD_HOSTS
        holder = (
            taken.get((*family, _ANY)) if is_wild else taken.get((*family, address.host), taken.get((*family, _ALL)))
        )
        if holder is not None:
            yield (*path, "address"), f"{shown(str(address))} is taken by {holder}, wanted another address"
        taken.setdefault((*family, _ANY), path_text(path))
        taken.setdefault((*family, _ALL if is_wild else address.host), path_text(path))


_WILD_HOSTS = ("0.0.0.0", "::")
_ANY, _ALL = "any address of the port", "all addresses of the port"


def _address_of(item: Any) -> Address | None:
    try:
        return parse_address(item.get("address")) if isinstance(item, dict) else None
    except ValueError:
        return None


def _unused_clusters(config: Config) -> Iterator[Finding]:
    groups = [group for route in config.routes for group in route.targets]
    groups += [group for model in config.models.values() for group in model.targets]
    used = {target.cluster for group in groups for target in group}
    used |= {name for plugin in config.plugins.values() for name in _clusters_in(plugin.settings)}
    used |= {name for route in config.routes for options in route.plugins.values() for name in _clusters_in(options)}
    for name in config.clusters:
        if name not in used:
            yield ("clusters", name), "no target names this cluster"


def _clusters_in(settings: object) -> Iterator[str]:
    """Yield the clusters of the targets that a plugin's settings hold."""
    if isinstance(settings, TargetConfig):
        yield settings.cluster
    elif isinstance(settings, BaseModel):
        for name in type(settings).model_fields:
            yield from _clusters_in(getattr(settings, name))
    elif isinstance(settings, Mapping | tuple | list):
        for value in settings.values() if isinstance(settings, Mapping) else settings:
            yield from _clusters_in(value)


def _unused_plugins(config: Config) -> Iterator[Finding]:
    used = {name for route in config.routes for names in config.plugins_of(route).values() for name in names}
    for name in config.plugins:
        if name not in used:
            yield ("plugins", name), "no route has this plugin in a stage"


def _unused_options(config: Config) -> Iterator[Finding]:
    for place, route in enumerate(config.routes):
        used = {name for names in config.plugins_of(route).values() for name in names}
        for name in route.plugins:
            if name not in used:
                yield ("routes", place, "plugins", name), "the route has this plugin in no stage"


def _unreached_completions(config: Config) -> Iterator[Finding]:
    """Completions are asked for by POST: for each the HTTP cache answers, as such a request may change what it has."""
    for place, route in enumerate(config.routes):
        first = ""
        for name in config.plugins_of(route).get("cache", ()):
            use = config.plugins[name].use
            if use == _HTTP_CACHE:
                first = first or name
            elif first and use == _COMPLETION_CACHE and getattr(route.plugins.get(name), "enabled", False):
                message = f"`{first}` stands before it in the stage `cache` and answers for every POST"
                yield ("routes", place, "plugins", name), f"{message}, wanted `{name}` before `{first}`"


def _unreached_models(config: Config) -> Iterator[Finding]:
    if config.models and not any(config.plugins_of(route).get("route") for route in config.routes):
        yield ("models",), "no route has a plugin in its stage `route` that could lead here"


def _exposed_secrets(config: Config) -> Iterator[Finding]:
    for name, cluster in config.clusters.items():
        for place, endpoint in enumerate(cluster.endpoints):
            at = ("clusters", name, "endpoints", place)
            if cluster.credential is not None and endpoint.scheme == "http" and not endpoint.is_loopback:
                yield at, "the credential goes over the network unencrypted, wanted `https`"
        if not cluster.tls.verify and any(endpoint.scheme == "https" for endpoint in cluster.endpoints):
            yield ("clusters", name, "tls", "verify"), "certificates are not checked: anybody on the way can answer"


def _idle_edits(config: Config) -> Iterator[Finding]:
    for place, route in enumerate(config.routes):
        for name in route.request_headers.set:
            if is_ours(name.encode("latin-1")):
                said = f"`{name}` is written, or left out, by the gateway itself, wanted it set by the clusters"
                yield ("routes", place, "request_headers", "set", name), said
