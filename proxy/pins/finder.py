"""Imports of pinned distributions: of the bytes that were checked, and of no others."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

from .content import Content


class PinnedFinder(MetaPathFinder):
    """Finds the modules of pinned distributions before anybody else does; of others it knows nothing.

    What Python has compiled and kept is not looked at: it is nowhere listed, and could be anything.
    """

    def __init__(self) -> None:
        self._contents: tuple[Content, ...] = ()

    def hold(self, contents: Iterable[Content]) -> None:
        """Hold these distributions from now on, and no others."""
        self._contents = tuple(contents)
        if self._contents and self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module where it is one of a pinned distribution. Raises: ImportError where it is another than that."""
        content = next((each for each in self._contents if each.owns(fullname)), None)
        spec = PathFinder.find_spec(fullname, path, target) if content is not None else None
        if content is None or spec is None or spec.origin is None:  # a folder without a module runs no code
            return spec
        if type(spec.loader) is SourceFileLoader:
            spec.loader = _PinnedLoader(fullname, spec.origin, content)
        with open(spec.origin, "rb") as file:
            _check(content, spec.origin, file.read())
        return spec


class _PinnedLoader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, content: Content) -> None:
        super().__init__(fullname, path)
        self._content = content

    def path_stats(self, path: Any) -> Any:
        """Say that nothing is known of the source, by which nothing that was compiled from it can be found to fit."""
        raise OSError(f"{path} is read anew whenever it is imported")

    def get_data(self, path: str) -> bytes:
        """Return the bytes of a file that was checked. Raises: ImportError for any other."""
        data = super().get_data(path)
        _check(self._content, path, data)
        return data


def _check(content: Content, path: str, data: bytes) -> None:
    if hashlib.sha256(data).hexdigest() != content.sha256_of(path):
        raise ImportError(
            f"expected a file as pinned with {content.name}, got another, or one that has changed: {path}"
        )
