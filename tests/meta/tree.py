"""The files of the repository, and what its modules import."""

from __future__ import annotations

import ast
import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("ext", "proxy", "plugins", "inference", "demo")  # what is shipped, as headgate.<folder>


@dataclass(frozen=True, slots=True)
class Import:
    """One import of one module: `module` imports `target`, at `line` of its file."""

    module: str
    target: str
    line: int


@cache
def files() -> tuple[Path, ...]:
    """Return every file that git does not ignore, relative to the root."""
    ignored = [".git", *(line.strip().strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line)]
    return tuple(sorted(path.relative_to(ROOT) for path in _walk(ROOT, ignored)))


def _walk(folder: Path, ignored: list[str]) -> Iterator[Path]:
    for path in folder.iterdir():
        if any(fnmatch.fnmatch(path.name, pattern) for pattern in ignored):
            continue
        if path.is_dir():
            yield from _walk(path, ignored)
        else:
            yield path


def python_files(*folders: str) -> list[Path]:
    """Return the Python files below `folders` (of the root where none is named)."""
    return [path for path in files() if path.suffix == ".py" and (not folders or path.parts[0] in folders)]


@cache
def tree_of(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse((ROOT / path).read_text(), str(path))


def module_of(path: Path) -> str:
    """Return the name under which a shipped file is imported."""
    parts = ("headgate", *path.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    """Return the shipped modules by name."""
    return {module_of(path): path for path in python_files(*FOLDERS)}


def runtime_imports(name: str) -> Iterator[Import]:
    """Yield what a shipped module imports when it is itself imported, outside names in full."""
    yield from (found for node in _loaded(tree_of(modules()[name]).body) for found in _targets(name, node))


def all_imports(name: str) -> Iterator[Import]:
    """Yield what a shipped module imports anywhere: in functions and for type checkers, too."""
    yield from (found for node in ast.walk(tree_of(modules()[name])) for found in _targets(name, node))


def _loaded(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Yield every node that runs on import."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _loaded(node.orelse)
            continue
        yield node
        for inner in ("body", "orelse", "finalbody"):
            yield from _loaded(getattr(node, inner, []))
        for handler in getattr(node, "handlers", []):
            yield from _loaded(handler.body)


def _targets(name: str, node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(name, alias.name, node.lineno) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = _base(name, node)
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            yield Import(name, inner if inner in modules() else base, node.lineno)


def _base(name: str, node: ast.ImportFrom) -> str:
    """Return the module after `from`, relative dots resolved."""
    if not node.level:
        return node.module or ""
    is_package = modules()[name].name == "__init__.py"
    parts = name.split(".")
    parts = parts[: len(parts) - node.level + (1 if is_package else 0)]
    return ".".join([*parts, node.module] if node.module else parts)
