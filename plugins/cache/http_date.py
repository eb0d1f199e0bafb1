"""Dates of HTTP (RFC 9110 §5.6.7)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?P<month>[a-z]{3})"
# Case does not count, and no zone but GMT does (RFC 9111 §4.2).
_FORMS = tuple(
    re.compile(form, re.IGNORECASE | re.ASCII)
    for form in (
        rf"(?:mon|tue|wed|thu|fri|sat|sun), (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_TIME} gmt",
        rf"(?:mon|tues|wednes|thurs|fri|satur|sun)day, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} gmt",
        rf"(?:mon|tue|wed|thu|fri|sat|sun) {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})",
    )
)
_CENTURY_WINDOW_YEARS = 50


def parse_http_date(text: str, wall_s: float) -> int | None:
    """Return seconds since the epoch; None for what is no date in one of the three forms.

    `wall_s` places a year of two digits: at most 50 years ahead. Source: RFC 9110 §5.6.7.
    """
    for form in _FORMS:
        if found := form.fullmatch(text):
            return _instant(found, wall_s)
    return None


def _instant(found: re.Match[str], wall_s: float) -> int | None:
    month = found["month"].lower()
    if month not in _MONTHS:
        return None
    second = min(int(found["second"]), 59) if found["second"] <= "60" else 60  # a leap second is the end of its minute
    year = int(found["year"])
    if len(found["year"]) == 2:
        year = _full_year(year, wall_s)
    try:
        date = datetime(
            year,
            _MONTHS.index(month) + 1,
            int(found["day"]),
            int(found["hour"]),
            int(found["minute"]),
            second,
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return int(date.timestamp())


def _full_year(two_digits: int, wall_s: float) -> int:
    this_year = datetime.fromtimestamp(wall_s, UTC).year
    year = this_year - this_year % 100 + 100 + two_digits
    while year > this_year + _CENTURY_WINDOW_YEARS:
        year -= 100
    return year
