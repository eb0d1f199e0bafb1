"""Cursors: what they carry, how long they are, and that each change is noticed."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.inference.cursor import (
    NAME_BYTES,
    Cursor,
    CursorWriter,
    Origin,
    max_chars,
    read_cursor,
    read_origin,
)

NUMBERS = st.integers(0, 2**32 - 1)
ORIGINS = st.builds(
    Origin, st.integers(-(2**63), 2**63 - 1), NUMBERS, st.binary(min_size=NAME_BYTES, max_size=NAME_BYTES)
)
CURSORS = st.builds(Cursor, NUMBERS, NUMBERS, st.lists(NUMBERS, max_size=20).map(tuple))
KEYS = st.binary(min_size=1, max_size=32)
ALPHABET = set(string.ascii_letters + string.digits + "-_")
ORIGIN = Origin(7, 1_700_000_000, b"n" * NAME_BYTES)


@given(key=KEYS, origin=ORIGINS, cursor=CURSORS)
def test_a_cursor_reads_as_it_was_written(key: bytes, origin: Origin, cursor: Cursor) -> None:
    text = CursorWriter(key, origin).write(cursor)
    assert set(text) <= ALPHABET
    assert len(text) <= max_chars(len(cursor.ids))
    assert read_cursor(text, is_first=cursor.index == 0) == cursor


@given(key=KEYS, origin=ORIGINS)
def test_the_first_cursor_carries_the_origin(key: bytes, origin: Origin) -> None:
    assert read_origin(CursorWriter(key, origin).write(Cursor(0, 0, ()))) == origin


def test_cursors_are_short() -> None:
    writer = CursorWriter(b"k", ORIGIN)
    assert len(writer.write(Cursor(0, 0, ()))) == 42
    assert len(writer.write(Cursor(40, 38, (65,)))) == 10
    assert len(writer.write(Cursor(4000, 4000, (128_000,)))) == 15


@given(key=KEYS, origin=ORIGINS, cursor=CURSORS, text=st.text(max_size=80), data=st.data())
def test_whatever_is_read_from_a_changed_text_is_written_otherwise(
    key: bytes, origin: Origin, cursor: Cursor, text: str, data: st.DataObject
) -> None:
    """So writing again proves a cursor: nothing but its own text stands for it."""
    writer = CursorWriter(key, origin)
    sound = writer.write(cursor)
    begin = data.draw(st.integers(0, len(sound)))
    end = data.draw(st.integers(begin, len(sound)))
    changed = data.draw(st.sampled_from([sound[:begin] + text + sound[end:], sound[:begin], sound + "=", text]))
    if changed == sound:
        return
    try:
        read = read_cursor(changed, is_first=cursor.index == 0)
    except ValueError:
        return
    assert writer.write(read) != changed


@given(key=KEYS, other_key=KEYS, origin=ORIGINS, other=ORIGINS, cursor=CURSORS)
def test_another_request_or_stream_writes_another_cursor(
    key: bytes, other_key: bytes, origin: Origin, other: Origin, cursor: Cursor
) -> None:
    text = CursorWriter(key, origin).write(cursor)
    if key.rstrip(b"\0") != other_key.rstrip(b"\0"):
        assert CursorWriter(other_key, origin).write(cursor) != text
    if origin != other:
        assert CursorWriter(key, other).write(cursor) != text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "too short for the first one"),
        ("AAAA", "too short for the first one"),
        ("A", "not base64url"),
        ("ä", "not base64url"),
        ("B" * 60, "expected format version 1, got 4"),
    ],
)
def test_text_that_is_no_first_cursor_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_origin(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "too short"),
        ("AAAAAAA", "too short"),
        ("_____________w", "too large a number"),
        ("AP8AAAAA", "ends within a number"),
    ],
)
def test_text_that_is_no_cursor_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_cursor(text, is_first=False)


@given(key=KEYS, origin=ORIGINS, ids=st.lists(NUMBERS, max_size=3).map(tuple))
def test_a_first_cursor_is_no_later_one_whatever_it_says(key: bytes, origin: Origin, ids: tuple[int, ...]) -> None:
    """Of a small seed they begin as the numbers 1 and 0: it passed for the second event, with ids of its own."""
    writer = CursorWriter(key, Origin(origin.seed & 0xFFFF_FFFF, origin.created, origin.name))
    first = writer.write(Cursor(0, 0, ids))
    try:
        later = read_cursor(first, is_first=False)
    except ValueError:
        return
    assert writer.write(later) != first
