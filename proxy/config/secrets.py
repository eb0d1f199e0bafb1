"""Secrets, given only by reference and shown as ***."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from .files import readable, unreadable
from .scope import Scope, scope_of
from .wording import Words

MAX_SECRET_BYTES = 64 * 1024
HIDDEN = "***"
_WANTED = "`env:NAME` or `file:PATH`"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class SecretRef:
    """A secret that an environment variable or a file holds, read when the configuration is loaded.

    Compares by value, so that a reload sees a changed secret. Never shown: neither by repr nor in a dump.
    """

    __slots__ = ("_value", "source")
    WORDS: ClassVar[Words] = Words("a reference to a secret", "references to secrets", _WANTED)

    def __init__(self, source: str, value: str) -> None:
        self.source = source
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretRef) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return f"SecretRef({HIDDEN})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            _validate, serialization=core_schema.plain_serializer_function_ser_schema(lambda _: HIDDEN)
        )


def resolve_secret(reference: object, scope: Scope) -> SecretRef:
    """Read the secret that `reference` names. Raises: ValueError, which never shows `reference` unless it is one."""
    kind, _, place = reference.partition(":") if isinstance(reference, str) else ("", "", "")
    if kind == "env" and _VARIABLE.fullmatch(place):
        return SecretRef(f"env:{place}", _checked(_from_environment(place, scope), f"the variable `{place}`"))
    if kind == "file" and place:
        path = scope.directory / place
        return SecretRef(f"file:{place}", _checked(_from_file(path), f"the file `{path}`"))
    if kind in ("env", "file"):
        raise ValueError(f"got a reference without a name, wanted {_WANTED}")
    raise ValueError(f"got a literal value, wanted {_WANTED}: keep secrets out of the configuration")


def _validate(value: object, info: ValidationInfo) -> SecretRef:
    return value if isinstance(value, SecretRef) else resolve_secret(value, scope_of(info))


def _from_environment(name: str, scope: Scope) -> str:
    value = scope.environ.get(name)
    if value is None:
        raise ValueError(f"the variable `{name}` is not set, wanted it in the environment of headgate")
    return value


def _from_file(path: Path) -> str:
    try:
        with readable(path).open("rb") as file:
            data = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise ValueError(unreadable(path, error)) from None
    if len(data) > MAX_SECRET_BYTES:
        raise ValueError(f"the file `{path}` is larger than {MAX_SECRET_BYTES} bytes, wanted one secret in it")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the file `{path}` is not UTF-8, wanted one line of text") from None
    return text.removesuffix("\n").removesuffix("\r")


def _checked(value: str, where: str) -> str:
    if not value:
        raise ValueError(f"{where} is empty, wanted a secret in it")
    if _CONTROL.search(value):
        raise ValueError(f"{where} holds control characters or several lines, wanted one line of text")
    return value
