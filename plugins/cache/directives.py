"""The Cache-Control field (RFC 9111 §5.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

INVALID = -1
MAX_SECONDS = 2**31  # RFC 9111 §1.2.2: what overflows is taken as this
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Directives:
    """The directives of one message, by lower-case name.

    `is_malformed`: a quoted string does not end, so that nobody can tell which directives were meant.
    """

    __slots__ = ("_arguments", "is_malformed")

    def __init__(self, arguments: Mapping[str, Sequence[str | None]], is_malformed: bool = False) -> None:
        self._arguments = arguments
        self.is_malformed = is_malformed

    def __contains__(self, name: str) -> bool:
        return name in self._arguments

    def __bool__(self) -> bool:
        return bool(self._arguments) or self.is_malformed

    def is_bare(self, name: str) -> bool:
        """Whether `name` is there without an argument."""
        return None in self._arguments.get(name, ())

    def seconds(self, name: str) -> int | None:
        """Return the argument of `name` as seconds; INVALID where it is not readable or told in several ways.

        Source: RFC 9111 §1.2.2, §4.2.1.
        """
        arguments = self._arguments.get(name)
        if arguments is None:
            return None
        first = arguments[0]
        return INVALID if first is None or len(set(arguments)) > 1 else delta_seconds(first)


NONE = Directives({})


def parse_directives(values: Iterable[str]) -> Directives:
    """Read the lines of one Cache-Control field. Cost: linear in their length."""
    arguments: dict[str, list[str | None]] = {}
    is_malformed = False
    for value in values:
        is_sound = '"' not in value or _ends_unquoted(value)
        is_malformed = is_malformed or not is_sound
        for member in value.split(",") if '"' not in value or not is_sound else _members(value):
            _add(arguments, member.strip(" \t"))
    return Directives(arguments, is_malformed) if arguments or is_malformed else NONE


def delta_seconds(text: str) -> int:
    """Return a number of seconds, at most MAX_SECONDS; INVALID where it is none. Source: RFC 9111 §1.2.2."""
    if not (text.isascii() and text.isdigit()):
        return INVALID
    digits = text.lstrip("0")
    return MAX_SECONDS if len(digits) > 10 else min(int(digits or "0"), MAX_SECONDS)


def _add(arguments: dict[str, list[str | None]], member: str) -> None:
    if not member:
        return
    name, equals, argument = member.partition("=")
    bare = name.rstrip(" \t")
    if bare != name:
        argument = ""  # white space is not allowed here: the name counts, a number after it does not
    elif len(argument) > 1 and argument[0] == argument[-1] == '"':
        argument = _ESCAPED.sub(r"\1", argument[1:-1])
    arguments.setdefault(bare.lower(), []).append(argument if equals else None)


def _members(value: str) -> Iterator[str]:
    start = 0
    for at, character in _unquoted(value):
        if character == ",":
            yield value[start:at]
            start = at + 1
    yield value[start:]


def _ends_unquoted(value: str) -> bool:
    return sum(character == '"' for _, character in _unquoted(value)) % 2 == 0


def _unquoted(value: str) -> Iterator[tuple[int, str]]:
    """Yield the characters outside quoted strings, and the quotes themselves."""
    is_quoted = is_escaped = False
    for at, character in enumerate(value):
        if is_escaped:
            is_escaped = False
        elif is_quoted and character == "\\":
            is_escaped = True
        elif character == '"':
            is_quoted = not is_quoted
            yield at, character
        elif not is_quoted:
            yield at, character
