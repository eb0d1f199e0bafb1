"""What the configuration must know of a plugin."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class PluginSchema:
    """A plugin's settings, what a route may set for it, and the stages it implements; None: takes nothing.

    `refused` says why the plugin cannot be used at all; a configuration that names it is then wrong at that place.
    """

    name: str
    config: type[BaseModel] | None = None
    route_options: type[BaseModel] | None = None
    stages: frozenset[str] = frozenset()
    refused: str = ""
    version: str = ""
