"""Regular expressions over paths that are matched in linear time, whatever the path."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_CHARACTERS = 512
_PATH_CHARACTERS = [chr(code) for code in range(0x21, 0x7F)]
_TOKEN = re.compile(
    r"(?P<atom>\\[dwDW]|\\[^a-zA-Z0-9]|\.|\[\^?\]?(?:[^\]\\]|\\.)*\]|[^\\.\[\]()*+?{}|^$])"
    r"(?P<repeat>[*+?]|\{[0-9]{1,3}(?:,[0-9]{0,3})?\})?(?P<further>[*+?{])?"
    r"|(?P<open>\((?!\?))|(?P<close>\))(?P<quantified>[*+?{])?"
)


@dataclass(frozen=True, slots=True)
class _Item:
    """One character of a set, some times. `is_fixed`: so many times and no other number; `may_be_none`: none too."""

    text: str
    characters: frozenset[str]
    is_fixed: bool
    may_be_none: bool


def compile_pattern(text: str) -> re.Pattern[str]:
    """Return a pattern, to be matched against a whole path. Raises: ValueError for one that is not surely linear.

    It is made of characters, `.`, `[…]`, `\\d`, `\\w`, what follows a backslash otherwise, each with `*`, `+`, `?` or
    `{m,n}` if need be, and of groups without those and without alternatives. What may come a different number of times
    must not go on over what can follow it: then the number is decided by the first character that does not fit, and
    nothing is ever tried twice.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"wanted a pattern of at most {MAX_CHARACTERS} characters")
    items = _items(text)
    for place, item in enumerate(items):
        if not item.is_fixed and (shared := item.characters & _first(items[place + 1 :])):
            raise ValueError(
                f"`{item.text}` may go on over what follows it (such as {min(shared)!r}), wanted a set of characters "
                "that ends there, such as `[^/]+` before a `/`"
            )
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"wanted a regular expression: {error}") from None


def _items(text: str) -> list[_Item]:
    items, at, depth = list[_Item](), 0, 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found["further"] or found["quantified"]:
            raise ValueError(
                f"got `{text[at : at + 20]}` at character {at + 1}, wanted characters, sets and groups, "
                "of which only characters and sets are repeated, each once"
            )
        depth += bool(found["open"]) - bool(found["close"])
        if depth < 0:
            raise ValueError(f"got `)` at character {at + 1}, wanted `(` before it")
        if found["atom"]:
            items.append(_item(found["atom"], found["repeat"] or ""))
        at = found.end()
    if depth:
        raise ValueError("got the end, wanted `)` before it")
    return items


def _item(atom: str, repeat: str) -> _Item:
    try:
        one = re.compile(atom)
    except re.error as error:
        raise ValueError(f"got `{atom[:40]}`: {error}") from None
    characters = frozenset(character for character in _PATH_CHARACTERS if one.fullmatch(character))
    least, comma, most = repeat.strip("{}").partition(",") if repeat[:1] == "{" else ("", "", "")
    is_fixed = not repeat or (bool(least) and (not comma or least == most))
    may_be_none = repeat in ("*", "?") or (bool(least) and int(least) == 0)
    return _Item(atom + repeat, characters, is_fixed, may_be_none)


def _first(items: list[_Item]) -> frozenset[str]:
    """Return every character that can come first of what `items` match."""
    found = frozenset[str]()
    for item in items:
        found |= item.characters
        if not item.may_be_none:
            break
    return found
