"""The periods of a quota: numbered spans of the calendar, in UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

Per = Literal["minute", "hour", "day", "week", "month", "total"]
PERS: tuple[Per, ...] = get_args(Per)

_DAY_S = 86_400
_PLAIN_S: dict[Per, int] = {"minute": 60, "hour": 3600, "day": _DAY_S}
_WEEK_DAYS = 7
_MONDAY = 3  # 1970-01-01 was a Thursday
_MONTHS = 12
# Whatever a clock says, it is taken to be inside of these: there every period has a number above 0.
EARLIEST_S = 1_000_000
LATEST_S = 250_000_000_000


class Period(NamedTuple):
    """One span: from `begin_s` until before `end_s`, seconds since the epoch. That of `total` has no end."""

    number: int
    begin_s: int
    end_s: int | None


def period_at(per: Per, now_s: float) -> Period:
    """Return the span that an instant of the wall clock lies in. Numbers grow with time, by 1, and are above 0."""
    last = _LAST.get(per)
    if last is not None and last.begin_s <= now_s < (last.end_s or LATEST_S):
        return last
    period = _LAST[per] = period_of(per, _number_at(per, min(max(int(now_s), EARLIEST_S), LATEST_S)))
    return period


_LAST: dict[Per, Period] = {}  # as asked for last: most ask for the same


@lru_cache(maxsize=64)
def period_of(per: Per, number: int) -> Period:
    """Return the span of a number that `period_at` gave, or of the one after it."""
    if per == "total":
        return Period(1, 0, None)
    begins = _BEGINS[per]
    return Period(number, begins(number), begins(number + 1))


def _number_at(per: Per, now_s: int) -> int:
    if per in _PLAIN_S:
        return now_s // _PLAIN_S[per]
    if per == "week":
        return (now_s // _DAY_S + _MONDAY) // _WEEK_DAYS
    if per == "month":
        day = datetime.fromtimestamp(now_s, UTC)
        return day.year * _MONTHS + day.month - 1
    return 1


def _month_begins(number: int) -> int:
    return int(datetime(number // _MONTHS, number % _MONTHS + 1, 1, tzinfo=UTC).timestamp())


_BEGINS: dict[Per, Callable[[int], int]] = {
    "minute": lambda number: number * 60,
    "hour": lambda number: number * 3600,
    "day": lambda number: number * _DAY_S,
    "week": lambda number: (number * _WEEK_DAYS - _MONDAY) * _DAY_S,
    "month": _month_begins,
}


def written(instant_s: int) -> str:
    """Write an instant as RFC 3339 has it."""
    return datetime.fromtimestamp(instant_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
