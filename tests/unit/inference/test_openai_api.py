"""What a request body may say."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.inference.openai_api import ApiError, Ask, parse_chat, parse_completion

HI = [{"role": "user", "content": "hi"}]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        "model",
        "messages",
        "prompt",
        "stop",
        "seed",
        "n",
        "max_tokens",
        "stream",
        "stream_options",
        "headgate_resume",
        "temperature",
        "top_p",
        "tools",
        "logprobs",
        "response_format",
    ]
)


def _chat(**fields: object) -> Ask:
    return parse_chat(orjson.dumps({"model": "m", "messages": HI, **fields}))


def _completion(**fields: object) -> Ask:
    return parse_completion(orjson.dumps({"model": "m", "prompt": "hi", **fields}))


def test_defaults_are_openais() -> None:
    assert _chat() == Ask("m", ({"role": "user", "content": "hi"},), None, None, 1.0, 1.0, None, (), False, False)
    assert _completion() == Ask("m", None, "hi", 16, 1.0, 1.0, None, (), False, False)


def test_fields_are_understood() -> None:
    ask = _chat(
        max_completion_tokens=5,
        max_tokens=9,
        temperature=0,
        top_p=0.5,
        seed=-3,
        stop=["a", "b"],
        stream=True,
        stream_options={"include_usage": True},
        n=1,
        presence_penalty=0,
        frequency_penalty=0.0,
        logprobs=False,
        tools=[],
        response_format={"type": "text"},
        user="somebody",
        unknown=1,
    )
    assert (ask.max_tokens, ask.temperature, ask.top_p, ask.seed) == (5, 0.0, 0.5, -3)
    assert (ask.stops, ask.is_stream, ask.has_stream_usage) == (("a", "b"), True, True)


def test_cursors_are_kept_and_an_empty_list_is_as_none() -> None:
    assert _chat(stream=True, headgate_resume=["a", "b"]).resume == ("a", "b")
    for is_stream in (True, False):
        assert _chat(stream=is_stream, headgate_resume=[]) == _chat(stream=is_stream)
        assert _chat(stream=is_stream, headgate_resume=None) == _chat(stream=is_stream)


def test_text_parts_are_joined_and_developer_speaks_as_system() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    ask = _chat(messages=[{"role": "developer", "content": parts}])
    assert ask.messages == ({"role": "system", "content": "ab"},)


@pytest.mark.parametrize(
    ("prompt", "expected"), [("a", "a"), (["a"], "a"), ([1, 2], (1, 2)), ([[1, 2]], (1, 2)), ("", "")]
)
def test_prompt_is_one_text_or_one_list_of_ids(prompt: object, expected: object) -> None:
    assert _completion(prompt=prompt).prompt == expected


@pytest.mark.parametrize(
    ("fields", "param", "part"),
    [
        ({"model": None}, "model", "expected the name of a model, got nothing"),
        ({"model": 3}, "model", "got 3"),
        ({"messages": None}, "messages", "got nothing"),
        ({"messages": []}, "messages", "got a list"),
        ({"messages": ["x"]}, "messages[0]", 'got "x"'),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", 'got "tool"'),
        ({"messages": [*HI, {"role": "user"}]}, "messages[1].content", "got nothing"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content", "not supported"),
        ({"n": 2}, "n", "not supported; leave it out or send 1"),
        ({"n": True}, "n", "not supported"),
        ({"logprobs": True}, "logprobs", "send false"),
        ({"tools": [{"type": "function"}]}, "tools", "send []"),
        ({"response_format": {"type": "json_object"}}, "response_format", 'send {"type":"text"}'),
        ({"presence_penalty": 0.5}, "presence_penalty", "send 0"),
        ({"audio": {"voice": "x"}}, "audio", "leave it out"),
        ({"max_tokens": 0}, "max_tokens", "at least 1, got 0"),
        ({"max_tokens": 1.5}, "max_tokens", "got 1.5"),
        ({"temperature": 2.1}, "temperature", "from 0 to 2, got 2.1"),
        ({"temperature": "1"}, "temperature", 'got "1"'),
        ({"top_p": -0.1}, "top_p", "from 0 to 1"),
        ({"seed": 2**63}, "seed", "at most 9223372036854775807"),
        ({"seed": 1.0}, "seed", "whole number"),
        ({"stop": ["a"] * 5}, "stop", "a list of at most 4"),
        ({"stop": ""}, "stop", "texts of 1 to 1024 characters"),
        ({"stop": ["x" * 1025]}, "stop", "texts of 1 to 1024 characters"),
        ({"stop": 7}, "stop", "got 7"),
        ({"stream": "yes"}, "stream", "true or false"),
        ({"stream_options": {}}, "stream_options", "only allowed with stream: true"),
        ({"stream": True, "stream_options": 1}, "stream_options", "an object"),
        ({"stream": True, "headgate_resume": "a"}, "headgate_resume", "expected a list of cursors"),
        ({"stream": True, "headgate_resume": ["a", 1]}, "headgate_resume", "expected a list of cursors"),
        ({"headgate_resume": ["a"]}, "headgate_resume", "only allowed with stream: true"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage", "true or false"),
    ],
)
def test_wrong_field_is_refused_by_name(fields: dict[str, Any], param: str, part: str) -> None:
    with pytest.raises(ApiError) as caught:
        _chat(**fields)
    assert caught.value.status == 400
    assert caught.value.param == param
    assert part in str(caught.value)


@pytest.mark.parametrize("prompt", [None, [], ["a", "b"], [[1], [2]], [1, "a"], [True], 5, [[]]])
def test_wrong_prompt_is_refused(prompt: object) -> None:
    with pytest.raises(ApiError) as caught:
        _completion(prompt=prompt)
    assert caught.value.param == "prompt"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"model": "\\ud800"}', b"[" * 2000, b"\xff"])
def test_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    for parse in (parse_chat, parse_completion):
        with pytest.raises(ApiError) as caught:
            parse(body)
        assert caught.value.code == "invalid_json"


@given(fields=st.dictionaries(FIELDS, JSON, max_size=5))
def test_any_json_is_understood_or_refused_in_the_error_shape(fields: dict[str, object]) -> None:
    for parse in (parse_chat, parse_completion):
        try:
            body = orjson.dumps({"model": "m", "messages": HI, "prompt": "p", **fields})
        except TypeError:
            # Numbers beyond 64 bits have no form here.
            continue
        try:
            ask = parse(body)
        except ApiError as error:
            assert orjson.loads(orjson.dumps(error.body()))["error"]["message"] == str(error)
        else:
            assert (ask.messages is None) != (ask.prompt is None)
