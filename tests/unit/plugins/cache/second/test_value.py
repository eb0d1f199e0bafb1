"""What is written for Redis is read again as it was, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.plugins.cache.entry import Entry
from headgate.plugins.cache.key import Key, Uri
from headgate.plugins.cache.second.names import Names
from headgate.plugins.cache.second.value import (
    Seen,
    is_sound,
    read_answer,
    read_names,
    write_answer,
    write_names,
)
from headgate.proxy.verdicts import Target

from .entries import KEY, SEEN, entries, entry, generations, keys

WALL_S = 1_800_000_000.5
WHOLE = write_answer(entry(), SEEN, 0.0, WALL_S, 3_659_000)


def parts(stored: Entry) -> tuple[Any, ...]:
    return (stored.key, stored.vary, stored.status, stored.fields, stored.body, stored.lifetime_s, stored.staleness)


@given(entries, generations, st.floats(0, 1e9), st.integers(1, 1 << 40))
def test_what_was_written_is_read_again(stored: Entry, seen: Seen, wall_s: float, kept_ms: int) -> None:
    now = stored.stored_at + 1.5
    written = read_answer(write_answer(stored, seen, now, wall_s, kept_ms), stored.key, seen)
    assert written is not None
    assert (written.written_at, written.kept_ms) == (wall_s, kept_ms)
    again = written.entry(stored.key, 77.0, 2.0)
    assert parts(again) == parts(stored)
    assert again.stored_at == 77.0
    assert again.initial_age_s == pytest.approx(stored.age_s(now) + 2.0)
    assert again.asked_at == 77.0 - again.initial_age_s


@given(entries, generations)
def test_the_names_that_an_answer_varies_on_are_read_again(stored: Entry, seen: Seen) -> None:
    value = write_names(stored, seen)
    assert read_names(value, stored.key, seen) == tuple(name for name, _ in stored.vary)
    assert read_answer(value, stored.key, seen) is None
    assert read_names(write_answer(stored, seen, 0.0, 0.0, 1), stored.key, seen) is None


def test_no_changed_byte_is_overlooked() -> None:
    assert read_answer(WHOLE, KEY, SEEN) is not None
    for place in range(len(WHOLE)):
        for change in (0x01, 0x80, 0xFF):
            changed = bytearray(WHOLE)
            changed[place] ^= change
            assert read_answer(bytes(changed), KEY, SEEN) is None, place
            assert not is_sound(bytes(changed))


def test_no_cut_and_nothing_added_is_overlooked() -> None:
    for end in range(len(WHOLE)):
        assert read_answer(WHOLE[:end], KEY, SEEN) is None
        assert not is_sound(WHOLE[:end])
    assert read_answer(WHOLE + b"\0", KEY, SEEN) is None


@given(st.binary(max_size=200))
def test_what_is_foreign_is_no_answer(value: bytes) -> None:
    assert read_answer(value, KEY, SEEN) is None
    assert read_names(value, KEY, SEEN) is None


@given(entries, keys, generations)
def test_an_answer_to_another_key_is_none_to_this(stored: Entry, key: Key, seen: Seen) -> None:
    value = write_answer(stored, seen, 0.0, 0.0, 1)
    assert (read_answer(value, key, seen) is not None) == (key == stored.key)


@pytest.mark.parametrize("other", [replace(SEEN, everything=b"other"), replace(SEEN, uri=b"other")])
def test_an_answer_of_another_generation_is_none(other: Seen) -> None:
    assert read_answer(WHOLE, KEY, other) is None
    assert read_answer(WHOLE, KEY, replace(SEEN, at_s=99)) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"status": 99},
        {"status": "200"},
        {"status": True},
        {"age_s": -1.0},
        {"age_s": None},
        {"kept_ms": 0},
        {"written_at": "now"},
        {"fields": [["a"]]},
        {"vary": [["a", 1]]},
        {"staleness": [0.0, 0.0, 0.0]},
        {"key": []},
        {"more": 1},
    ],
)
def test_a_head_of_another_shape_is_no_answer(change: dict[str, Any]) -> None:
    """It bears the right digest: another program wrote it."""
    length = int.from_bytes(WHOLE[36:40], "big")
    head = json.loads(WHOLE[40 : 40 + length])
    assert sealed(json.dumps(head).encode(), WHOLE[40 + length :]) is not None
    assert sealed(json.dumps(head | change).encode(), b"hello") is None
    assert sealed(b"no JSON", b"hello") is None


def sealed(head: bytes, body: bytes) -> object:
    rest = len(head).to_bytes(4, "big") + head + body
    return read_answer(WHOLE[:4] + sha256(rest).digest() + rest, KEY, SEEN)


def test_a_length_past_the_end_is_no_answer() -> None:
    rest = (1 << 31).to_bytes(4, "big") + WHOLE[40:]
    assert read_answer(WHOLE[:4] + sha256(rest).digest() + rest, KEY, SEEN) is None


@given(keys, keys)
def test_names_are_the_same_for_the_same_key_only(one: Key, other: Key) -> None:
    names = Names("p", ("tenant",))
    assert (names.primary(one) == names.primary(other)) == (one == other)
    assert (names.uri(one.uri) == names.uri(other.uri)) == (one.uri == other.uri)
    assert names.variant(one, ()) != names.primary(one) != names.variants(one)


def test_names_tell_every_part_of_a_key_apart() -> None:
    names = Names("p", ("tenant",))
    uri = Uri("https", "a.test", "/x")
    near = [
        Key(uri, "r", None, ()),
        Key(uri, "r", "", ()),
        Key(uri, "r", "None", ()),
        Key(uri, "", "r", ()),
        Key(uri._replace(scheme="http"), "r", None, ()),
        Key(uri._replace(authority="b.test"), "r", None, ()),
        Key(uri._replace(target="/y"), "r", None, ()),
        Key(uri, "r", None, ((Target("a"),),)),
        Key(uri, "r", None, ((Target("a"), Target("b")),)),
        Key(uri, "r", None, ((Target("a"),), (Target("b"),))),
        Key(uri, "r", None, ((Target("a", "m"),),)),
    ]
    assert len({names.primary(key) for key in near}) == len(near)
    varied = [(("a", "1"),), (("a", None),), (("a", "1"), ("b", "2")), (("a", "1b2"),)]
    assert len({names.variant(key, vary) for key in near for vary in varied}) == len(near) * len(varied)


def test_instances_with_other_settings_share_nothing() -> None:
    mine = Names("p", ("tenant", "accept"))
    assert mine.primary(KEY) == Names("p", ("accept", "tenant")).primary(KEY)
    assert mine.primary(KEY) != Names("p", ("all", "accept")).primary(KEY)
    assert mine.primary(KEY) != Names("q", ("tenant", "accept")).primary(KEY)
    assert mine.primary(KEY).startswith(b"p:1:")
    assert b"origin.test" not in mine.primary(KEY)
