"""Lines of JSON with the same members, the twin in Python: the specification of `_json_line_c`."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import orjson

_INT_BITS = 63
_MAX_MICROSECONDS = 10**15


class LineFormat:
    """How each object of a log is written: its members' names and their order.

    None, truth values and whole numbers of 64 bits stand as JSON has them, fractions as short as they read back; a
    tuple or list is an array of texts, a dict an object of texts. Anything else is a text: of at most `max_text`
    characters, in which half of a surrogate pair is `?`. The members that `spans` names are told in seconds and written
    in milliseconds, to the nearest microsecond.
    """

    def __init__(self, names: Sequence[str], spans: Collection[str] = (), max_text: int = 2048) -> None:
        self._names = tuple(names)
        self._spans = frozenset(spans)
        self._max_text = max_text

    def line(self, values: tuple[object, ...]) -> bytes:
        """Return the object whose first members have these values, and a line feed.

        Raises: ValueError for more values than there are names. Cost: linear in the line.
        """
        if len(values) > len(self._names):
            raise ValueError(f"expected at most {len(self._names)} values, got {len(values)}")
        shown = {}
        for name, value in zip(self._names, values, strict=False):
            is_span = name in self._spans and isinstance(value, int | float)
            shown[name] = milliseconds(value) if is_span else plain(value, self._max_text)  # type: ignore[arg-type]
        return orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE)


def milliseconds(value_s: float) -> float:
    """Return a span in milliseconds, to the nearest microsecond where it is not huge."""
    value_us = value_s * 1e6
    if not math.isfinite(value_us):
        return math.nan  # which is written as null
    return round(value_us) / 1000 if 0 <= value_us < _MAX_MICROSECONDS else value_s * 1000.0


def plain(value: object, max_text: int) -> object:
    """Return what stands for a value."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and value.bit_length() <= _INT_BITS:
        return int(value)
    if isinstance(value, tuple | list):
        return [_shown(item, max_text) for item in value]
    if isinstance(value, dict):
        return {_shown(name, max_text): _shown(item, max_text) for name, item in value.items()}
    return _shown(value, max_text)


def _shown(value: object, max_text: int) -> str:
    return str(value)[:max_text].encode("utf-8", "replace").decode()
