"""Token usage, read out of an answer as it passes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.proxy.usage import UsageTap

SSE, JSON = "text/event-stream; charset=utf-8", "application/json"
USAGE = {"prompt_tokens": 7, "completion_tokens": 11, "total_tokens": 18}
counts = st.integers(0, 10**6) | st.none() | st.just("7") | st.just(True) | st.just(-1) | st.just(1.5)
usages = st.fixed_dictionaries({}, optional={"prompt_tokens": counts, "completion_tokens": counts}) | st.none()


def tap(content_type: str, pieces: list[bytes]) -> tuple[int | None, int | None]:
    made = UsageTap(content_type)
    for piece in pieces:
        made.feed(piece)
    made.finish()
    return made.prompt_tokens, made.completion_tokens


def pieces_of(whole: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted(min(cut, len(whole)) for cut in cuts)
    return [whole[a:b] for a, b in zip([0, *at], [*at, len(whole)], strict=True)]


def stream(usages: list[Any]) -> bytes:
    events = [json.dumps({"choices": [{"delta": {"content": "\u00e9\n"}}], "usage": usage}) for usage in usages]
    return b"".join(b"data: " + event.encode() + b"\n\n" for event in [*events, "[DONE]"])


@given(st.lists(usages, max_size=4), st.lists(st.integers(0, 400), max_size=6))
def test_any_pieces_of_a_stream_give_the_same(found: list[Any], cuts: list[int]) -> None:
    whole = stream(found)
    assert tap(SSE, pieces_of(whole, cuts)) == tap(SSE, [whole])


@given(usages, st.lists(st.integers(0, 200), max_size=6))
def test_any_pieces_of_a_json_answer_give_the_same(found: Any, cuts: list[int]) -> None:
    whole = json.dumps({"id": "x", "usage": found}).encode()
    assert tap(JSON, pieces_of(whole, cuts)) == tap(JSON, [whole])


def test_the_last_usage_of_a_stream_counts() -> None:
    assert tap(SSE, [stream([None, {"prompt_tokens": 7, "completion_tokens": 1}, None, USAGE])]) == (7, 11)


@pytest.mark.parametrize(
    ("content_type", "body", "found"),
    [
        (JSON, json.dumps({"usage": USAGE}).encode(), (7, 11)),
        ("Application/JSON; charset=utf-8", json.dumps({"usage": USAGE}).encode(), (7, 11)),
        (JSON, b'{"usage": {"prompt_tokens": 7}}', (7, None)),
        (JSON, b'{"usage": {"prompt_tokens": -7, "completion_tokens": true}}', (None, None)),
        (JSON, b'{"usage": [7, 11]}', (None, None)),
        (JSON, b'[{"usage": 1}]', (None, None)),
        (JSON, b'{"usage": {"prompt_tokens": 7', (None, None)),
        (JSON, b"", (None, None)),
        ("text/plain", json.dumps({"usage": USAGE}).encode(), (None, None)),
        ("", json.dumps({"usage": USAGE}).encode(), (None, None)),
        (SSE, b'data: {"usage": {"prompt_tokens": 7}}', (None, None)),  # an event without its end is none
    ],
)
def test_what_is_read_and_what_is_not(content_type: str, body: bytes, found: tuple[int | None, int | None]) -> None:
    assert tap(content_type, [body]) == found


def test_a_json_answer_is_kept_up_to_its_bound_only() -> None:
    tail = b'"usage": {"prompt_tokens": 7, "completion_tokens": 11}}'
    fits = b'{"x": "' + b"x" * ((1 << 20) - len(tail) - 9) + b'",' + tail
    assert len(fits) == 1 << 20
    assert tap(JSON, pieces_of(fits, list(range(0, len(fits), 50_000)))) == (7, 11)
    longer = fits.replace(b'{"x": "', b'{"x": "x')
    assert tap(JSON, pieces_of(longer, list(range(0, len(longer), 50_000)))) == (None, None)


def test_usage_after_an_event_too_large_to_keep_is_still_read() -> None:
    large = b"data: " + b"x" * (3 << 20) + b"\n\n"
    whole = large + stream([USAGE])
    assert tap(SSE, pieces_of(whole, list(range(0, len(whole), 65_536)))) == (7, 11)


def test_the_events_of_a_stream_are_counted_and_nothing_else() -> None:
    assert UsageTap(JSON).num_events is None
    made = UsageTap(SSE)
    assert made.num_events == 0
    made.feed(stream([None, USAGE, None])[:-3])
    assert made.num_events == 3
