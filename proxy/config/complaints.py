"""pydantic's errors in the words of the configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from .document import Document
from .problems import ConfigProblem
from .schema_plugins import SettingsError
from .wording import FieldError, Path, did_you_mean, path_text, shown, type_at, wanted

_SENSITIVE = re.compile(r"secret|token|password|credential|pepper|key|auth", re.IGNORECASE)


def complain(document: Document, model: type[BaseModel], error: ValidationError) -> Iterator[ConfigProblem]:
    """Yield a problem for everything that `error` holds, with its position in the document."""
    yield from _complain(document, model, error, ())


def problem_at(document: Document, path: Path, message: str, *, is_key: bool = False) -> ConfigProblem:
    """Return a problem with the value at `path`, or with its key."""
    mark, found = document.locate(path, is_key=is_key)
    return ConfigProblem(document.file, *mark, path_text(found), message)


def _complain(
    document: Document, model: type[BaseModel], error: ValidationError, base: Path
) -> Iterator[ConfigProblem]:
    for item in error.errors(include_url=False):
        path: Path = tuple(item["loc"])
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, SettingsError):
            yield from _complain_of_settings(document, cause, base + path)
        elif isinstance(cause, FieldError):
            yield problem_at(document, base + path + cause.at, str(cause))
        elif item["type"] == "missing":
            yield _missing(document, model, path, base)
        elif item["type"] == "too_short" and len(item["input"]) >= item["ctx"]["min_length"]:
            continue  # long enough, but for items that are wrong themselves
        else:
            is_key = path[-1:] == ("[key]",) or item["type"] == "extra_forbidden"
            where = path[:-1] if path[-1:] == ("[key]",) else path
            yield problem_at(document, base + where, _message(model, item, where), is_key=is_key)


def _complain_of_settings(document: Document, cause: SettingsError, path: Path) -> Iterator[ConfigProblem]:
    for key in cause.unknown:
        yield problem_at(document, (*path, key), _unknown_key(cause.model, key), is_key=True)
    if cause.error is not None:
        yield from _complain(document, cause.model, cause.error, path)


def _missing(document: Document, model: type[BaseModel], path: Path, base: Path) -> ConfigProblem:
    mark, found = document.locate(base + path[:-1])
    kind = type_at(model, path)
    what = wanted(*kind) if kind else "a value"
    return ConfigProblem(document.file, *mark, path_text((*found, path[-1])), f"missing, wanted {what}")


def _message(model: type[BaseModel], item: Any, path: Path) -> str:
    cause = item.get("ctx", {}).get("error")
    if isinstance(cause, ValueError | AssertionError):
        return str(cause) or "wrong value"
    if item["type"] == "extra_forbidden":
        owner = type_at(model, path[:-1])
        return _unknown_key(owner[0] if owner else None, str(path[-1]))
    if item["type"] == "too_short" and not item["input"]:
        return "got no text, wanted some" if item["input"] == "" else "got an empty list, wanted at least one item"
    got = _got(item["input"], path)
    kind = type_at(model, path)
    if kind is None or item["type"] in ("string_pattern_mismatch", "too_long", "too_short"):
        return f"got {got}, wanted otherwise: {_lowered(item['msg'])}"
    hint = _hint(item, kind[0])
    return f"got {got}{hint or f', wanted {wanted(*kind)}'}"


def _unknown_key(owner: Any, key: str) -> str:
    known = owner.model_fields if isinstance(owner, type) and issubclass(owner, BaseModel) else {}
    if not known:
        return "unknown key, wanted none: there are no settings here"
    return f"unknown key{did_you_mean(key, known)}"


def _got(value: object, path: Path) -> str:
    names = [part for part in path if isinstance(part, str)]
    is_sensitive = any(_SENSITIVE.search(name) for name in names[-1:])
    return "a value that is not shown" if is_sensitive and isinstance(value, str) else shown(value)


def _hint(item: Any, annotation: Any) -> str:
    if item["type"] == "literal_error" and isinstance(item["input"], str):
        return did_you_mean(item["input"], [str(arg) for arg in annotation.__args__])
    if item["type"] == "string_type" and isinstance(item["input"], int | float):
        return ", wanted text: put it into quotes"
    return ""


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
