"""Where a chat answer that breaks off is not continued from its text, and when that is given up; on real sockets."""

from __future__ import annotations

import asyncio
import json

import pytest

from headgate.proxy.exchange.transcript import MAX_TEXT_BYTES

from ...http_client import Answer, fetch
from ...running import RunningGateway
from ...upstream import Call, Script, Upstream
from .completions import DONE, begin, chunks, end, play, streaming
from .prefills import (
    ECHOED,
    PLAIN,
    QUESTION,
    SECOND,
    TEXT,
    WORDS,
    Json,
    asked,
    chunk,
    cut,
    failing,
    going_on,
    is_joined,
    is_told,
    refusing,
    run,
    run_each,
    said,
    shown,
    then,
)


def test_who_cannot_be_continued_is_not_given_up_early() -> None:
    """Tools are asked for: the service may take its time, more than its share."""

    async def slow(call: Call) -> None:
        await begin(call)
        await chunks(call, said(WORDS)[:3])
        await asyncio.sleep(2.5)  # the pace of the service
        await chunks(call, [*said(WORDS)[3:], DONE])
        await end(call)

    requests: list[Json] = [{"tools": [{"type": "function"}]}, {}]
    found = run_each([then(slow, going_on) for _ in requests], requests, deadline="6s")
    for num_calls, (answer, calls) in zip((1, 2), found, strict=True):
        assert (is_joined(answer), shown(answer), len(calls)) == (True, TEXT, num_calls)


def test_an_answer_that_turns_to_tools_is_from_then_on_not_given_up_early() -> None:
    async def slow(call: Call) -> None:
        await begin(call)
        await chunks(call, [*said(WORDS)[:3], chunk({"tool_calls": [{"index": 0}]})])
        await asyncio.sleep(2.5)  # the pace of the service
        await chunks(call, [chunk({}, "tool_calls"), DONE])
        await end(call)

    answer, (calls,) = run(then(slow, going_on), deadline="6s")
    assert (answer.is_whole, len(calls)) == (True, 1)


@pytest.mark.parametrize("words", [["Die Kuh"], ["De"], ["De", "r"], [" Der "]])
def test_an_echo_that_is_none_is_not_glued_on(words: list[str]) -> None:
    script = streaming(*said(words, name="b"), DONE)
    answer, (calls,) = run(then(cut(3), script), targets=[ECHOED])
    assert (is_told(answer, "truncated"), shown(answer), len(calls)) == (True, "Der Käse", 2)


def test_a_tool_call_in_place_of_the_echo_is_not_passed_on() -> None:
    call = chunk({"role": "assistant", "tool_calls": [{"index": 0, "id": "c", "function": {"name": "f"}}]}, name="b")
    answer, (calls,) = run(then(cut(3), streaming(call, then="stall")), targets=[ECHOED], deadline="5s")
    assert (is_told(answer, "truncated"), shown(answer), len(calls)) == (True, "Der Käse", 2)
    assert answer.body.startswith(b"".join(said(WORDS)[:3]) + b'data: {"error"')


async def busy(call: Call) -> None:
    await call.answer(b"", "429 Too Many Requests", "Retry-After: 0")


async def no_stream(call: Call) -> None:
    await call.answer(b'{"choices": [{"message": {"content": "x"}}]}', "200 OK", "Content-Type: application/json")


@pytest.mark.parametrize("script", [refusing, no_stream])
def test_a_refusal_is_not_tried_again_and_the_first_break_is_told(script: Script) -> None:
    answer, calls = run(then(cut(3), script), going_on, targets=[PLAIN, SECOND])
    assert (is_told(answer, "truncated"), shown(answer)) == (True, "".join(WORDS[:2]))
    assert [len(each) for each in calls] == [2, 0]


def test_a_failure_is_tried_again() -> None:
    ping, role = streaming(b": ping\n\n", then="cut"), streaming(said("x")[0], then="cut")
    failures = [failing, busy, ping, role]
    for answer, calls in run_each([then(cut(3), script, script, going_on) for script in failures]):
        assert (is_joined(answer), shown(answer), len(calls)) == (True, TEXT, 4)
    for answer, calls in run_each([then(cut(3), script, script, script, going_on) for script in failures]):
        assert (is_told(answer, "truncated"), shown(answer), len(calls)) == (True, "".join(WORDS[:2]), 4)


def test_an_error_event_in_place_of_the_continuation_is_not_passed_on() -> None:
    error = streaming(b'data: {"error": {"message": "their words", "code": "theirs"}}\n\n')
    answer, (calls,) = run(then(cut(3), error, going_on))
    assert (is_joined(answer), shown(answer), len(calls)) == (True, TEXT, 3)


@pytest.mark.parametrize(
    "route",
    [
        {"targets": ["t0", "t1"]},
        {"on_break": "error"},
        {"max_attempts": 1},
        {"kind": "http", "commit": "first_event", "replay": "safe", "on_break": "resume"},
        {"replay": "never"},
        {"replay_buffer": 10},
    ],
)
def test_nobody_is_asked_where_that_is_not_wanted(route: Json) -> None:
    answer, calls = run(cut(3), going_on, **{"targets": [PLAIN, SECOND], **route})
    assert (answer.is_whole, shown(answer), [len(each) for each in calls]) == (False, "".join(WORDS[:2]), [1, 0])


BINDING: tuple[Json, ...] = (
    {"n": 2},
    {"tools": [{"type": "function", "function": {"name": "f"}}]},
    {"functions": [{"name": "f"}]},
    {"response_format": {"type": "json_object"}},
    {"guided_regex": "[a-z]+"},
    {"logprobs": True},
    {"modalities": ["text", "audio"]},
    {"echo": True},
    {"max_tokens": 2},
    {"max_completion_tokens": 1},
    {"messages": [*QUESTION, {"role": "assistant", "content": "Der"}]},
    {"messages": []},
    {"messages": "?"},
)


def test_a_request_whose_answer_is_more_than_its_text_is_not_continued() -> None:
    for wanted, (answer, calls) in zip(BINDING, run_each([cut(3)] * len(BINDING), BINDING), strict=True):
        assert (is_told(answer, "truncated"), len(calls)) == (True, 1), wanted


MORE = (
    chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]}),
    chunk({"function_call": {"name": "f"}}),
    chunk({"refusal": "I cannot"}),
    chunk({"reasoning_content": "well"}),
    chunk({"audio": {"id": "x"}}),
    chunk({"content": [{"type": "text", "text": "x"}]}),
    chunk({"content": "x", "unheard_of": 1}),
    chunk({"content": "x"}, logprobs={"content": [{"token": "x"}]}),
    chunk({"content": "x"}, index=1),
    chunk({"role": "assistant", "content": ""}),
)


def test_an_answer_that_is_more_than_its_text_is_not_continued() -> None:
    """The last one is less: not a character."""
    scripts = [streaming(*said(WORDS)[: 2 if event != MORE[-1] else 1], event, then="cut") for event in MORE]
    for event, (answer, calls) in zip(MORE, run_each(scripts), strict=True):
        assert (answer.is_whole, len(calls)) == (False, 1), event


def test_a_text_that_is_too_large_is_not_continued() -> None:
    for size, num_calls in ((MAX_TEXT_BYTES, 2), (MAX_TEXT_BYTES + 1, 1)):
        script = streaming(chunk({"content": "é" * (size // 2) + "x" * (size % 2)}), then="cut")
        answer, (calls,) = run(then(script, streaming(*said(["!"], name="b"), DONE)))
        assert (answer.is_whole, len(calls)) == (num_calls == 2, num_calls)


def test_other_paths_are_not_continued() -> None:
    async def ask(gate: RunningGateway, served: list[Upstream]) -> tuple[Answer, int]:
        body = json.dumps({"prompt": "?", "messages": QUESTION, "stream": True}).encode()
        return await fetch(gate.port, "POST", "/v1/completions", body), len(served[0].calls)

    answer, num_calls = play(then(cut(3), going_on), ask=ask, targets=[PLAIN])
    assert (answer.is_whole, num_calls) == (False, 1)


@pytest.mark.parametrize("hold_back", ["complete", "5 tokens"])
def test_what_nobody_has_seen_is_asked_for_anew(hold_back: str) -> None:
    """A break before the commit point: no prefill, on the same target or on another."""
    answer, calls = run(
        then(cut(3), streaming(*said(WORDS), DONE)), going_on, targets=[PLAIN, SECOND], hold_back=hold_back
    )
    assert (answer.is_whole, answer.body) == (True, b"".join(said(WORDS)) + DONE)
    assert ([len(each) for each in calls], asked(calls[0][1])) == ([2, 0], asked(calls[0][0]))


def test_what_was_held_back_and_then_given_is_continued() -> None:
    answer, (calls,) = run(then(cut(6), going_on), hold_back="3 tokens")
    assert (is_joined(answer), shown(answer), len(calls)) == (True, TEXT, 2)
    assert asked(calls[1])["messages"][-1]["content"] == "".join(WORDS[:5])
