"""The installed plugin classes, imported and checked when first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .config.plugin_schema import PluginSchema
from .counting import Counting
from .hooks import PluginType, discover, load_type, type_of
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

    @property
    def names(self) -> list[str]:
        """Every installed plugin."""
        return sorted({*self._points, *self._types})

    def get(self, name: str) -> PluginType:
        """Return the plugin class called `name`. Raises: KeyError for an unknown name, PluginError for a wrong one."""
        if name not in self._types:
            self._types[name] = load_type(name, self._points[name])
        return self._types[name]

    def schemas(self) -> Mapping[str, PluginSchema]:
        """Return what the configuration must know of each plugin, by name."""
        return _Schemas(self)


class _Schemas(Mapping[str, PluginSchema]):
    def __init__(self, types: PluginTypes) -> None:
        self._types = types

    def __getitem__(self, name: str) -> PluginSchema:
        try:
            kind = self._types.get(name)
        except PluginError as error:
            return PluginSchema(name, refused=str(error))
        return PluginSchema(name, kind.config, kind.route_options, kind.stages, version=kind.version)

    def __contains__(self, name: object) -> bool:
        return name in self._types.names

    def __iter__(self) -> Iterator[str]:
        return iter(self._types.names)

    def __len__(self) -> int:
        return len(self._types.names)
