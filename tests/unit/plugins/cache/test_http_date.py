"""The three forms of a date, and what is none."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.plugins.cache.http_date import parse_http_date

NOW = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
EXAMPLE = 784111777  # RFC 9110 §5.6.7


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "sun, 06 nov 1994 08:49:37 gmt",
    ],
)
def test_each_form_is_read(text: str) -> None:
    assert parse_http_date(text, NOW) == EXAMPLE


@pytest.mark.parametrize(
    ("year", "full"), [("26", 2026), ("76", 2076), ("77", 1977), ("00", 2000), ("99", 1999), ("25", 2025)]
)
def test_two_digits_are_at_most_50_years_ahead(year: str, full: int) -> None:
    read = parse_http_date(f"Sunday, 06-Nov-{year} 08:49:37 GMT", NOW)
    assert read == datetime(full, 11, 6, 8, 49, 37, tzinfo=UTC).timestamp()


def test_leap_second_is_the_end_of_its_minute() -> None:
    assert parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT", NOW) == 1483228799


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-1",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun,06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Xxx, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 0६ Nov 1994 08:49:37 GMT",
    ],
)
def test_anything_else_is_no_date(text: str) -> None:
    assert parse_http_date(text, NOW) is None


@given(st.integers(0, 10**11))
def test_written_dates_are_read_back(seconds: int) -> None:
    assert parse_http_date(formatdate(seconds, usegmt=True), NOW) == seconds


@given(st.text(max_size=40))
def test_no_text_is_an_error(text: str) -> None:
    assert parse_http_date(text, NOW) is None or text
