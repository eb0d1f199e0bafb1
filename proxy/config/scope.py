"""What values are checked against while a configuration is loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationInfo

from .plugin_schema import PluginSchema


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that the file declares, and its surroundings.

    `directory` is where relative paths start. `clusters` is None where names are not checked. `plugins` maps each
    configured name to its schema, or to None where the entry itself is wrong. `installed` holds every plugin there is.
    """

    directory: Path = field(default_factory=Path.cwd)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clusters: frozenset[str] | None = None
    plugins: Mapping[str, PluginSchema | None] | None = None
    installed: Mapping[str, PluginSchema] = field(default_factory=dict)


def scope_of(info: ValidationInfo) -> Scope:
    """Return the scope that the loader passed, or for a model made by hand one that checks no names."""
    return info.context if isinstance(info.context, Scope) else Scope()
