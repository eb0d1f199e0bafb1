"""What a plugin makes of its settings, as each route changes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from pydantic import BaseModel

from .exchange.exchange import RouteView

MAX_ROUTES = 4096

Settings = TypeVar("Settings", bound=BaseModel)
Made = TypeVar("Made")


class ByRoute(Generic[Settings, Made]):
    """Makes something of a plugin's settings, once for all routes and once for each route that changes them.

    For plugins whose `RouteOptions` are their `Config`: what a route sets stands in place of the plugin's own. At most
    `MAX_ROUTES` are kept.
    """

    __slots__ = ("_common", "_config", "_kept", "_make")

    def __init__(self, config: Settings, make: Callable[[Settings], Made]) -> None:
        self._config = config
        self._make = make
        self._common = make(config)
        self._kept: dict[str, tuple[Settings, Made]] = {}

    def of(self, name: str, route: RouteView) -> Made:
        """Return what was made for a route, which calls the plugin `name`."""
        options: Settings | None = route.options.get(name)
        if options is None:
            return self._common
        kept = self._kept.get(route.name)
        # A reload may bring other options under the same name, while requests are under way with those before.
        return kept[1] if kept is not None and kept[0] is options else self._learn(route.name, options)

    def _learn(self, route: str, options: Settings) -> Made:
        if len(self._kept) >= MAX_ROUTES:  # reloads brought ever new route names
            self._kept.clear()
        own = {name: getattr(options, name) for name in options.model_fields_set}
        made = self._make(self._config.model_copy(update=own))
        self._kept[route] = options, made
        return made
