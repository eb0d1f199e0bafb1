"""Plugins made as the gateway makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from ...proxy.hooks import make, type_of
from ...proxy.hookspecs import ModelInfo, Setup
from ...proxy.observe.metrics import Registry
from ...proxy.plugin_error import PluginError

Plugin = TypeVar("Plugin")


def make_plugin(
    cls: type[Plugin],
    settings: Mapping[str, Any] | None = None,
    *,
    name: str = "plugin",
    previous: object | None = None,
    models: Mapping[str, ModelInfo] | None = None,
) -> Plugin:
    """Check the class and the settings, make an instance, and call its set-up hooks.

    `name` is what a configuration would call it, `previous` the instance that it replaces on a reload.
    Raises: PluginError for a class that the gateway would refuse, ValidationError for settings that it would.
    """
    kind = type_of(name, cls)
    if kind.config is None and settings:
        raise PluginError(f"plugin `{name}`: expected no settings, as {cls.__name__} has no `Config`, got {settings}")
    made = make(kind, kind.config.model_validate(dict(settings or {})) if kind.config is not None else None)
    assert isinstance(made, cls)
    # The order in which the gateway calls them.
    for hook, told in (("configure", Setup(name, previous, models or {})), ("metrics", Registry())):
        if (function := getattr(made, f"headgate_{hook}", None)) is not None:
            function(told)
    return made
