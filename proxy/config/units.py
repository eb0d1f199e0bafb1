"""Values with a unit: durations, sizes, rates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator

from .wording import Words, shown

MAX_DURATION_S = 366 * 86400.0
MAX_BYTES = 1 << 50
MAX_RATE = 1_000_000_000
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {
    "": 1,
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
_NUMBER_AND_UNIT = re.compile(r"([0-9]{1,16}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)")
_RATE = re.compile(r"([0-9]{1,15}) ?/ ?(s|m|h)")

_DURATION_WORDS = Words("a duration", "durations", "`500ms`, `30s`, `5m` or `1h`")
_TIMEOUT_WORDS = Words("a duration above zero", "durations above zero", "`500ms`, `30s`, `5m` or `1h`")
_SIZE_WORDS = Words("a size", "sizes", "`64KiB`, `10MB` or a whole number of bytes")
_RATE_WORDS = Words("a rate", "rates", "`100/s`, `60/m` or `1000/h`")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many (`amount`) in so long (`per_s`, seconds)."""

    amount: int
    per_s: float

    def __str__(self) -> str:
        unit = next((unit for unit, seconds in _SECONDS.items() if seconds == self.per_s), f"{self.per_s:g}s")
        return f"{self.amount}/{unit}"


def parse_duration(value: object) -> float:
    """Return seconds. A bare `0` needs no unit. Raises: ValueError."""
    if value == 0 and type(value) in (int, float):
        return 0.0
    number, unit = _split(value)
    if number is None or unit not in _SECONDS:
        hint = " without a unit" if type(value) in (int, float) else ""
        raise ValueError(f"got {shown(value)}{hint}, wanted {_DURATION_WORDS}")
    seconds = round(number * _SECONDS[unit], 9)
    if seconds > MAX_DURATION_S:
        raise ValueError(f"got {shown(value)}, wanted a duration of at most a year")
    return seconds


def parse_size(value: object) -> int:
    """Return bytes. Raises: ValueError."""
    if type(value) is int:
        number, unit = float(value), ""
    else:
        parsed, unit = _split(value)
        if parsed is None or unit not in _BYTES or type(value) is float:
            raise ValueError(f"got {shown(value)}, wanted {_SIZE_WORDS}")
        number = parsed
    if number < 0:
        raise ValueError(f"got {shown(value)}, wanted {_SIZE_WORDS}")
    size = number * _BYTES[unit]
    if size > MAX_BYTES:
        raise ValueError(f"got {shown(value)}, wanted a size of at most 1048576GiB")
    if size != int(size):
        raise ValueError(f"got {shown(value)}, wanted a whole number of bytes")
    return int(size)


def parse_rate(value: object) -> Rate:
    """Return the rate. Raises: ValueError."""
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"got {shown(value)}, wanted {_RATE_WORDS}")
    amount = int(found[1])
    if not 1 <= amount <= MAX_RATE:
        raise ValueError(f"got {shown(value)}, wanted a rate from 1 to {MAX_RATE} a unit of time")
    return Rate(amount, _SECONDS[found[2]])


def duration_text(seconds: float) -> str:
    """Write seconds as the configuration would, in the largest unit in which they are a whole number, if any."""
    for unit in ("h", "m", "s"):
        if seconds and (seconds / _SECONDS[unit]).is_integer():
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    return f"{seconds * 1000:g}ms" if 0 < seconds < 1 else f"{seconds:.12g}s"


def size_text(size: int) -> str:
    """Write bytes as the configuration would."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return str(size)


def _timeout(value: object) -> float:
    seconds = parse_duration(value)
    if seconds <= 0:
        raise ValueError(f"got {shown(value)}, wanted {_TIMEOUT_WORDS}")
    return seconds


def _split(value: object) -> tuple[float | None, str]:
    found = _NUMBER_AND_UNIT.fullmatch(value) if isinstance(value, str) else None
    return (float(found[1]), found[2]) if found else (None, "")


# Seconds that may be zero, seconds that may not, bytes.
Duration = Annotated[float, BeforeValidator(parse_duration), _DURATION_WORDS]
Timeout = Annotated[float, BeforeValidator(_timeout), _TIMEOUT_WORDS]
ByteSize = Annotated[int, BeforeValidator(parse_size), _SIZE_WORDS]
RateValue = Annotated[Rate, BeforeValidator(parse_rate), _RATE_WORDS]
