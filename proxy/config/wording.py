"""How values and types are called in messages."""

from __future__ import annotations

import difflib
import heapq
import json
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

Path = tuple[str | int, ...]
_SHOWN_CHARACTERS = 60
_NEAREST_CHARACTERS = 64  # a longer name is no slip of the pen, and costly to compare
_NEAREST_CANDIDATES = 50
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Words:
    """What a type is called: one, many, and how it is written. Put into `Annotated`."""

    one: str
    many: str
    example: str = ""

    def __str__(self) -> str:
        return f"{self.one} such as {self.example}" if self.example else self.one


# Line breaks and controls that JSON leaves as they are: a message is one line.
_UNSHOWN = re.compile("[\x7f-\x9f\u2028\u2029]")


class FieldError(ValueError):
    """A wrong value, told about a part of the value that is checked: `at` leads from there to it."""

    def __init__(self, at: Path, message: str) -> None:
        super().__init__(message)
        self.at = at


def shown(value: object, max_characters: int = _SHOWN_CHARACTERS) -> str:
    """Write `value` as it may stand in a message: short, on one line."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        is_cut = len(value) > max_characters
        text = json.dumps(value[:max_characters], ensure_ascii=False) + "…" * is_cut
    else:
        text = str(value)[:max_characters]
    return _UNSHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def path_text(path: Sequence[str | int]) -> str:
    """Write a path as `routes[0].match.path`; a key of unusual characters is quoted in brackets."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part)}]"
    return text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `, did you mean …?` with the nearest known name, or what is known where nothing is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name, _candidates(name, names), n=1)
    if near:
        return f", did you mean `{near[0]}`?"
    if not names:
        return ", none is declared"
    if len(names) == 1:
        return f", wanted `{names[0]}`"
    listed = ", ".join(f"`{known_name}`" for known_name in names[:12])
    return f", wanted one of {listed}" + (", …" if len(names) > 12 else "")


def _candidates(name: str, names: list[str]) -> list[str]:
    """Return the few names worth a costly comparison: nearly as long, and alike at both ends."""
    if len(name) > _NEAREST_CHARACTERS:
        return []
    alike = [other for other in names if abs(len(other) - len(name)) <= max(3, len(name) // 2)]
    if len(alike) <= _NEAREST_CANDIDATES:
        return alike
    return heapq.nlargest(_NEAREST_CANDIDATES, alike, key=lambda other: _likeness(name, other))


def _likeness(one: str, other: str) -> int:
    """Return how many characters two names share at their beginning and at their end."""
    return _num_shared(one, other) + _num_shared(one[::-1], other[::-1])


def _num_shared(one: str, other: str) -> int:
    differing = (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differing, min(len(one), len(other)))


def wanted(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """Say what a value of the type is, for example `a whole number from 1 to 10`."""
    return _one_and_many(annotation, tuple(metadata))[0]


def wanted_field(field: FieldInfo) -> str:
    """Say what a value of the field is."""
    return wanted(field.annotation, field.metadata)


def type_at(model: type[BaseModel], path: Sequence[str | int]) -> tuple[Any, tuple[Any, ...]] | None:
    """Return annotation and metadata at `path` below `model`, or None where the path cannot be followed."""
    annotation: Any = model
    metadata: tuple[Any, ...] = ()
    for part in path:
        annotation, metadata = unwrap(annotation, metadata)
        origin, args = typing.get_origin(annotation), typing.get_args(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel) and part in annotation.model_fields:
            field = annotation.model_fields[str(part)]
            annotation, metadata = field.annotation, tuple(field.metadata)
        elif origin in (tuple, list, frozenset, set) and isinstance(part, int):
            annotation, metadata = args[0], ()
        elif isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(part, str):
            annotation, metadata = args[1], ()
        else:
            return None
    return unwrap(annotation, metadata)


def unwrap(annotation: Any, metadata: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """Take `Annotated` and `| None` off a type; return it with its metadata."""
    while True:
        if typing.get_origin(annotation) is typing.Annotated:
            annotation, *more = typing.get_args(annotation)
            metadata = (*metadata, *more)
        elif typing.get_origin(annotation) in (typing.Union, types.UnionType):
            parts = [part for part in typing.get_args(annotation) if part is not type(None)]
            if len(parts) != 1:
                return annotation, metadata
            annotation = parts[0]
        else:
            return annotation, metadata


_PRIMITIVES = {str: ("text", "texts"), int: ("a whole number", "whole numbers"), float: ("a number", "numbers")}


def _one_and_many(annotation: Any, metadata: tuple[Any, ...]) -> tuple[str, str]:
    annotation, metadata = unwrap(annotation, metadata)
    for item in (*metadata, getattr(annotation, "WORDS", None)):
        if isinstance(item, Words):
            return str(item) + bounds(metadata), item.many
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is bool:
        return "true or false", "values true or false"
    if annotation in _PRIMITIVES:
        one, many = _PRIMITIVES[annotation]
        return one + bounds(metadata), many + bounds(metadata)
    if origin is typing.Literal:
        names = ", ".join(f"`{arg}`" for arg in args)
        return f"one of {names}", f"names out of {names}"
    if origin in (tuple, list, frozenset, set):
        many = _one_and_many(args[0], ())[1]
        return f"a list of {many}", f"lists of {many}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a mapping of names to {_one_and_many(args[1], ())[1]}", "mappings"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        names = ", ".join(f"`{name}`" for name in list(annotation.model_fields)[:4])
        return f"a mapping with {names}" + (", …" if len(annotation.model_fields) > 4 else ""), "mappings"
    return "another value", "values"


def bounds(metadata: Iterable[Any]) -> str:
    """Say between what a number must be, as far as the metadata tells."""
    parts = list(metadata)
    parts += [part for item in parts if isinstance(item, FieldInfo) for part in item.metadata]
    least = next((item.ge for item in parts if isinstance(item, annotated_types.Ge)), None)
    most = next((item.le for item in parts if isinstance(item, annotated_types.Le)), None)
    if least is not None and most is not None:
        return f" from {least} to {most}"
    text = "" if least is None else f", at least {least}"
    text += "" if most is None else f", at most {most}"
    text += "".join(f", above {item.gt}" for item in parts if isinstance(item, annotated_types.Gt))
    return text + "".join(f", below {item.lt}" for item in parts if isinstance(item, annotated_types.Lt))
