"""The text, and its tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headgate.proxy.faults.words import DEFAULT_TEXT, continued, numbered_text, tokens_of


@given(st.text())
def test_tokens_are_the_text_cut_before_white_space(text: str) -> None:
    tokens = tokens_of(text)
    assert "".join(tokens) == text
    assert len(tokens) == max(len(text.split()), bool(text))


def test_the_text_has_characters_of_every_length() -> None:
    assert {len(character.encode()) for character in DEFAULT_TEXT} == {1, 2, 3, 4}


@given(st.integers(0, 300))
def test_a_numbered_text_has_so_many_tokens_and_no_two_alike(num_tokens: int) -> None:
    assert len(tokens_of(numbered_text(num_tokens))) == len(set(numbered_text(num_tokens).split())) == num_tokens


@given(st.text(), st.integers(0))
def test_a_prefill_is_continued_where_it_begins_the_text(text: str, at: int) -> None:
    prefill = text[: at % (len(text) + 1)]
    assert prefill + continued(text, prefill) == text


def test_another_prefill_begins_anew() -> None:
    assert continued("one two", "on two") == continued("one two", None) == "one two"
