"""Finds plugins by entry point, refuses wrong ones, makes instances.

A wrong plugin is refused while loading, with its name, version, file and line, and what is wanted: an unknown hook, a
wrong argument, an answer of the wrong type, `async def` where only `def` can be.
"""

from __future__ import annotations

import difflib
import inspect
import types
import typing
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy
from pydantic import BaseModel

from .hookspecs import ENTRY_POINT_GROUP, PROJECT, STAGES, Hookspecs
from .plugin_error import PluginError, told

_UNKNOWN = "unknown"
_STAGE_OF = {rule.hook: stage for stage, rule in STAGES.items()}
_SYNC_ONLY = frozenset({"headgate_configure", "headgate_metrics", "headgate_event"})
_SPECS = {name: member for name, member in vars(Hookspecs).items() if name.startswith("headgate_")}
_SPEC_ARGUMENTS = {name: tuple(inspect.signature(spec).parameters)[1:] for name, spec in _SPECS.items()}


@dataclass(frozen=True, slots=True)
class PluginType:
    """A checked plugin class: where it came from, its settings, the stages it implements."""

    name: str
    version: str
    package: str
    cls: type
    config: type[BaseModel] | None
    route_options: type[BaseModel] | None
    stages: frozenset[str]
    hooks: frozenset[str] = field(default_factory=frozenset)

    @property
    def origin(self) -> str:
        """The distribution and its version; without one the class."""
        is_known = self.package != _UNKNOWN
        return f"{self.package} {self.version}" if is_known else f"{self.cls.__module__}:{self.cls.__qualname__}"


def discover() -> dict[str, EntryPoint]:
    """Return every entry point of the group by name, importing none. Raises: PluginError for a name taken twice."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        other = found.get(point.name)
        if other is not None and other.value != point.value:
            raise PluginError(
                f"plugin `{point.name}` is offered twice: by {origin_of(other)} and {origin_of(point)}; "
                "uninstall one of them"
            )
        found[point.name] = point
    return found


def load_type(name: str, point: EntryPoint) -> PluginType:
    """Import and check one plugin. Raises: PluginError."""
    where = f"plugin `{name}` ({origin_of(point)})"
    try:
        cls = point.load()
    except (Exception, SystemExit) as error:
        raise PluginError(f"{where}: expected `{point.value}` to import, got {told(error)}") from error
    if not inspect.isclass(cls):
        raise PluginError(f"{where}: expected a class, got {type(cls).__name__} `{point.value}`")
    return type_of(name, cls, (point.dist.name, point.dist.version) if point.dist else None)


def type_of(name: str, cls: type, origin: tuple[str, str] | None = None) -> PluginType:
    """Check one plugin class; `origin` is its distribution and version. Raises: PluginError."""
    package, version = origin or (_UNKNOWN, _UNKNOWN)
    where = f"plugin `{name}` ({f'{package} {version}' if origin else f'{cls.__module__}:{cls.__qualname__}'})"
    hooks = frozenset(_checked_hooks(cls, where))
    if not hooks:
        raise PluginError(f"{where}: {_position(cls)}: expected at least one method marked with `hookimpl`")
    config = _model(cls, "Config", where)
    _check_constructor(cls, config, where)
    if inspect.iscoroutinefunction(close := getattr(cls, "close", None)):
        raise PluginError(f"{where}: {_position(close)}: `close`: expected `def`, got `async def`: nobody waits for it")
    return PluginType(
        name=name,
        version=version,
        package=package,
        cls=cls,
        config=config,
        route_options=_model(cls, "RouteOptions", where),
        stages=frozenset(_STAGE_OF[hook] for hook in hooks if hook in _STAGE_OF),
        hooks=hooks,
    )


def make(kind: PluginType, settings: BaseModel | None) -> object:
    """Make an instance. Raises: PluginError where the constructor fails."""
    try:
        return kind.cls(settings) if kind.config is not None else kind.cls()
    except (Exception, SystemExit) as error:
        raise PluginError(f"plugin `{kind.name}` ({kind.origin}): could not be made: {told(error)}") from error


def manager() -> pluggy.PluginManager:
    """Return a plugin manager that knows the specifications."""
    plugins = pluggy.PluginManager(PROJECT)
    plugins.add_hookspecs(Hookspecs)
    return plugins


def _checked_hooks(cls: type, where: str) -> Iterator[str]:
    for attribute in dir(cls):
        function = inspect.getattr_static(cls, attribute)
        is_marked = hasattr(function, f"{PROJECT}_impl")
        if not is_marked and not attribute.startswith("headgate_"):
            continue
        at = f"{where}: {_position(function)}: `{attribute}`"
        if not is_marked:
            raise PluginError(f"{at}: expected the mark `@hookimpl` on a method with a hook's name")
        if attribute not in _SPECS:
            raise PluginError(f"{at}: no such hook{_nearest(attribute)}")
        _check_hook(attribute, function, at)
        yield attribute


def _check_hook(name: str, function: Any, at: str) -> None:
    if not inspect.isfunction(function):
        raise PluginError(f"{at}: expected a plain method, got {type(function).__name__}")
    if inspect.iscoroutinefunction(function) and name in _SYNC_ONLY:
        raise PluginError(f"{at}: expected `def`, got `async def`")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise PluginError(f"{at}: expected a function that returns, got a generator")
    wanted = _SPEC_ARGUMENTS[name]
    given = tuple(inspect.signature(function).parameters)[1:]
    if given != wanted:
        raise PluginError(f"{at}: expected the arguments (self, {', '.join(wanted)}), got (self, {', '.join(given)})")
    _check_return(name, function, at)


def _check_return(name: str, function: Any, at: str) -> None:
    """Refuse a declared return type that the stage cannot take; an undeclared answer is checked when it is given."""
    try:
        declared = typing.get_type_hints(function).get("return", typing.Any)
    except Exception:  # a forward reference that only a type checker can follow
        return
    rule = STAGES[_STAGE_OF[name]] if name in _STAGE_OF else None
    allowed: tuple[type, ...] = rule.returns if rule is not None else ()
    parts = _parts(declared)
    if rule is not None and rule.may_wait and not inspect.iscoroutinefunction(function):
        parts = tuple(awaited for part in parts for awaited in _awaited(part))
    for part in parts:
        if part is typing.Any or part is type(None) or part in allowed:
            continue
        if inspect.isclass(part) and any(issubclass(part, kind) for kind in allowed):
            continue
        names = " | ".join([kind.__name__ for kind in allowed] + ["None"])
        raise PluginError(f"{at}: expected the return type {names}, got {getattr(part, '__name__', part)}")


def _parts(declared: Any) -> tuple[Any, ...]:
    if typing.get_origin(declared) in (typing.Union, types.UnionType):
        return typing.get_args(declared)
    return (declared,)


def _awaited(declared: Any) -> tuple[Any, ...]:
    """Return what an awaitable type awaits to, as its last argument says; another type is left as it is."""
    origin = typing.get_origin(declared) or declared
    if not (inspect.isclass(origin) and issubclass(origin, Awaitable)):
        return (declared,)
    arguments = typing.get_args(declared)
    return _parts(arguments[-1]) if arguments else ()


def _model(cls: type, name: str, where: str) -> type[BaseModel] | None:
    model = getattr(cls, name, None)
    if model is None:
        return None
    if not (inspect.isclass(model) and issubclass(model, BaseModel)):
        raise PluginError(f"{where}: {_position(cls)}: expected `{name}` to be a pydantic model, got {model!r}")
    return model


def _check_constructor(cls: type, config: type[BaseModel] | None, where: str) -> None:
    """Refuse a class that cannot be made of its settings, or without any where it has none."""
    given = inspect.signature(cls)
    try:
        given.bind(*([None] if config else []))
    except TypeError:
        way = f"`{cls.__name__}(config)`, for its `Config`" if config else f"`{cls.__name__}()`, as it has no `Config`"
        at = f"{where}: {_position(cls)}"
        raise PluginError(f"{at}: expected to be made as {way}, got `{cls.__name__}{given}`") from None


def _position(thing: Any) -> str:
    try:
        file = inspect.getsourcefile(thing) or "<unknown file>"
        line = inspect.getsourcelines(thing)[1]
    except (TypeError, OSError):
        return "<unknown file>"
    return f"{file}:{line}"


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, _SPECS, n=1)
    return f"; did you mean `{near[0]}`?" if near else f"; the hooks are {', '.join(sorted(_SPECS))}"


def origin_of(point: EntryPoint) -> str:
    """Return the distribution that offers a plugin, and its version; without one what it names."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value
