"""What all parts of the configuration have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Strict, ValidationInfo

from .scope import scope_of
from .wording import Words, did_you_mean, shown

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?")
_MODEL_NAME = re.compile(r"[!-~]{1,200}")
_NAME_WORDS = Words("a name of letters, digits, `_`, `-` and `.`, at most 64", "names")
_MODEL_WORDS = Words("a model's name of visible ASCII characters, at most 200", "names of models")


class Section(BaseModel):
    """One mapping of the configuration: frozen, and nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self  # frozen: pydantic would copy every default for every instance


def _check_name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"got {shown(value)}, wanted {_NAME_WORDS}")
    return value


def _check_model_name(value: object) -> str:
    if not isinstance(value, str) or not _MODEL_NAME.fullmatch(value):
        raise ValueError(f"got {shown(value)}, wanted {_MODEL_WORDS}")
    return value


def _check_cluster(value: str, info: ValidationInfo) -> str:
    known = scope_of(info).clusters
    if known is not None and value not in known:
        raise ValueError(f"unknown cluster {shown(value)}{did_you_mean(value, known)}")
    return value


Key = TypeVar("Key")
Value = TypeVar("Value")


def frozen_mapping(value: Mapping[Key, Value]) -> Mapping[Key, Value]:
    """Return a read-only view."""
    return MappingProxyType(value)


def empty_mapping() -> Mapping[str, Any]:
    """Return the read-only mapping of nothing."""
    return _EMPTY


_EMPTY: Mapping[str, Any] = MappingProxyType({})
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
Name = Annotated[str, BeforeValidator(_check_name), _NAME_WORDS]
ModelName = Annotated[str, BeforeValidator(_check_model_name), _MODEL_WORDS]
ClusterName = Annotated[
    str, BeforeValidator(_check_name), AfterValidator(_check_cluster), Words("a cluster's name", "names of clusters")
]
