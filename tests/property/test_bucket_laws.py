"""Laws of shares by a stable hash."""

from __future__ import annotations

import hashlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from headgate.proxy.buckets import NUM_BUCKETS, By, ByValue, Percent, num_buckets, place_of
from headgate.proxy.verdicts import Identity

from ..unit.plugins.exchanges import make_exchange

SALTS = st.text(min_size=1, max_size=20)
KEYS = st.binary(max_size=40)
PERCENTS = st.integers(0, NUM_BUCKETS).map(lambda hundredths: hundredths / 100)
NUM_CALLERS = 10_000


@given(SALTS, KEYS)
def test_a_place_is_what_the_documents_say(salt: str, key: bytes) -> None:
    digest = hashlib.sha256(salt.encode() + b"\0" + key).hexdigest()
    place = place_of(salt, key)
    assert (place.bucket, place.point) == (int(digest[:16], 16) % 10_000, int(digest[16:32], 16))


def test_a_place_is_the_same_everywhere() -> None:
    """A change of the hash would move callers with the next version."""
    assert [place_of("canary", key).bucket for key in (b"", b"ann", b"bob")] == [4758, 6717, 8249]


@given(PERCENTS, PERCENTS, SALTS, KEYS)
def test_a_larger_share_holds_every_smaller_one(one: float, other: float, salt: str, key: bytes) -> None:
    bucket, (less, more) = place_of(salt, key).bucket, sorted((one, other))
    assert bucket >= num_buckets(less) or bucket < num_buckets(more)


@given(PERCENTS)
def test_a_percentage_is_a_whole_number_of_buckets(percent: float) -> None:
    assert num_buckets(TypeAdapter(Percent).validate_python(percent)) * 100 == pytest.approx(percent * NUM_BUCKETS)
    assert num_buckets(100) == NUM_BUCKETS


@pytest.mark.parametrize("percent", [0.01, 1.0, 5.0, 33.33, 50.0, 99.99])
@pytest.mark.parametrize("salt", ["a", "b", "2026-checkout"])
def test_a_share_is_what_it_says(percent: float, salt: str) -> None:
    inside = sum(place_of(salt, b"caller-%d" % number).bucket < num_buckets(percent) for number in range(NUM_CALLERS))
    share = percent / 100
    # Five standard deviations: a hash that is uniform is outside with fewer than one salt in a million.
    assert abs(inside - share * NUM_CALLERS) <= 5 * math.sqrt(NUM_CALLERS * share * (1 - share)) + 1


def test_buckets_are_even() -> None:
    """Chi-square over 100 cells of 100 buckets: 99 degrees, of which 194 is exceeded once in 10^8."""
    cells = [0] * 100
    for number in range(NUM_CALLERS):
        cells[place_of("even", b"%d" % number).bucket // 100] += 1
    assert sum((cell - 100) ** 2 / 100 for cell in cells) < 194


def test_bucket_and_point_are_independent() -> None:
    inside = [place for number in range(NUM_CALLERS) if (place := place_of("x", b"%d" % number)).bucket < 1000]
    first = sum(place.point % 2 for place in inside)
    assert abs(first - len(inside) / 2) <= 5 * math.sqrt(len(inside) / 4)


@pytest.mark.parametrize("wrong", [-1, 100.01, 1.234, True, "5", None, math.nan, math.inf])
def test_what_is_no_percentage_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError, match="wanted a percentage"):
        TypeAdapter(Percent).validate_python(wrong)


@pytest.mark.parametrize("wrong", ["", "keys", "key:x", "field:", "field:a b", "cookie:", "cookie:a;b", 5, None])
def test_what_is_no_caller_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError, match=r"wanted (one of `key`|a field name)"):
        TypeAdapter(ByValue).validate_python(wrong)


COOKIES = (("cookie", "a=1; session = s1 ;b=2"), ("Cookie", "session=s2; session=s3"))


@pytest.mark.parametrize(
    ("by", "fields", "wanted"),
    [
        ("key", (), b"ann-1"),
        ("tenant", (), b"acme"),
        ("address", (), bytes([192, 0, 2, 1])),
        ("request", (), b"request-1"),
        ("field:X-User", (("x-user", "u\xe9"),), b"u\xe9"),
        ("field:x-user", (("X-User", "1"), ("x-user", "2")), b"1, 2"),
        ("field:x-user", (("x-user", ""),), None),
        ("field:x-user", (), None),
        ("cookie:session", COOKIES, b"s1"),
        ("cookie:b", COOKIES, b"2"),
        ("cookie:SESSION", COOKIES, None),
    ],
)
def test_a_caller_is_found(by: str, fields: tuple[tuple[str, str], ...], wanted: bytes | None) -> None:
    caller: By = TypeAdapter(ByValue).validate_python(by)
    assert caller.key_of(make_exchange(*fields, identity=Identity("ann-1", "acme"))) == wanted
    assert str(caller).lower() == by.lower()


@pytest.mark.parametrize("by", ["key", "tenant"])
def test_without_an_identity_there_is_no_key(by: str) -> None:
    assert By(by).key_of(make_exchange()) is None
