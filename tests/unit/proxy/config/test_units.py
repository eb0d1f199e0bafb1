"""Durations, sizes and rates."""

from __future__ import annotations

import pytest

from headgate.proxy.config.units import Rate, duration_text, parse_duration, parse_rate, parse_size, size_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("5m", 300.0),
        ("1h", 3600.0),
        ("0s", 0.0),
        (0, 0.0),
        ("10 s", 10.0),
    ],
)
def test_parse_duration_gives_seconds(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value",
    [30, 1.5, "30", "s", "", "-1s", "1d", "1S", "1m30s", "1e3s", "٣s", "1s\n", "inf", None, True, False, [], {}],
)
def test_parse_duration_refuses_what_has_no_unit_or_a_wrong_one(value: object) -> None:
    with pytest.raises(ValueError, match="wanted a duration such as `500ms`"):
        parse_duration(value)


def test_parse_duration_refuses_more_than_a_year() -> None:
    assert parse_duration("8784h") == 366 * 86400
    with pytest.raises(ValueError, match="at most a year"):
        parse_duration("8785h")


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (0, 0),
        (1024, 1024),
        ("1024", 1024),
        ("64KiB", 65536),
        ("1.5KiB", 1536),
        ("10MB", 10**7),
        ("2GiB", 2 << 30),
        ("5B", 5),
    ],
)
def test_parse_size_gives_bytes(value: object, size: int) -> None:
    assert parse_size(value) == size


@pytest.mark.parametrize("value", [-1, 1.5, "1kib", "64K", "0.5B", "", "KiB", None, True, [], "1 TiB", 1 << 51])
def test_parse_size_refuses_what_is_no_size(value: object) -> None:
    with pytest.raises(ValueError, match=r"wanted a (size|whole number)"):
        parse_size(value)


def test_parse_rate_gives_amount_and_time() -> None:
    assert [parse_rate(text) for text in ("100/s", "60/m", "1000 / h")] == [
        Rate(100, 1),
        Rate(60, 60),
        Rate(1000, 3600),
    ]
    assert str(parse_rate("60/m")) == "60/m"


@pytest.mark.parametrize("value", [100, "100", "0/s", "-1/s", "1.5/s", "5/d", "5/sec", "/s", None, "99999999999/s"])
def test_parse_rate_refuses_what_is_no_rate(value: object) -> None:
    with pytest.raises(ValueError, match="wanted a rate"):
        parse_rate(value)


def test_texts_are_in_the_largest_whole_unit() -> None:
    assert [duration_text(s) for s in (0, 0.025, 1.5, 90, 120, 7200)] == ["0s", "25ms", "1.5s", "90s", "2m", "2h"]
    assert [size_text(s) for s in (0, 100, 1024, 1536, 3 << 20, 1 << 30)] == [
        "0",
        "100",
        "1KiB",
        "1536",
        "3MiB",
        "1GiB",
    ]
