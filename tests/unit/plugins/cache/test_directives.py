"""Cache-Control, read from any bytes a peer may send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.plugins.cache.directives import INVALID, MAX_SECONDS, delta_seconds, parse_directives


@pytest.mark.parametrize(
    ("lines", "present", "absent"),
    [
        (["no-store"], ["no-store"], ["no-cache"]),
        (["No-Store , PRIVATE"], ["no-store", "private"], []),
        (["a=1", "b"], ["a", "b"], []),
        (['x="a, no-store", public'], ["x", "public"], ["no-store"]),
        (['x="a\\", no-store", public'], ["x", "public"], ["no-store"]),
        (['x="a\\\\", no-store'], ["x", "no-store"], []),
        (['x="a",no-store,private'], ["x", "no-store", "private"], []),
        (["no-store=anything"], ["no-store"], []),
        (["no-store =x"], ["no-store"], []),
        ([",, ,"], [], [""]),
        ([""], [], [""]),
        ([], [], ["no-store"]),
    ],
)
def test_directives_are_found(lines: list[str], present: list[str], absent: list[str]) -> None:
    directives = parse_directives(lines)
    assert not directives.is_malformed
    assert all(name in directives for name in present)
    assert not any(name in directives for name in absent)


@pytest.mark.parametrize("line", ['x="', 'max-age=60, x="a, no-store', '"', 'a="b\\"', 'a="b" "'])
def test_unended_quotes_are_malformed_and_hide_nothing(line: str) -> None:
    directives = parse_directives([line, "no-cache"])
    assert directives.is_malformed
    assert "no-cache" in directives
    assert ("no-store" in directives) == ("no-store" in line)


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("max-age=5", 5),
        ('max-age="5"', 5),
        ("max-age=5, max-age=5", 5),
        ("max-age=5, max-age=6", INVALID),
        ("max-age", INVALID),
        ('max-age=""', INVALID),
        ('max-age="', INVALID),
        ("max-age=+5", INVALID),
        ("max-age=5s", INVALID),
        ("public", None),
    ],
)
def test_seconds_are_read_strictly(line: str, seconds: int | None) -> None:
    assert parse_directives([line]).seconds("max-age") == seconds


@given(st.integers(0, 10**40), st.integers(0, 5000))
def test_any_number_of_digits_is_read(number: int, zeros: int) -> None:
    assert delta_seconds("0" * zeros + str(number)) == min(number, MAX_SECONDS)


@given(st.text(alphabet='ab-=," \\\t', max_size=40), st.sampled_from(["no-store", "private"]))
def test_no_value_hides_a_directive_on_another_line(value: str, name: str) -> None:
    assert name in parse_directives([value, name])
    assert name in parse_directives([name, value])
