"""The names of limiter cells, and their hash."""

from __future__ import annotations

from typing import cast

import pytest

from headgate.ext._limiter_key import Key, encode_key, siphash128

# Of the authors' reference code (vectors.h, vectors_sip128): the key is 00 01 … 0f, the input as many of 00 01 02 ….
VECTORS = {
    0: "a3817f04ba25a8e66df67214c7550293",
    1: "da87c1d86b99af44347659119b22fc45",
    2: "8177228da4a45dc7fca38bdef60affe4",
    7: "a1f1ebbed8dbc153c0b84aa61ff08239",
    8: "3b62a9ba6258f5610f83e264f31497b4",
    15: "5493e99933b0a8117e08ec0f97cfc3d9",
}


def test_a_key_is_written_with_what_each_part_is_and_how_long() -> None:
    assert encode_key(()) == b""
    assert encode_key((None, "é", b"\0", -2)) == (
        b"n" + b"s\2\0\0\0\0\0\0\0\xc3\xa9" + b"b\1\0\0\0\0\0\0\0\0" + b"i\xfe" + b"\xff" * 7
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a",), (b"a",)),
        (("ab",), ("a", "b")),
        (("a", "b"), ("ab", "")),
        (("1",), (1,)),
        ((None,), ("",)),
        ((None,), ()),
        (("",), ("", "")),
        (("n",), (None,)),
        (("\ud800",), ("\\ud800",)),
    ],
)
def test_different_keys_are_written_differently(one: Key, other: Key) -> None:
    assert encode_key(one) != encode_key(other)


def test_equal_keys_are_written_equally() -> None:
    assert encode_key((True, "a")) == encode_key((1, "a"))


@pytest.mark.parametrize("part", [1 << 63, -(1 << 63) - 1])
def test_an_int_that_is_too_large_is_refused(part: int) -> None:
    with pytest.raises(ValueError, match="expected an int of at most 64 bits in the key of a cell, got"):
        encode_key((part,))


@pytest.mark.parametrize("part", [1.0, ("a",), bytearray(b"a")])
def test_a_part_of_another_type_is_refused(part: object) -> None:
    with pytest.raises(TypeError, match="expected str, bytes, int or None in the key of a cell, got"):
        encode_key(cast(Key, (part,)))


@pytest.mark.parametrize("size", VECTORS)
def test_the_hash_is_that_of_its_authors(size: int) -> None:
    halves = siphash128(bytes(range(16)), bytes(range(size)))
    assert b"".join(half.to_bytes(8, "little") for half in halves).hex() == VECTORS[size]
