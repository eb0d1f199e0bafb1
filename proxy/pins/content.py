"""What an installed distribution holds on disk, whatever its own list says of it."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import Distribution
from pathlib import Path, PurePosixPath

from ..plugin_error import PluginError

_CACHE = "__pycache__"
# Of what an installer writes beside the files only that is the distribution's own which the gateway reads.
_READ = frozenset({"METADATA", "entry_points.txt"})
_INSTALL = "install it from a wheel, as pip does"


@dataclass(frozen=True)
class Content:
    """The files of a distribution by their place below `base`, each with its SHA-256. `name` has its version, too."""

    name: str
    version: str
    base: str
    files: Mapping[str, str]

    @property
    def listing(self) -> str:
        """A line for each file, as `sha256sum` writes it, in the order of their names."""
        return "".join(f"{digest}  {path}\n" for path, digest in sorted(self.files.items()))

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the listing."""
        return hashlib.sha256(self.listing.encode("utf-8", "surrogateescape")).hexdigest()

    @cached_property
    def _places(self) -> frozenset[str]:
        """Its folders with files, and what stands at the top by itself."""
        return frozenset(posixpath.dirname(path) or _stem(path) for path in self.files)

    def owns(self, module: str) -> bool:
        """Whether a module of this name would have to be one of these files."""
        place = module.replace(".", "/")
        return not self._places.isdisjoint((place, *map(str, PurePosixPath(place).parents)))

    def sha256_of(self, path: str) -> str | None:
        """Return the digest of a file by its path, None where it is none of these."""
        return self.files.get(os.path.relpath(path, self.base))


def content_of(distribution: Distribution) -> Content:
    """Read every file of a distribution. Raises: PluginError where what is there cannot be said to be it.

    Cost: linear in its size.
    """
    title, version = title_of(distribution)
    name = f"{title} {version}"
    base, record = os.path.abspath(str(distribution.locate_file(""))), _read(distribution, "RECORD")
    if record is None or not os.path.isdir(base):
        raise PluginError(f"{name} has no list of its files: {_INSTALL}")
    listed = frozenset(_listed(record))
    if _is_editable(distribution):
        raise PluginError(f"{name} is installed in editable mode, its files may change at any time: {_INSTALL}")
    hooks = sorted(path for path in listed if "/" not in path and path.endswith(".pth"))
    if hooks:
        raise PluginError(f"{name} has `{hooks[0]}`, by which Python finds modules elsewhere: it cannot be pinned")
    missing = sorted(path for path in listed if not os.path.isfile(os.path.join(base, path)))
    if missing:
        raise PluginError(f"{name} is not whole, `{missing[0]}` is missing: install it anew")
    stray = next(_strays(base, listed), None)
    if stray is not None:
        raise PluginError(f"{name} has `{stray}` beside its files, which it does not list: install it anew")
    return Content(name, version, base, {path: _sha256(os.path.join(base, path)) for path in listed})


def title_of(distribution: Distribution) -> tuple[str, str]:
    """Return the name and the version of a distribution. Raises: PluginError where it tells none."""
    try:
        return str(distribution.name), str(distribution.version)
    except (ValueError, KeyError):
        raise PluginError(f"the METADATA in {distribution.locate_file('')} cannot be read: install it anew") from None


def _read(distribution: Distribution, name: str) -> str | None:
    try:
        return distribution.read_text(name)
    except ValueError:  # no UTF-8
        return None


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _listed(record: str) -> Iterator[str]:
    """Yield what the list of an installer names of the distribution's own: no scripts, nothing that Python wrote."""
    for row in csv.reader(record.splitlines()):
        path = posixpath.normpath(row[0]) if row and row[0] else ".."
        folder, _, file = path.rpartition("/")
        is_outside = path == ".." or path.startswith(("../", "/"))
        is_unread = folder.partition("/")[0].endswith(".dist-info") and file not in _READ
        if not (is_outside or is_unread or _CACHE in path.split("/")):
            yield path


def _is_editable(distribution: Distribution) -> bool:
    told = _read(distribution, "direct_url.json")
    try:
        value = json.loads(told) if told else {}
    except ValueError:
        return False
    info = value.get("dir_info") if isinstance(value, dict) else None
    return isinstance(info, dict) and bool(info.get("editable"))


def _strays(base: str, listed: frozenset[str]) -> Iterator[str]:
    """Yield what stands where a module would be looked for that is listed, or one inside of it.

    A folder that only holds folders may be in common with other distributions: there nothing is looked at.
    """
    folders = {str(parent) for path in listed for parent in Path(path).parents}
    alone = {_stem(path) for path in listed if "/" not in path}
    for folder in sorted({posixpath.dirname(path) for path in listed}):
        if folder.endswith(".dist-info"):
            continue
        for name in sorted(os.listdir(os.path.join(base, folder))):
            path = posixpath.join(folder, name)
            is_looked_at = name != _CACHE and (folder or _stem(name) in alone)
            if is_looked_at and path not in listed and path not in folders:
                yield path


def _stem(name: str) -> str:
    return name.partition(".")[0]
