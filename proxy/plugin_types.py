"""The installed plugin classes, imported and checked when first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .config.plugin_schema import Installed, Pin, PluginSchema
from .counting import Counting
from .hooks import PluginType, discover, load_type, origin_of, type_of
from .pins.holder import PinHolder
from .plugin_error import PluginError


class PluginTypes:
    """Plugins by the name of their entry point. One that nobody uses is never imported, so it cannot do harm.

    `counting` is where their limits are counted. `given` are classes that no entry point names, by name; they stand
    before installed ones.
    """

    def __init__(self, counting: Counting | None = None, given: Mapping[str, type] | None = None) -> None:
        self.counting = counting or Counting()
        self._points = discover()
        self._types = {name: type_of(name, cls) for name, cls in (given or {}).items()}
        self._given = frozenset(self._types)
        self.pins = PinHolder({name: point for name, point in self._points.items() if name not in self._given})

    @property
    def names(self) -> list[str]:
        """Every installed plugin."""
        return sorted({*self._points, *self._types})

    def get(self, name: str) -> PluginType:
        """Return the plugin class called `name`. Raises: KeyError for an unknown name, PluginError for a wrong one."""
        if name not in self._types:
            self._types[name] = load_type(name, self._points[name])
        return self._types[name]

    def origin(self, name: str) -> str:
        """Return where the plugin called `name` is from, without importing it. Raises: KeyError."""
        return self._types[name].origin if name in self._types else origin_of(self._points[name])

    def schemas(self) -> Mapping[str, PluginSchema]:
        """Return what the configuration must know of each plugin, by name."""
        return _Schemas(self)

    def unmet(self, pins: Mapping[str, Pin]) -> Iterator[tuple[str, str, str]]:
        """Yield which pins are not met, as `Installed.unmet` does. Of a plugin that is not known nothing is said."""
        known = {name: pin for name, pin in pins.items() if pin.use in self._points or pin.use in self._given}
        running = {name: kind.version for name, kind in self._types.items() if name not in self._given}
        return self.pins.unmet(known, running)


class _Schemas(Installed):
    def __init__(self, types: PluginTypes) -> None:
        self._types = types

    def __getitem__(self, name: str) -> PluginSchema:
        try:
            kind = self._types.get(name)
        except PluginError as error:
            return PluginSchema(name, refused=str(error))
        return PluginSchema(name, kind.config, kind.route_options, kind.stages)

    def unmet(self, pins: Mapping[str, Pin]) -> Iterator[tuple[str, str, str]]:
        return self._types.unmet(pins)

    def __contains__(self, name: object) -> bool:
        return name in self._types.names

    def __iter__(self) -> Iterator[str]:
        return iter(self._types.names)

    def __len__(self) -> int:
        return len(self._types.names)
