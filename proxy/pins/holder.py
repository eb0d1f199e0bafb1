"""Holds installed plugins to their pins."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution

from ..config.plugin_schema import Pin
from ..config.versions import takes
from ..plugin_error import PluginError
from .content import Content, content_of, title_of
from .finder import PinnedFinder

_OWN = "headgate"


class PinHolder:
    """The distributions behind entry points, as they are installed whenever that is asked.

    What a process has imported stays what it is, whatever is installed afterwards: that is refused, too.
    """

    def __init__(self, points: Mapping[str, EntryPoint]) -> None:
        # Now: what is installed later in place of one has another folder.
        dists = {id(point.dist): point.dist for point in points.values() if point.dist is not None}
        names = {number: _name_of(dist) for number, dist in dists.items()}
        self._names = {use: names.get(id(point.dist)) for use, point in points.items()}
        self._modules = {use: point.module for use, point in points.items()}
        self._held: dict[str, Content] = {}
        self._finder = PinnedFinder()

    def unmet(self, pins: Mapping[str, Pin], running: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
        """Yield which pins are not met, as `Installed.unmet` does. Where all are met they are held from then on.

        `running`: the versions of the plugins that were imported.
        """
        contents: list[Content] = []
        is_met = True
        for name, pin in pins.items():
            key = "version"
            try:
                if pin.version is not None:
                    self._check_version(pin.use, pin.version, running.get(pin.use))
                key = "sha256"
                if pin.sha256 is not None:
                    contents.append(self._checked(pin.use, pin.sha256))
            except PluginError as error:
                is_met = False
                yield name, key, str(error)
        if is_met:
            self._hold(contents)

    def content(self, use: str) -> Content:
        """Return what the distribution of a plugin holds on disk. Raises: PluginError."""
        found = self.distribution(use)
        if title_of(found)[0] == _OWN:
            raise PluginError(
                f"plugin `{use}` is part of {_OWN}, which cannot vouch for itself: wanted `version` alone"
            )
        content, module = content_of(found), self._modules[use]
        if not content.owns(module):
            raise PluginError(f"plugin `{use}` lies in `{module}`, which is no module of {content.name}")
        return content

    def distribution(self, use: str) -> Distribution:
        """Return the distribution of a plugin, as it is installed now. Raises: PluginError."""
        name = self._names.get(use)
        if name is None:
            raise PluginError(f"plugin `{use}` is of no installed distribution")
        try:
            return distribution(name)
        except PackageNotFoundError:
            raise PluginError(f"{name} is not installed any more") from None

    def _check_version(self, use: str, wanted: str, running: str | None) -> None:
        version = running or title_of(self.distribution(use))[1]
        if not takes(wanted, version):
            where = "in use until a restart" if running else "installed"
            raise PluginError(f"version {version} is {where}, wanted {wanted}")

    def _checked(self, use: str, sha256: str) -> Content:
        content = self.content(use)
        if content.digest != sha256:
            raise PluginError(f"{content.name} has the content {content.digest}, wanted {sha256}")
        held = self._held.get(content.name)
        if (held is None or held.digest != sha256) and _is_imported(content):
            raise PluginError(f"{content.name} was imported before it was pinned so: restart the gateway")
        return content

    def _hold(self, contents: list[Content]) -> None:
        """Hold these, and what was imported as it was held before."""
        imported = {name: content for name, content in self._held.items() if _is_imported(content)}
        self._held = {content.name: content for content in contents} | imported
        self._finder.hold(self._held.values())


def _name_of(found: Distribution) -> str | None:
    try:
        return title_of(found)[0]
    except PluginError:
        return None


def _is_imported(content: Content) -> bool:
    """Whether anything was imported that a distribution owns. A module without a file runs no code."""
    loaded = ((name, getattr(module, "__dict__", {})) for name, module in tuple(sys.modules.items()))
    return any(content.owns(name) and facts.get("__file__") for name, facts in loaded)
