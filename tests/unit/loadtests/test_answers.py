"""What counts as an answer."""

from __future__ import annotations

import orjson
import pytest

from loadtests.answers import (
    TEXT,
    Answer,
    error_code,
    error_event,
    is_whole_completion,
    is_whole_stream,
    outcome,
)
from loadtests.records import BROKEN, LIMITED, OK, REFUSED, UNANSWERED
from loadtests.tier import TOKENS


def completion(text: str = TEXT, finish_reason: str | None = "stop") -> bytes:
    return orjson.dumps({"choices": [{"message": {"content": text}, "finish_reason": finish_reason}]})


def stream(numbers: list[int], *, end: bytes = b"data: [DONE]\n\n", finish_reason: str | None = "stop") -> bytes:
    deltas: list[tuple[dict[str, str], str | None]] = [({"content": f"{number} "}, None) for number in numbers]
    events = [*deltas, ({}, finish_reason)]
    choices = [{"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]} for delta, reason in events]
    return b"".join(b"data: " + orjson.dumps(one) + b"\n\n" for one in choices) + end


WHOLE = list(range(TOKENS))


def test_a_completion_is_whole_to_its_last_word() -> None:
    assert is_whole_completion(completion())
    for wrong in (completion(TEXT[:-1]), completion(finish_reason="length"), completion()[:-5], b"[]", b""):
        assert not is_whole_completion(wrong)


def test_a_stream_is_whole_if_every_event_came_once_and_in_order() -> None:
    assert is_whole_stream(stream(WHOLE))
    swapped, doubled = [1, 0, *WHOLE[2:]], [0, *WHOLE]
    for wrong in (
        stream(WHOLE[:-1]),
        stream(swapped),
        stream(doubled),
        stream(WHOLE, end=b""),
        stream(WHOLE, finish_reason=None),
        stream(WHOLE)[:-20],
        b"",
    ):
        assert not is_whole_stream(wrong)


def test_errors_are_known_by_both_of_their_forms() -> None:
    assert error_code(b'{"error":{"code":"pool_full","message":"x"}}') == "pool_full"
    assert error_code(b'{"type":"urn:headgate:error:rate_limited","status":429}') == "rate_limited"
    for wrong in (b"", b"<html>", b"[1]", b"{}", b'{"error":"x"}', b'{"error":{"code":7}}'):
        assert error_code(wrong) == ""
    assert error_event(stream(WHOLE[:2], end=b'data: {"error":{"code":"reset"}}\n\n')) == "reset"
    assert error_event(stream(WHOLE)) == "" == error_event(b"")


@pytest.mark.parametrize(
    ("status", "is_whole", "expected"),
    [
        (200, True, OK),
        (200, False, BROKEN),
        (429, True, LIMITED),
        (429, False, BROKEN),
        (503, True, REFUSED),
        (502, False, BROKEN),
        (0, False, UNANSWERED),
    ],
)
def test_what_becomes_of_a_request(status: int, is_whole: bool, expected: str) -> None:
    assert outcome(Answer(is_sent=True, status=status, is_whole=is_whole)) == expected


@pytest.mark.parametrize(
    ("status", "is_worth"), [(0, True), (502, True), (503, True), (429, False), (200, False), (404, False)]
)
def test_who_asks_again(status: int, is_worth: bool) -> None:
    assert Answer(status=status).is_worth_a_retry is is_worth
