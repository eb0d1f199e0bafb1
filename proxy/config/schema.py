"""The whole configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from .files import LogDestination
from .schema_cluster import Cluster
from .schema_guards import Guards
from .schema_listener import Admin, Listener
from .schema_observe import Observe
from .schema_plugins import PluginConfig, StageLists
from .schema_route import Model, RouteConfig
from .section import ModelName, Name, Section, empty_mapping, frozen_mapping
from .units import Duration


def _name_routes(value: object) -> object:
    """Give each route without a name one from its place."""
    if not isinstance(value, list | tuple):
        return value
    return [
        {"name": f"route-{place}", **item} if isinstance(item, Mapping) and "name" not in item else item
        for place, item in enumerate(value, 1)
    ]


def _name_plugins(value: object) -> object:
    """Spell out what a plugin's entry leaves to its key."""
    if not isinstance(value, Mapping):
        return value
    return {key: _with_use(key, item) for key, item in value.items()}


def _with_use(key: object, item: object) -> object:
    if item is None:
        return {"use": key}
    return {"use": key, **item} if isinstance(item, Mapping) else item


class Config(Section):
    """One checked configuration."""

    listeners: tuple[Listener, ...] = Field(min_length=1, description="Addresses to listen on.")
    clusters: Annotated[Mapping[Name, Cluster], AfterValidator(frozen_mapping)] = Field(
        description="Named groups of endpoints, each group interchangeable."
    )
    models: Annotated[Mapping[ModelName, Model], AfterValidator(frozen_mapping)] = Field(
        default_factory=empty_mapping,
        description="Models that clients may name, where a plugin routes by model.",
    )
    routes: Annotated[tuple[RouteConfig, ...], BeforeValidator(_name_routes), Field(min_length=1)] = Field(
        description="What is served; host, then path, then `priority`, then conditions, then the order here decide."
    )
    plugins: Annotated[Mapping[Name, PluginConfig], BeforeValidator(_name_plugins), AfterValidator(frozen_mapping)] = (
        Field(default_factory=empty_mapping, description="Plugins with their settings, by the name that `stages` list.")
    )
    stages: StageLists = Field(
        default=StageLists(), description="Plugins by stage, for every route that does not list its own."
    )
    guards: Guards = Field(
        default_factory=empty_mapping, description="What a plugin is allowed, by the name under `plugins`."
    )
    admin: Admin | None = Field(default=None, description="The address for operators; without it there is none.")
    access_log: LogDestination = Field(
        default="-",
        description="Where a line for each exchange goes: `off`, `-` (standard output), or the path of a file.",
    )
    observe: Observe = Field(default=Observe(), description="What is measured of some exchanges only.")
    drain: Duration = Field(default=30.0, description="Time that open exchanges have to end after SIGTERM.")

    def plugins_of(self, route: RouteConfig) -> Mapping[str, tuple[str, ...]]:
        """Return the plugins of `route` by stage, in order: its own lists, else the defaults; empty stages left out."""
        lists = {stage: getattr(route.stages, stage) for stage in StageLists.model_fields}
        full = {stage: getattr(self.stages, stage) if names is None else names for stage, names in lists.items()}
        return {stage: names for stage, names in full.items() if names}
