"""What the configuration must know of a plugin."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
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


@dataclass(frozen=True, slots=True)
class Pin:
    """What the distribution of an installed plugin, `use`, has to be: of a version, of this content. None: any."""

    use: str
    version: str | None
    sha256: str | None


class Installed(Mapping[str, PluginSchema]):
    """Installed plugins. To look one up may run its code: what is pinned is to be held to its pins before."""

    @abstractmethod
    def unmet(self, pins: Mapping[str, Pin]) -> Iterator[tuple[str, str, str]]:
        """Yield where a pin is not met: its name in `pins`, the key of the guard, and what is wrong.

        Where all are met what is imported from then on is held to them, and to none that were there before.
        Cost: what is pinned by its content is read.
        """
