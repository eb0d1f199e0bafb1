"""Which stored answer a request selects (RFC 9111 §4.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache

from ...proxy.exchange.fields import Fields
from ...proxy.forwarded import SPOOFABLE

Vary = tuple[tuple[str, str | None], ...]

MAX_NAMES = 16
_REMEMBERED_CHARACTERS = 256
# Part of the key already.
_KEYED = frozenset(("host", "x-forwarded-host", "x-forwarded-proto"))
# The gateway writes these anew for every request: what the target saw is not what the client sent.
_OWN = frozenset(name.decode() for name in SPOOFABLE) | {"x-request-id", "traceparent", "via"}
_ALIASES = {"x-gzip": "gzip", "x-compress": "compress"}
_QUALITY = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


def vary_names(values: Iterable[str]) -> tuple[str, ...] | None:
    """Return the lower-case names in the lines of a Vary field, sorted; None for an answer that no request selects.

    That is `*`, a field that the gateway writes itself, or more than MAX_NAMES of them.
    """
    names = {name for value in values for part in value.split(",") if (name := part.strip(" \t").lower())} - _KEYED
    if "*" in names or names & _OWN or len(names) > MAX_NAMES:
        return None
    return None if any(name.startswith("x-headgate-") for name in names) else tuple(sorted(names))


def is_overlapping(one: Vary, other: Vary) -> bool:
    """Whether some request could select both. Cost: linear in the names of both."""
    known = dict(one)
    return all(known.get(name, value) == value for name, value in other)


class Selector:
    """What a request says in the fields that answers vary on."""

    __slots__ = ("_fields", "_known", "_normalised")

    def __init__(self, fields: Fields, normalised: Collection[str]) -> None:
        self._fields = fields
        self._normalised = normalised
        self._known: dict[str, str | None] | None = None  # made where an answer varies

    def of(self, names: Iterable[str]) -> Vary:
        """Return the request's values of `names`; None stands for an absent field."""
        return tuple((name, self._value(name)) for name in names)

    def selects(self, vary: Vary) -> bool:
        """Whether an answer to a request with the values `vary` may be given to this one."""
        return all(self._value(name) == value for name, value in vary)

    def keep(self) -> None:
        """Hold on to the fields as they are now, whatever happens to the request later."""
        self._fields = self._fields.copy()

    def _value(self, name: str) -> str | None:
        known = self._known
        if known is None:
            known = self._known = {}
        if name not in known:
            lines = [line.strip(" \t") for line in self._fields.get_all(name)]
            joined = ", ".join(lines) if lines else None
            if joined is not None and name in self._normalised:
                joined = _meaning(name, joined)
            known[name] = joined
        return known[name]


def _meaning(name: str, value: str) -> str:
    return _known_meaning(name, value) if len(value) <= _REMEMBERED_CHARACTERS else _NORMALISERS[name](value)


@lru_cache(maxsize=1024)
def _known_meaning(name: str, value: str) -> str:
    return _NORMALISERS[name](value)


def _encodings(value: str) -> str:
    return ",".join(sorted({_encoding(part) for part in value.lower().split(",") if part.strip(" \t")}))


def _encoding(part: str) -> str:
    pieces = [piece.strip(" \t") for piece in part.split(";")]
    coding = _ALIASES.get(pieces[0], pieces[0])
    if len(pieces) != 2 or not (quality := _QUALITY.fullmatch(pieces[1])):
        return ";".join((coding, *pieces[1:]))
    weight = float(quality[1])
    return coding if weight == 1 else f"{coding};q={weight:g}"


def _languages(value: str) -> str:
    return _media_ranges(value.lower())


def _media_ranges(value: str) -> str:
    if '"' in value:  # white space inside a quoted string has a meaning
        return value
    # Order is kept: servers take it for a preference among equal weights.
    members = (";".join(piece.strip(" \t") for piece in part.split(";")) for part in value.split(","))
    return ",".join(member for member in members if member)


_NORMALISERS: dict[str, Callable[[str], str]] = {
    "accept": _media_ranges,
    "accept-encoding": _encodings,
    "accept-language": _languages,
}
