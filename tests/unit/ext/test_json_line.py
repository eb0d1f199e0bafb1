"""Lines of JSON: what each value looks like."""

from __future__ import annotations

import enum
import json
import math
from typing import Any

import pytest

from headgate.ext.json_line import LineFormat


class Word(str):
    """A text that calls itself something else."""

    def __str__(self) -> str:
        return "own"


class Level(enum.IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, b"null"),
        (True, b"true"),
        (False, b"false"),
        (0, b"0"),
        (7, b"7"),
        (10, b"10"),
        (999_999, b"999999"),
        (-1, b"-1"),
        (2**63 - 1, b"9223372036854775807"),
        (1 - 2**63, b"-9223372036854775807"),
        (2**63, b'"9223372036854775808"'),
        (-(2**63), b'"-9223372036854775808"'),
        (10**30, b'"1' + b"0" * 30 + b'"'),
        (Level.HIGH, b"3"),
        (1.5, b"1.5"),
        (0.1, b"0.1"),
        (1e300, b"1e+300"),
        (math.nan, b"null"),
        (math.inf, b"null"),
        ("", b'""'),
        ("plain text of more than eight", b'"plain text of more than eight"'),
        ('a"b\\c/d', b'"a\\"b\\\\c/d"'),
        ("\x00\x08\t\n\x0b\x0c\r\x1f \x7f", b'"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f \x7f"'),
        ("é€\U0001f600\u2028", '"é€\U0001f600\u2028"'.encode()),
        ("\ud800x\udfff", b'"?x?"'),
        (Word("x"), b'"own"'),
        ((), b"[]"),
        ([], b"[]"),
        (("a", 1, "\n"), b'["a","1","\\n"]'),
        ({}, b"{}"),
        ({"a": "b", "c": "d\n"}, b'{"a":"b","c":"d\\n"}'),
        ({"a": None, 2: 'x"'}, b'{"a":"None","2":"x\\""}'),
        ({1: "a", "1": "b"}, b'{"1":"b"}'),
        ({"é": "a", "\ud800": "b", "?": "c"}, '{"é":"a","?":"c"}'.encode()),
        (b"ab", b"\"b'ab'\""),
    ],
)
def test_each_value_looks_like_this(line_format_type: type[LineFormat], value: object, text: bytes) -> None:
    assert line_format_type(["name"]).line((value,)) == b'{"name":%b}\n' % text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, b"0.0"),
        (0, b"0.0"),
        (0.0123456, b"12.346"),
        (0.001, b"1.0"),
        (0.00101, b"1.01"),
        (1e-6, b"0.001"),
        (4e-7, b"0.0"),
        (12, b"12000.0"),
        (999.999999, b"999999.999"),
        (86_400 * 365.0, b"31536000000.0"),
        (999_999_999.0, b"999999999000.0"),
        (1e300, b"1e+303"),
        (-0.0015, b"-1.5"),
        (math.nan, b"null"),
        (math.inf, b"null"),
        (None, b"null"),
        ("soon", b'"soon"'),
    ],
)
def test_spans_are_told_in_seconds_and_written_in_milliseconds(
    line_format_type: type[LineFormat], seconds: Any, text: bytes
) -> None:
    line = line_format_type(["at", "span"], spans=["span"]).line((0.25, seconds))
    assert line == b'{"at":0.25,"span":%b}\n' % text


def test_members_stand_in_their_order_and_the_last_may_be_left_out(line_format_type: type[LineFormat]) -> None:
    long = "a name that is longer than any that a log has, by far"
    form = line_format_type(("b", "a", 'c"\n', long))
    assert form.line(()) == b"{}\n"
    assert form.line((1,)) == b'{"b":1}\n'
    assert list(json.loads(form.line((1, 2, 3, 4))).items()) == [("b", 1), ("a", 2), ('c"\n', 3), (long, 4)]
    with pytest.raises(ValueError, match="at most 4 values, got 5"):
        form.line((1, 2, 3, 4, 5))


@pytest.mark.parametrize("letter", ["x", "\x01", "é", "\U0001f600", '"'])
def test_texts_are_cut_at_their_bound(line_format_type: type[LineFormat], letter: str) -> None:
    form = line_format_type(["a", "b"], max_text=10)
    line = json.loads(form.line((letter * 9, letter * 1000)))
    assert line == {"a": letter * 9, "b": letter * 10}
    assert json.loads(form.line((letter * 10, [letter * 11]))) == {"a": letter * 10, "b": [letter * 10]}


def test_long_and_short_lines_may_follow_each_other(line_format_type: type[LineFormat]) -> None:
    form = line_format_type([f"name-{number}" for number in range(200)], max_text=100_000)
    for size in (1, 100_000, 0, 5_000, 20):
        values = tuple("\x02" * size for _ in range(200 if size < 10_000 else 3))
        assert tuple(json.loads(form.line(values)).values()) == values


def test_a_line_that_fails_costs_the_next_nothing(line_format_type: type[LineFormat]) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    form = line_format_type(["a", "b"])
    with pytest.raises(RuntimeError, match="no words"):
        form.line(("x", Broken()))
    assert form.line((1, 2)) == b'{"a":1,"b":2}\n'


def test_a_text_may_write_a_line_of_its_own_while_it_is_written(line_format_type: type[LineFormat]) -> None:
    form = line_format_type(["a", "b"])

    class Nested:
        def __str__(self) -> str:
            return form.line((1, "inner")).decode()

    inner = '{"a":1,"b":"inner"}\n'
    assert json.loads(form.line(("outer", Nested()))) == {"a": "outer", "b": inner}
