"""What answers say: any bytes can be read, and a stream says what its completion would."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.plugins.aggregate.choosing import dumped, with_summary
from headgate.plugins.aggregate.content import content_of, text_of, value_of
from headgate.plugins.aggregate.merging import merged

from .test_parts import chunks
from .test_strategies import completion

TYPES = st.sampled_from(["application/json", "text/event-stream", "text/plain", ""])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "text", "delta", "index", "usage", "a"]), inner
        )
    ),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(["choices", "usage", "a", "b", "id"]), values, max_size=4)


@given(st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()), TYPES)
def test_any_answer_has_a_content(body: bytes, media_type: str) -> None:
    assert isinstance(content_of(body, media_type), str)


@given(st.lists(values, max_size=4))
def test_any_events_have_a_content(data: list[Any]) -> None:
    body = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in data)
    assert isinstance(content_of(body, "text/event-stream"), str)


@given(st.lists(objects, min_size=1, max_size=4))
def test_any_objects_can_be_merged_and_the_first_ones_members_stay(parts: list[dict[str, Any]]) -> None:
    whole = json.loads(dumped(merged(parts)))
    assert whole.keys() == (parts[0].keys() if _all_choose(parts) else set().union(*parts)) | ({"usage"} & whole.keys())
    for name, value in parts[0].items():
        if name not in ("choices", "usage") and not isinstance(value, dict):
            assert whole[name] == value


def _all_choose(parts: list[dict[str, Any]]) -> bool:
    return all(
        isinstance(part.get("choices"), list) and all(isinstance(choice, dict) for choice in part["choices"])
        for part in parts
    )


@given(objects, st.sampled_from(["", " ", "\n"]))
def test_a_summary_is_one_member_more(value: dict[str, Any], blank: str) -> None:
    body = (blank + json.dumps(value) + blank).encode()
    assert json.loads(with_summary(body, {"is_partial": False})) == {**value, "headgate": {"is_partial": False}}


def test_members_are_merged_into_any_depth_and_nothing_given_is_changed() -> None:
    one: dict[str, Any] = {"in": {"deep": {"x": 1}}}
    other = {"in": {"deep": {"y": 2}, "z": 3}}
    assert merged([one, other]) == {"in": {"deep": {"x": 1, "y": 2}, "z": 3}}
    assert one == {"in": {"deep": {"x": 1}}}


@pytest.mark.parametrize("texts", [("a",), ("a", " b", "c ")])
def test_a_stream_says_what_its_completion_would(texts: tuple[str, ...]) -> None:
    told = value_of(chunks(*texts), "text/event-stream")
    assert told is not None
    assert told["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "".join(texts)},
        "finish_reason": "stop",
    }
    assert text_of(told) == content_of(completion("".join(texts)), "application/json")


def test_what_is_no_plain_text_is_told_by_no_text() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
    body = json.dumps({"choices": [{"message": call}]}).encode()
    assert text_of(value_of(body, "application/json")) is None
    assert "tool_calls" in content_of(body, "application/json")
    delta = b'data: {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0}]}}]}\n\n'
    assert value_of(delta, "text/event-stream") is None


def test_depth_is_no_trouble() -> None:
    deep = b'{"a":' * 900 + b"1" + b"}" * 900
    assert content_of(deep, "application/json")
    assert content_of(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "application/json")
