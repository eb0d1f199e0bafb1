"""Header fields of one message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.proxy.exchange.fields import Fields

names = st.sampled_from(("a", "A", "b-c", "B-C", "x-headgate-y", "X-Headgate-Y"))
pairs = st.lists(st.tuples(names.map(str.encode), st.binary(max_size=5)), max_size=8)


@given(pairs, names)
def test_reading_agrees_with_a_plain_walk(raw: list[tuple[bytes, bytes]], name: str) -> None:
    fields = Fields(raw)
    values = [value.decode("latin-1") for key, value in raw if key.lower() == name.lower().encode()]
    assert fields.get_all(name) == values
    assert fields.get(name) == (", ".join(values) if values else None)
    assert (name in fields) is bool(values)
    assert list(fields) == list(dict.fromkeys(key.decode().lower() for key, _ in raw))
    assert len(fields) == len(list(fields))
    assert b"".join(value.encode("latin-1") for value in values) == b"".join(
        value for key, value in raw if key.lower() == name.lower().encode()
    )


@given(pairs, names)
def test_changes_touch_one_name_and_keep_the_order_of_the_others(raw: list[tuple[bytes, bytes]], name: str) -> None:
    others = [pair for pair in raw if pair[0].lower() != name.lower().encode()]
    fields = Fields(raw)
    copy = fields.copy()
    fields.set(name, " new\t")
    assert fields.raw == [*others, (name.encode(), b"new")]
    fields.add(name, "more")
    assert fields.get_all(name) == ["new", "more"]
    fields.remove(name)
    assert fields.raw == others
    assert copy.raw == raw
    copy.remove_prefix("X-HEADGATE-")
    assert copy.raw == [pair for pair in raw if not pair[0].lower().startswith(b"x-headgate-")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "x"),
        ("a b", "x"),
        ("a:", "x"),
        ("a\r\nb", "x"),
        ("\u00e4", "x"),
        ("a", "x\r\nb: y"),
        ("a", "x\ny"),
        ("a", "x\0"),
        ("a", "x\x7f"),
        ("a", "\u20ac"),
    ],
)
def test_what_would_not_be_one_field_is_refused(name: str, value: str) -> None:
    fields = Fields([(b"a", b"kept")])
    for change in (fields.set, fields.add):
        with pytest.raises(ValueError):
            change(name, value)
    assert fields.raw == [(b"a", b"kept")]


def test_a_picture_of_fields_shows_no_value() -> None:
    assert repr(Fields([(b"Authorization", b"Bearer secret")])) == "Fields(['Authorization'])"
