"""When a stream of completions is whole, what of it is held back, and what passes as it is; on real sockets."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest

from ...upstream import Call
from .completions import (
    DONE,
    ROLE,
    WORDS,
    begin,
    chunks,
    end,
    event,
    events,
    last,
    other,
    play,
    post,
    streaming,
    whole,
)


def test_a_missing_done_is_added() -> None:
    answer, _ = play(streaming(*events()), ask=post)
    assert (answer.is_whole, answer.body) == (True, b"".join(events()) + DONE)


def test_a_reset_after_the_last_finish_reason_takes_nothing_away() -> None:
    answer, _ = play(streaming(*events(), then="cut"), ask=post)
    assert (answer.is_whole, answer.body) == (True, b"".join(events()) + DONE)


@pytest.mark.parametrize("count", range(1, len(WORDS) + 1))
def test_a_clean_end_without_a_finish_reason_is_a_break(count: int) -> None:
    answer, calls = play(streaming(*events()[:count]), other, ask=post)
    assert not answer.is_whole
    passed, _, error = answer.body.rpartition(b"data: ")
    assert passed == b"".join(events()[:count])
    assert json.loads(error)["error"]["code"] == "truncated"
    assert calls == [1, 0]


@pytest.mark.parametrize("count", range(len(WORDS) + 1))
@pytest.mark.parametrize("hold_back", ["none", "complete"])
def test_done_before_a_finish_reason_is_a_break(count: int, hold_back: str) -> None:
    script = streaming(*events()[:count], DONE)
    answer, calls = play(script, whole, ask=post, hold_back=hold_back, retry={"attempts": 1})
    if count and hold_back == "none":
        assert not answer.is_whole
        assert json.loads(answer.body.rpartition(b"data: ")[2])["error"]["code"] == "truncated"
        assert DONE not in answer.body
    else:
        assert (answer.is_whole, answer.body, calls) == (True, b"".join(events()) + DONE, [1, 1])


@pytest.mark.parametrize(("count", "calls"), [(1, [1, 1]), (2, [1, 1]), (3, [1, 0])])
def test_a_role_is_no_token(count: int, calls: list[int]) -> None:
    script = streaming(ROLE, *events()[:count], then="cut")
    answer, seen = play(script, whole, ask=post, hold_back="3 tokens", retry={"attempts": 1})
    assert (answer.is_whole, seen) == (calls == [1, 1], calls)


def test_a_slow_stream_that_cannot_be_resumed_is_not_cut_early() -> None:
    async def slow(call: Call) -> None:
        await begin(call)
        await chunks(call, events()[:2])
        await asyncio.sleep(1.5)  # the pace of the service: half of the deadline
        await chunks(call, [*events()[2:], DONE])
        await end(call)

    answer, calls = play(slow, other, ask=post, deadline="3s")
    assert (answer.is_whole, answer.body, calls) == (True, b"".join(events()) + DONE, [1, 0])


def test_a_stream_with_a_declared_length_is_whole_too() -> None:
    async def declared(call: Call) -> None:
        await call.answer(b"".join(events()), "200 OK", "Content-Type: text/event-stream")

    for hold_back in ("none", "complete"):
        answer, _ = play(declared, ask=post, hold_back=hold_back)
        assert (answer.is_whole, answer.body) == (True, b"".join(events()) + DONE)


def test_a_compressed_stream_passes_as_it_is() -> None:
    body = gzip.compress(b"".join(events()))

    async def compressed(call: Call) -> None:
        await call.answer(body, "200 OK", "Content-Type: text/event-stream", "Content-Encoding: gzip")

    answer, calls = play(compressed, other, ask=post)
    assert (answer.is_whole, answer.body, calls) == (True, body, [1, 0])


@pytest.mark.parametrize("size", [1 << 20, 3 << 20])
def test_a_large_event_passes_whole(size: int) -> None:
    found = [event(0, "x" * size), last(1), DONE]
    answer, _ = play(streaming(*found), ask=post)
    assert (answer.is_whole, answer.body) == (True, b"".join(found))


def test_an_event_that_is_too_large_is_never_left_out() -> None:
    found = [event(0, "a"), event(1, "b"), event(2, "x" * (5 << 20)), last(3), DONE]
    answer, _ = play(streaming(*found), ask=post, malformed="skip")
    assert not answer.is_whole
    assert json.loads(answer.body.rpartition(b"data: ")[2])["error"]["code"] == "malformed_event"


@pytest.mark.parametrize("body", [b"", b": ping\n\n: ping\n\n", b"data: plain\n\n", b"data: half", b"".join(events())])
def test_other_streams_pass_as_they_are(body: bytes) -> None:
    async def foreign(call: Call) -> None:
        await begin(call)
        await chunks(call, [body] if body else [])
        await end(call)

    answer, calls = play(foreign, other, ask=post, kind="http", commit="first_event", replay="safe")
    assert (answer.is_whole, answer.body, calls) == (True, body, [1, 0])


def test_what_comes_before_the_first_token_can_still_fall_back() -> None:
    answer, calls = play(streaming(b": ping\n\n", ROLE, then="cut"), whole, ask=post, retry={"attempts": 1})
    assert (answer.body, calls) == (b"".join(events()) + DONE, [1, 1])
    assert answer.field("x-headgate-fallback") == "true"


@pytest.mark.parametrize("broken", [b"data: {nope\n\n", b"data: [1]\n\n", b'data: {"choices": 5}\n\n'])
def test_an_unreadable_event_is_a_break_or_left_out(broken: bytes) -> None:
    found = events()
    script = streaming(*found[:2], broken, *found[2:], DONE)
    answer, _ = play(script, ask=post)
    assert json.loads(answer.body.rpartition(b"data: ")[2])["error"]["code"] == "malformed_event"
    answer, _ = play(script, ask=post, malformed="skip")
    assert (answer.is_whole, answer.body) == (True, b"".join(found) + DONE)


@pytest.mark.parametrize("hold_back", ["complete", "3 tokens", "400ms"])
def test_what_is_held_back_can_be_replaced(hold_back: str) -> None:
    answer, calls = play(
        streaming(*events()[:2], then="cut"), whole, ask=post, hold_back=hold_back, retry={"attempts": 1}
    )
    assert (answer.is_whole, answer.body, calls) == (True, b"".join(events()) + DONE, [1, 1])


def test_what_is_held_back_is_bounded() -> None:
    answer, calls = play(
        streaming(*events()[:3], then="cut"), whole, ask=post, hold_back="complete", hold_back_limit=300
    )
    assert not answer.is_whole
    assert answer.body.startswith(b"".join(events()[:3]))
    assert calls == [1, 0]


def test_a_whole_answer_is_held_back_and_given_once() -> None:
    answer, calls = play(whole, other, ask=post, hold_back="complete")
    assert (answer.is_whole, answer.body, calls) == (True, b"".join(events()) + DONE, [1, 0])
