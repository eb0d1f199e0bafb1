"""How keys are written and digested."""

from __future__ import annotations

import hmac
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.proxy.key_format import Digester, digest, is_well_formed, new_key

KEY_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"


def test_a_new_key_has_the_form() -> None:
    key = new_key("live")
    assert re.fullmatch(r"hg_live_[0-9A-Za-z]{43}_[0-9a-f]{8}", key)
    assert is_well_formed(key)


def test_new_keys_differ() -> None:
    assert len({new_key("test") for _ in range(1000)}) == 1000


@pytest.mark.parametrize("environment", ["", "Live", "a_b", "a b", "a" * 17, "é", "live\n"])
def test_an_environment_that_would_break_the_form_is_refused(environment: str) -> None:
    with pytest.raises(ValueError, match="lower-case letters and digits"):
        new_key(environment)


def test_the_digest_is_hmac_sha256() -> None:
    # RFC 4231 §4.3, the pepper as the key of the HMAC.
    wanted = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert digest("what do ya want for nothing?", "Jefe") == wanted


@given(pepper=st.text(max_size=150), key=st.binary(max_size=200), other=st.binary(max_size=80))
def test_the_digester_is_the_same_whatever_it_digested_before(pepper: str, key: bytes, other: bytes) -> None:
    digester = Digester(pepper)
    for each in (key, other, key):
        assert digester.digest(each) == hmac.digest(pepper.encode(), each, "sha256")


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 1000])
def test_a_pepper_of_any_length_is_used_whole(length: int) -> None:
    pepper = "p" * length
    assert Digester(pepper).digest(b"key").hex() == digest("key", pepper)


@pytest.mark.parametrize("key", ["", "hg_", "demo", "sk-123", "hg_live__00000000", "Bearer hg_live"])
def test_other_strings_are_not_well_formed(key: str) -> None:
    assert not is_well_formed(key)


@given(place=st.integers(0, 59), character=st.sampled_from(KEY_CHARACTERS))
@settings(max_examples=300, deadline=None)
def test_one_wrong_character_is_always_noticed(place: int, character: str) -> None:
    key = new_key("live")
    wrong = key[:place] + character + key[place + 1 :]
    assert is_well_formed(wrong) == is_well_formed(wrong.encode()) == (wrong == key)


@given(place=st.integers(0, 58))
@settings(max_examples=200, deadline=None)
def test_two_swapped_characters_are_always_noticed(place: int) -> None:
    key = new_key("live")
    wrong = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
    assert is_well_formed(wrong) == (wrong == key)


@given(start=st.integers(0, 60), end=st.integers(0, 60))
@settings(max_examples=200, deadline=None)
def test_a_piece_of_a_key_is_none(start: int, end: int) -> None:
    key = new_key("live")
    piece = key[min(start, end) : max(start, end)]
    assert is_well_formed(piece) == (piece == key)
