"""Paths of files that must be there when the configuration is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import PlainValidator, ValidationInfo

from .scope import scope_of
from .wording import Words, shown

_WORDS = Words("the path of a readable file", "paths", "")


def _readable_file(value: object, info: ValidationInfo) -> Path:
    path = _absolute(value, info)
    reason = _why_unreadable(path)
    if reason is not None:
        raise ValueError(f"the file `{path}` cannot be read ({reason}), wanted a readable file")
    return path


def _absolute(value: object, info: ValidationInfo) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"got {shown(value)}, wanted {_WORDS}")
    return scope_of(info).directory / value


def _why_unreadable(path: Path) -> str | None:
    try:
        if path.is_dir():
            return "it is a directory"
        with path.open("rb"):
            return None
    except OSError as error:
        return str(error.strerror).lower()


def _log_destination(value: object, info: ValidationInfo) -> str:
    if value in ("off", "-"):
        return str(value)
    path = _absolute(value, info)
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(f"got {shown(value)}, wanted `off`, `-` or the path of a file in a directory that exists")
    return str(path)


# A relative path starts at the directory of the configuration file.
ReadableFile = Annotated[Path, PlainValidator(_readable_file), _WORDS]
LogDestination = Annotated[str, PlainValidator(_log_destination), Words("`off`, `-` or a path", "paths")]
