"""Versions that a configuration takes, as PEP 440 writes them."""

from __future__ import annotations

from typing import Annotated

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version
from pydantic import PlainValidator

from .wording import Words, shown

_MAX_CHARACTERS = 100
_WORDS = Words("a version, or a range of versions,", "versions", '`"1.4.2"` or `">=1.2,<2"`')


def takes(wanted: str, version: str) -> bool:
    """Whether a version is among those wanted; one that is no version of PEP 440 never is.

    A pre-release is only where one is named. Raises: ValueError where `wanted` cannot be read.
    """
    try:
        found = Version(version)
    except InvalidVersion:
        return False
    specifiers = _parse(wanted)
    return specifiers.contains(found, prereleases=bool(specifiers.prereleases))


def _parse(text: str) -> SpecifierSet:
    try:
        specifiers = SpecifierSet(f"=={text}" if _is_version(text) else text)
    except InvalidSpecifier:
        specifiers = SpecifierSet()
    if not len(specifiers):
        raise ValueError(f"got {shown(text)}, wanted {_WORDS}")
    return specifiers


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _checked(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MAX_CHARACTERS:
        raise ValueError(f"got {shown(value)}, wanted {_WORDS}")
    _parse(value)
    return value


Versions = Annotated[str, PlainValidator(_checked), _WORDS]
