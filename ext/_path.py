"""Request paths: their one normal form, and the patterns that match it.

Policy (RFC 3986 §6.2.2): a path is compared after its percent-encoded unreserved characters are decoded and its other
encodings are written in upper case. Nothing else is changed, and what two readers could understand in two ways is
refused, so that the route that was matched is the route that the upstream sees:

- what is no origin-form path: no `/` at the start, `?`, `#`, `\\`, spaces, controls, bytes outside ASCII, a bare `%`;
- an encoded `/`, `\\` or NUL (`%2F`, `%5C`, `%00`);
- an empty segment before the last one (`//`);
- a dot segment (`.` or `..`), plain, encoded, or before a `;` (`..;a=b`: some servers strip such path parameters).

Case counts, and so does a slash at the end: `/files/` is the segment `files` and one empty segment.
"""

from __future__ import annotations

import re
from typing import NamedTuple

PARAM = "{}"
REST = "{*}"
MAX_PATTERN_SEGMENTS = 64  # a look-up descends once per segment


class Pattern(NamedTuple):
    """A parsed path pattern. Positions count segments from 1, as in `"/a/b".split("/")`."""

    shape: tuple[str, ...]  # one entry a segment: its normal literal, PARAM or REST
    params: tuple[tuple[str, int], ...]  # name, position
    rest: tuple[str, int] | None


class PatternError(ValueError):
    """A path or host pattern that cannot be parsed; `column` counts from 1."""

    def __init__(self, column: int, problem: str) -> None:
        super().__init__(f"column {column}: {problem}")
        self.column = column
        self.problem = problem


def normalize_path(raw: str) -> str | None:
    """Return the normal form of the raw path `raw` (without query), or None where the policy above refuses it.

    A path that is already normal comes back as the same object.
    Cost: O(length). Source: RFC 3986 §6.2.2.1 to §6.2.2.3, RFC 9112 §3.2.1.
    """
    if _WELL_FORMED.fullmatch(raw) is None:
        return None
    path = _ENCODED.sub(_decode_unreserved, raw) if "%" in raw else raw
    return path if _REFUSED.search(path) is None else None


def parse_pattern(text: str) -> Pattern:
    """Parse a path pattern such as `/files/{id}` or `/static/{*rest}`.

    Literals are brought to their normal form. A `{param}` fills one segment and is never empty; `{*rest}` stands last
    and takes one or more segments, which may be one empty one.
    Raises: PatternError.
    """
    if not text.startswith("/"):
        raise PatternError(1, 'expected "/" at the start')
    segments = text[1:].split("/")
    if len(segments) > MAX_PATTERN_SEGMENTS:
        raise PatternError(1, f"expected at most {MAX_PATTERN_SEGMENTS} segments, found {len(segments)}")
    shape: list[str] = []
    names: dict[str, int] = {}
    column = 2
    for position, segment in enumerate(segments, 1):
        is_last = position == len(segments)
        kind, name = _parse_segment(segment, column, is_last)
        if name in names:
            raise PatternError(column, f'expected a new parameter name, "{name}" is taken by segment {names[name]}')
        if name:
            names[name] = position
        shape.append(kind)
        column += len(segment) + 1
    rest = names.popitem() if shape[-1] == REST else None
    return Pattern(tuple(shape), tuple(names.items()), rest)


_CHARACTER = r"""[!"$&->@-\[\]-~]"""  # visible ASCII, the slash too, without # % ? \
_WELL_FORMED = re.compile(rf"/{_CHARACTER}*(?:%[0-9A-Fa-f]{{2}}{_CHARACTER}*)*")
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_REFUSED = re.compile(r"//|/\.{1,2}(?=[/;]|%3B|\Z)|%2F|%5C|%00")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")  # RFC 3986 §2.3
_BAD_LITERAL = re.compile(rf"(?!{_CHARACTER}|%[0-9A-Fa-f]{{2}})[\s\S]|[{{}}]")
_BRACES = re.compile(r"\{(\*?)([A-Za-z_][A-Za-z0-9_]*)\}")


def _decode_unreserved(encoded: re.Match[str]) -> str:
    character = chr(int(encoded[0][1:], 16))
    return character if character in _UNRESERVED else encoded[0].upper()


def _parse_segment(segment: str, column: int, is_last: bool) -> tuple[str, str]:
    """Return what the segment is (normal literal, PARAM or REST) and its parameter name, if any."""
    braces = _BRACES.fullmatch(segment)
    if braces is None:
        return _parse_literal(segment, column, is_last), ""
    star, name = braces.groups()
    if star and not is_last:
        raise PatternError(column, f'expected "{segment}" to be the last segment')
    return (REST if star else PARAM), name


def _parse_literal(segment: str, column: int, is_last: bool) -> str:
    bad = _BAD_LITERAL.search(segment)
    if bad is not None:
        raise PatternError(column + bad.start(), _what_is_wrong(bad[0]))
    if not segment:
        if is_last:
            return ""
        raise PatternError(column, "expected a segment between two slashes, such a path is never matched")
    path = normalize_path(f"/{segment}")
    if path is None:
        raise PatternError(column, f'expected no dot segment, %2F, %5C or %00, got "{segment}": it is never matched')
    return path[1:]


def _what_is_wrong(character: str) -> str:
    if character in "{}":
        return "expected {name} or {*name} to be a whole segment, with a name of letters, digits and _"
    if character == "%":
        return 'expected two hex digits after "%"'
    return f"expected a path character, got {character!r}: write it percent-encoded"
