"""Imports of pinned distributions: of the bytes that were checked, and of no others."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import (
    ExtensionFileLoader,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
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
        spec.loader = _pinned(spec.loader, fullname, spec.origin, content)
        _read(content, spec.origin)
        return spec


class _PinnedSource(SourceFileLoader):
    def __init__(self, fullname: str, path: str, content: Content) -> None:
        super().__init__(fullname, path)
        self._content = content

    def path_stats(self, path: Any) -> Any:
        """Say that nothing is known of the source, by which nothing that was compiled from it can be found to fit."""
        raise OSError(f"{path} is read anew whenever it is imported")

    def get_data(self, path: str) -> bytes:
        """Return the bytes of a file that was checked. Raises: ImportError for any other."""
        return _read(self._content, path)


class _PinnedBytecode(SourcelessFileLoader):
    def __init__(self, fullname: str, path: str, content: Content) -> None:
        super().__init__(fullname, path)
        self._content = content

    def get_data(self, path: str) -> bytes:
        """Return the bytes of a file that was checked. Raises: ImportError for any other."""
        return _read(self._content, path)


class _PinnedExtension(ExtensionFileLoader):
    """Gives the dynamic loader, which reads files by itself, a copy of what was checked that nobody can change."""

    def __init__(self, fullname: str, path: str, content: Content) -> None:
        super().__init__(fullname, path)
        self._content = content

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Load the copy. Raises: ImportError for any other than the file that was checked."""
        copy = _sealed(_read(self._content, self.path))
        module = super().create_module(ModuleSpec(spec.name, self, origin=f"/proc/self/fd/{copy}"))
        module.__file__ = self.path
        return module


_copies: dict[str, int] = {}  # digest -> descriptor; never closed: to the dynamic loader one path is one library


def _sealed(data: bytes) -> int:
    """Return the descriptor of a file in memory that holds `data` for good. Cost: its memory, once for each content."""
    digest = hashlib.sha256(data).hexdigest()
    if digest not in _copies:
        descriptor = os.memfd_create(f"pinned-{digest[:16]}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        _copies[digest] = descriptor
    return _copies[digest]


_KINDS: dict[type, type[_PinnedSource | _PinnedBytecode | _PinnedExtension]] = {
    SourceFileLoader: _PinnedSource,
    SourcelessFileLoader: _PinnedBytecode,
    ExtensionFileLoader: _PinnedExtension,
}


def _pinned(loader: object, fullname: str, path: str, content: Content) -> Loader:
    kind = _KINDS.get(type(loader))
    if kind is None:
        raise ImportError(
            f"expected source, bytecode or an extension as pinned with {content.name}, "
            f"got what {type(loader).__name__} loads: {path}"
        )
    return kind(fullname, path, content)


def _read(content: Content, path: str) -> bytes:
    """Read a file to be run. Raises: ImportError for any other than the one that was checked."""
    with open(path, "rb") as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != content.sha256_of(path):
        raise ImportError(
            f"expected a file as pinned with {content.name}, got another, or one that has changed: {path}"
        )
    return data
