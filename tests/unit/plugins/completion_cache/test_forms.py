"""Stored answers in the other form: the same, or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.plugins.completion_cache.entry import Content, Form
from headgate.plugins.completion_cache.judge import content_of
from headgate.plugins.completion_cache.replay import in_form

from .answers import DONE, USAGE, chat, chunk, event, stream, texts_of, usage_chunk

WHOLE, STREAMED, WITH_USAGE = Form(), Form(is_stream=True), Form(is_stream=True, is_usage_wanted=True)


def kept(body: bytes, media_type: str = "application/json") -> Content:
    found = content_of(body, media_type)
    assert found is not None
    return found


def kept_stream(*pieces: bytes) -> Content:
    return kept(b"".join(pieces), "text/event-stream; charset=utf-8")


def as_json(content: Content) -> Any:
    found = in_form(content, WHOLE)
    return None if found is None else json.loads(found[1])


def test_stream_becomes_the_answer_that_it_tells() -> None:
    found = as_json(kept_stream(*stream(has_usage=True)))
    assert found == json.loads(chat())


def test_choices_are_joined_each_by_itself() -> None:
    found = as_json(
        kept_stream(
            chunk({"role": "assistant", "content": ""}, index=1),
            chunk({"role": "assistant", "content": "a"}),
            chunk({"content": "x"}, index=1),
            chunk({"content": "b"}),
            chunk({"content": "y"}, "length", index=1),
            chunk({}, "stop"),
            usage_chunk(),
            DONE,
        )
    )
    assert [
        (choice["index"], choice["message"]["content"], choice["finish_reason"]) for choice in found["choices"]
    ] == [
        (0, "ab", "stop"),
        (1, "xy", "length"),
    ]


def test_refusal_and_reasoning_are_texts() -> None:
    found = as_json(
        kept_stream(
            chunk({"role": "assistant", "reasoning_content": "hm"}),
            chunk({"reasoning_content": "m"}),
            chunk({"refusal": "no"}),
            chunk({}, "stop", usage=USAGE),
            DONE,
        )
    )
    message = found["choices"][0]["message"]
    assert message == {"role": "assistant", "content": None, "refusal": "no", "reasoning_content": "hmm"}
    assert found["usage"] == USAGE


def text_chunk(text: str, reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}
    return event({"id": "t1", "object": "text_completion", "created": 7, "model": "m", "choices": [choice], **more})


def test_text_completions_have_both_forms() -> None:
    content = kept_stream(text_chunk("a"), text_chunk("b"), text_chunk("", "stop", usage=USAGE), DONE)
    found = as_json(content)
    assert (found["object"], found["choices"][0]["text"]) == ("text_completion", "ab")
    again = in_form(kept(json.dumps(found).encode()), STREAMED)
    assert again is not None and texts_of(again[1]) == {0: "ab"}


LOSSY = [
    stream(),  # without the usage that every answer has
    (chunk({"content": "a"}, "stop", usage=USAGE, citations=["x"]), DONE),
    (chunk({"content": "a", "tool_calls": [{"id": "1"}]}, "stop", usage=USAGE), DONE),
    (chunk({"content": "a"}, usage=USAGE), chunk({}, "stop", id="c2"), DONE),
    (chunk({"content": ["a"]}, "stop", usage=USAGE), DONE),
    (chunk({"role": "assistant", "content": "a"}, usage=USAGE), chunk({"role": "user"}, "stop"), DONE),
    (chunk({"content": "a"}, "stop", usage=USAGE, object="other"), DONE),
    (
        event({"object": "chat.completion.chunk", "usage": USAGE, "choices": [{"text": "a", "finish_reason": "stop"}]}),
        DONE,
    ),
]


@pytest.mark.parametrize("pieces", LOSSY)
def test_stream_that_tells_more_or_less_is_not_converted(pieces: tuple[bytes, ...]) -> None:
    assert in_form(kept_stream(*pieces), WHOLE) is None


def test_answer_becomes_a_stream_of_it() -> None:
    found = in_form(kept(chat()), WITH_USAGE)
    assert found is not None
    assert found[0].startswith(b"text/event-stream")
    events = [part.removeprefix(b"data: ") for part in found[1].split(b"\n\n") if part]
    assert events.pop() == b"[DONE]"
    chunks = [json.loads(data) for data in events]
    assert {(each["id"], each["object"], each["created"], each["model"]) for each in chunks} == {
        ("c1", "chat.completion.chunk", 7, "m")
    }
    told = [(each["choices"][0]["delta"], each["choices"][0]["finish_reason"]) for each in chunks[:-1]]
    assert told == [({"role": "assistant", "content": ""}, None), ({"content": "hello you"}, None), ({}, "stop")]
    assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], USAGE)
    plain = in_form(kept(chat()), STREAMED)
    assert plain is not None and b'"usage"' not in plain[1]


def chat_with(choice: Mapping[str, Any] = {}, message: Mapping[str, Any] = {}, **more: Any) -> bytes:
    value = json.loads(chat())
    value["choices"][0] |= choice
    value["choices"][0]["message"] |= message
    return json.dumps({**value, **more}).encode()


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (chat_with(usage=None), WITH_USAGE),
        (chat_with(citations=["x"]), STREAMED),
        (chat_with({"logprobs": {"content": []}}), STREAMED),
        (chat_with(message={"tool_calls": [{"id": "1"}]}), STREAMED),
        (chat_with(message={"content": [{"type": "text"}]}), STREAMED),
        (chat_with(message={"audio": {"id": "1"}}), STREAMED),
        (b'{"object": "list", "data": []}', STREAMED),
    ],
)
def test_answer_that_tells_more_or_less_is_not_converted(body: bytes, form: Form) -> None:
    assert in_form(kept(body), form) is None


def test_what_is_empty_is_no_loss() -> None:
    body = chat_with({"stop_reason": None}, {"tool_calls": [], "annotations": []}, prompt_logprobs=None)
    assert in_form(kept(body), STREAMED) is not None


def test_usage_is_left_out_where_it_is_not_asked_for() -> None:
    content = kept_stream(*stream(has_usage=True))
    assert in_form(content, STREAMED) == (b"text/event-stream; charset=utf-8", b"".join(stream()))
    assert in_form(content, WITH_USAGE) == (b"text/event-stream; charset=utf-8", b"".join(stream(has_usage=True)))
    assert in_form(kept_stream(*stream()), WITH_USAGE) is None


CHOICES = st.lists(
    st.tuples(st.text(max_size=20), st.text(max_size=5), st.sampled_from(["stop", "length"])), min_size=1, max_size=4
)


@given(CHOICES)
def test_there_and_back_is_the_same(choices: list[tuple[str, str, str]]) -> None:
    told = [
        {
            "index": index,
            "message": {"role": "assistant", "content": content if content or not refusal else None}
            | {"refusal": refusal or None},
            "logprobs": None,
            "finish_reason": reason,
        }
        for index, (content, refusal, reason) in enumerate(choices)
    ]
    answer = {**json.loads(chat()), "choices": told}
    found = in_form(kept(json.dumps(answer).encode()), WITH_USAGE)
    assert found is not None
    back = as_json(kept_stream(found[1]))
    assert back == answer


PIECES = st.sampled_from([*stream(has_usage=True), b"data: {}\n\n", b": x\n", b"id: 1\n", b"x"])


@given(st.binary(max_size=200) | st.lists(PIECES).map(b"".join))
def test_what_is_kept_of_a_stream_is_a_sound_stream(body: bytes) -> None:
    found = content_of(body, "text/event-stream")
    assert found is None or content_of(found.body, "text/event-stream") == found


@given(st.lists(st.sampled_from([b"\n", b"\r\n", b": ping\n\n", b"event: message\n", b"retry: 1\n"]), max_size=4))
def test_what_is_about_the_connection_is_not_kept(noise: list[bytes]) -> None:
    pieces = stream()
    body = b"".join(pieces[:2]) + b"".join(noise) + b"".join(pieces[2:])
    found = content_of(body, "text/event-stream")
    assert found is not None and found.body == b"".join(pieces)
