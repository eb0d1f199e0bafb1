"""Stop strings: the laws of what is shown and what is held back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headgate.inference.stop_strings import StopMatcher

# Two letters make overlaps frequent.
PIECES = st.lists(st.text("ab", max_size=4), max_size=12)
STOPS = st.lists(st.text("ab", min_size=1, max_size=5), max_size=4)


def _run(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    matcher = StopMatcher(stops)
    shown = "".join([matcher.push(piece) for piece in pieces]) + matcher.finish()
    return shown, matcher.is_stopped


@given(pieces=PIECES, stops=STOPS)
def test_shown_text_never_contains_a_stop_string(pieces: list[str], stops: list[str]) -> None:
    shown, is_stopped = _run(pieces, stops)
    text = "".join(pieces)
    assert text.startswith(shown)
    assert not any(stop in shown for stop in stops)
    assert is_stopped == any(stop in text for stop in stops)
    assert is_stopped or shown == text


@given(pieces=PIECES, stops=STOPS)
def test_result_does_not_depend_on_how_the_text_was_cut(pieces: list[str], stops: list[str]) -> None:
    text = "".join(pieces)
    assert _run(pieces, stops) == _run(list(text), stops) == _run([text], stops)


@given(pieces=PIECES, stops=STOPS)
def test_text_is_cut_where_the_first_stop_string_is_complete(pieces: list[str], stops: list[str]) -> None:
    text = "".join(pieces)
    for end in range(1, len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            assert _run(pieces, stops)[0] == text[: end - max(map(len, complete))]
            break


@given(pieces=PIECES, stops=STOPS)
def test_no_more_is_held_back_than_could_become_a_stop_string(pieces: list[str], stops: list[str]) -> None:
    matcher = StopMatcher(stops)
    seen = shown = ""
    for piece in pieces:
        seen += piece
        shown += matcher.push(piece)
        if matcher.is_stopped:
            break
        held = seen[len(shown) :]
        assert held == "" or any(stop.startswith(held) and stop != held for stop in stops)
        longer = [seen[begin:] for begin in range(len(shown))]
        assert not any(stop.startswith(end) for stop in stops for end in longer)


@given(pieces=PIECES, more=PIECES, stops=STOPS)
def test_nothing_follows_a_stop(pieces: list[str], more: list[str], stops: list[str]) -> None:
    matcher = StopMatcher(stops)
    for piece in pieces:
        matcher.push(piece)
    if matcher.is_stopped:
        assert [matcher.push(piece) for piece in more] == [""] * len(more)
        assert matcher.finish() == ""
