"""Paths of files that must be there when the configuration is loaded."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Annotated

from pydantic import PlainValidator, ValidationInfo

from .scope import scope_of
from .wording import Words, shown

_MAX_PATH_CHARACTERS = 1024
_WORDS = Words("the path of a readable file", "paths", "`certs/gate.pem`")
_LOG_WORDS = Words("`off`, `-` or the path of a file", "paths", "`access.log`")


def readable(path: Path) -> Path:
    """Return `path` if it leads to a regular file that may be read. Raises: OSError.

    Nothing is opened: a pipe would block or lose what is in it.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "it is not a path")
    if path.is_dir():
        raise OSError(errno.EISDIR, "it is a directory")
    if not path.exists():
        raise OSError(errno.ENOENT, "no such file")
    if not path.is_file():
        raise OSError(errno.EINVAL, "it is not a regular file")
    if not os.access(path, os.R_OK):
        raise OSError(errno.EACCES, "permission denied")
    return path


def unreadable(path: Path, error: OSError) -> str:
    """Return the message for a file that cannot be read."""
    name = shown(str(path), _MAX_PATH_CHARACTERS)  # the end of a path says the most
    return f"the file {name} cannot be read ({str(error.strerror).lower()}), wanted a readable file"


def _readable_file(value: object, info: ValidationInfo) -> Path:
    path = _absolute(value, info, _WORDS)
    try:
        return readable(path)
    except OSError as error:
        raise ValueError(unreadable(path, error)) from None


def _absolute(value: object, info: ValidationInfo, words: Words) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value:
        raise ValueError(f"got {shown(value)}, wanted {words}")
    return scope_of(info).directory / value


def _log_destination(value: object, info: ValidationInfo) -> str:
    if value in ("off", "-"):
        return str(value)
    path = _absolute(value, info, _LOG_WORDS)
    if "\0" in str(path) or not _may_be_created(path):
        raise ValueError(f"got {shown(value)}, wanted `off`, `-` or the path of a file in a directory that exists")
    return str(path)


def _may_be_created(path: Path) -> bool:
    try:
        return path.parent.is_dir() and not path.is_dir()
    except OSError:
        return False


# A relative path starts at the directory of the configuration file.
ReadableFile = Annotated[Path, PlainValidator(_readable_file), _WORDS]
LogDestination = Annotated[str, PlainValidator(_log_destination), _LOG_WORDS]
