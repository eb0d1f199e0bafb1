"""Targeted cache control fields: dictionaries of structured fields (RFC 8941), read for their directives (RFC 9213)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .directives import MAX_SECONDS, Directives

_KEY = r"[a-z*][a-z0-9_.*-]*+"
_ITEM = (
    r"(?:-?(?:\d{1,12}\.\d{1,3}|\d{1,15})(?![\d.])"  # a decimal, an integer
    r'|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*+"'
    r"|:[A-Za-z0-9+/=]*+:"
    r"|\?[01]"
    r"|[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*+)"
)
_PARAMETERS = rf"(?:; *+{_KEY}(?:={_ITEM})?)*+"
_INNER = rf"\( *+(?:{_ITEM}{_PARAMETERS}(?: ++|(?=\))))*+\)"
_MEMBER = re.compile(rf"(?P<key>{_KEY})(?:=(?P<value>{_INNER}|{_ITEM}))?{_PARAMETERS}", re.ASCII)
_COMMA = re.compile(r"[ \t]*+,[ \t]*+")
_INTEGER = re.compile(r"\d{1,15}", re.ASCII)


def parse_targeted(lines: Iterable[str]) -> Directives | None:
    """Return the directives of such a field; None where it is empty or no dictionary, and counts as absent.

    A value of a type that no directive has is kept as unreadable: so the answer that names it is not fresh.
    Cost: linear in the length. Source: RFC 9213 §2.1, RFC 8941 §4.2.2.
    """
    members = _members(", ".join(lines).strip(" "))
    if not members:
        return None
    arguments: dict[str, list[str | None]] = {}
    for key, value in members.items():
        if value != "?0":  # a directive that is switched off
            arguments[key] = [_argument(value)]
    return Directives(arguments)


def _argument(value: str | None) -> str | None:
    if value is None or value == "?1":
        return None
    return str(min(int(value), MAX_SECONDS)) if _INTEGER.fullmatch(value) else value


def _members(text: str) -> dict[str, str | None] | None:
    """Return the members, the last of each name; None for what is no dictionary."""
    members: dict[str, str | None] = {}
    for found in _matches(text):
        if found is None:
            return None
        members[found["key"]] = found["value"]
    return members


def _matches(text: str) -> Iterator[re.Match[str] | None]:
    at = 0
    while at < len(text):
        found = _MEMBER.match(text, at)
        yield found
        if found is None or found.end() == len(text):
            return
        comma = _COMMA.match(text, found.end())
        if comma is None or comma.end() == len(text):
            yield None  # something else, or a comma at the end
            return
        at = comma.end()
