"""A configuration as JSON: seconds, bytes, and no secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from .schema import Config
from .secrets import HIDDEN, SecretRef
from .units import Rate

# A plugin of somebody else may keep a secret in a plain field.
_SECRET_NAME = re.compile(r"(?:^|_)(?:secret|password|token|pepper|credential|api_?key)$", re.IGNORECASE)


def dump(config: Config) -> dict[str, Any]:
    """Return the internal form: durations in seconds, sizes in bytes, every secret as ***."""
    return {name: _plain(getattr(config, name)) for name in Config.model_fields}


def _plain(value: object) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, SecretRef):
        return HIDDEN
    if isinstance(value, BaseModel):
        return {name: _shown_field(name, getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, frozenset | set):
        return sorted((_plain(item) for item in value), key=str)
    if isinstance(value, Rate):
        return {"amount": value.amount, "per_s": value.per_s}
    return str(value)


def _shown_field(name: str, value: object) -> Any:
    return HIDDEN if isinstance(value, str) and value and _SECRET_NAME.search(name) else _plain(value)
