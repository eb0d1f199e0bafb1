"""The prices of all plugins of a configuration, route by route."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field, replace

from ..compile import build
from ..config.schema import Config
from ..config.schema_route import RouteConfig
from ..observe.metrics import Registry
from ..plugin_close import close_plugin
from ..plugin_types import PluginTypes
from .answered import check_of
from .asked import Asked, asked_of, given_by
from .measure import Effort, Requests, RoutePrices, prices_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which routes are measured (none named: all that have plugins), and what their requests bear besides."""

    routes: Collection[str] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    effort: Effort = field(default_factory=Effort)


async def prices_in(config: Config, types: PluginTypes, wanted: Wanted) -> AsyncIterator[RoutePrices | ValueError]:
    """Yield the prices of one route after the other; an error where no request is known that is answered well there.

    Routes with the same plugins, options and kind are measured once. Raises: PluginError.
    """
    snapshot = build(config, types, Registry())
    try:
        for route, *others in _grouped(config, wanted.routes):
            asked = asked_of(route, config).altered(wanted.fields, wanted.body)
            given = given_by(route, is_stream="event" in config.plugins_of(route))
            try:
                found = await prices_of(
                    snapshot, route.name, _always(asked), given, wanted.effort, check_of(route.name)
                )
            except ValueError as error:
                yield error
                continue
            yield replace(found, alike=tuple(other.name for other in others))
    finally:
        for name, instance in snapshot.instances.items():
            close_plugin(name, instance)
        for cluster in snapshot.clusters.values():
            cluster.close()


def _always(asked: Asked) -> Requests:
    def requests(number: int) -> Asked:
        return asked

    return requests


def _grouped(config: Config, names: Collection[str]) -> list[list[RouteConfig]]:
    """Return the routes that are to be measured, those that are alike together."""
    found: list[list[RouteConfig]] = []
    for route in config.routes:
        if not config.plugins_of(route) or (names and route.name not in names):
            continue
        alike = next((group for group in found if _is_alike(config, group[0], route)), None)
        if alike is None or names:
            found.append([route])
        else:
            alike.append(route)
    return found


def _is_alike(config: Config, one: RouteConfig, other: RouteConfig) -> bool:
    return (config.plugins_of(one), one.plugins, one.kind) == (config.plugins_of(other), other.plugins, other.kind)
