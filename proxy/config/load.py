"""From a file to a checked configuration, or to everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .complaints import complain, problem_at
from .document import Document, line_and_column, parse_document
from .lint import find_conflicts, find_doubts
from .lint_delivery import find_delivery_conflicts
from .lint_guards import find_guard_conflicts
from .pins import check_pins, used_by
from .plugin_schema import PluginSchema
from .problems import MAX_EXAMINED, ConfigErrors, ConfigProblem
from .schema import Config
from .scope import Scope

MAX_FILE_BYTES = 4 << 20
TEXT_NAME = "<text>"


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration without errors, and what is doubtful about it."""

    config: Config
    warnings: tuple[ConfigProblem, ...]


def load(source: Path | str, plugins: Mapping[str, PluginSchema], environ: Mapping[str, str] | None = None) -> Config:
    """Return the configuration of a file (a Path) or of YAML text (a str).

    Relative paths in it start at the file's directory, for text at the working directory.
    Raises: ConfigErrors with every problem.
    """
    return check(source, plugins, environ).config


def check(source: Path | str, plugins: Mapping[str, PluginSchema], environ: Mapping[str, str] | None = None) -> Checked:
    """Return the configuration with warnings, as `load` does. Raises: ConfigErrors."""
    is_file = isinstance(source, Path)
    name = str(source) if is_file else TEXT_NAME
    data = _read(source) if isinstance(source, Path) else source.encode("utf-8", "surrogatepass")
    if len(data) > MAX_FILE_BYTES:
        raise _one(name, f"the file is larger than {MAX_FILE_BYTES} bytes, wanted a smaller one")
    document = parse_document(_decode(data, name), name)
    check_pins(document, plugins)
    directory = source.absolute().parent if isinstance(source, Path) else Path.cwd()
    scope = _scope(document.root.data, plugins, directory, os.environ if environ is None else environ)
    return _validate(document, scope)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = str(error.strerror).lower() if isinstance(error, OSError) else "not a path"
        raise _one(str(path), f"the file cannot be read ({reason}), wanted a readable file") from None


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line, column = line_and_column(data[: error.start].decode(), error.start)
        message = f"got the byte 0x{data[error.start]:02X}, wanted UTF-8"
        raise ConfigErrors([ConfigProblem(name, line, column, "", message)]) from None


def _one(name: str, message: str) -> ConfigErrors:
    return ConfigErrors([ConfigProblem(name, 1, 1, "", message)])


def _scope(data: Any, installed: Mapping[str, PluginSchema], directory: Path, environ: Mapping[str, str]) -> Scope:
    """Collect the names that the file declares, whatever else may be wrong with it."""
    clusters, plugins = _section(data, "clusters"), _section(data, "plugins")
    schemas: dict[str, PluginSchema | None] = {}
    for name, entry in plugins.items():
        schema = installed.get(used_by(name, entry))
        schemas[name] = None if schema is None or schema.refused else schema
    return Scope(directory, environ, frozenset(clusters), schemas, installed)


def _section(data: Any, name: str) -> dict[str, Any]:
    section = data.get(name) if isinstance(data, dict) else None
    return section if isinstance(section, dict) else {}


def _validate(document: Document, scope: Scope) -> Checked:
    problems = list(document.problems)
    empty = [path for path in document.nulls() if not _may_be_empty(path)]
    blanks = [problem_at(document, path, "there is no value, wanted one, or the key left out") for path in empty]
    problems += blanks
    known = {(problem.line, problem.column) for problem in blanks}
    config, num_unexamined = None, 0
    try:
        config = Config.model_validate(document.root.data, context=scope)
    except ValidationError as error:
        found = islice(complain(document, Config, error), MAX_EXAMINED)
        num_unexamined = max(0, error.error_count() - MAX_EXAMINED)
        problems += [problem for problem in found if (problem.line, problem.column) not in known]
    problems += [problem_at(document, path, message) for path, message in find_conflicts(document.root.data, config)]
    if config is not None:
        problems += [problem_at(document, path, message) for path, message in find_delivery_conflicts(config)]
        problems += [problem_at(document, path, message) for path, message in find_guard_conflicts(config, scope)]
    if config is None or problems:
        raise ConfigErrors(problems, num_unexamined)
    return Checked(config, tuple(sorted(problem_at(document, path, text) for path, text in find_doubts(config))))


def _may_be_empty(path: tuple[str | int, ...]) -> bool:
    """Whether a plugin decides what no value means there; an entry without settings needs none."""
    return (len(path) >= 2 and path[0] == "plugins") or (
        len(path) >= 4 and path[0] == "routes" and path[2] == "plugins"
    )
