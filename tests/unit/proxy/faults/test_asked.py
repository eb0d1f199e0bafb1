"""What a completion request asks for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headgate.proxy.faults.asked import Asked, AskedError, read_asked

USER = {"role": "user", "content": "one two"}


def chat(**members: Any) -> Asked:
    return read_asked(json.dumps({"model": "m", "messages": [USER], **members}).encode(), is_chat=True)


def test_a_plain_chat() -> None:
    assert chat() == Asked(True, "m", False, 1, None, True, None, 2)


def test_a_stream_has_usage_where_it_is_asked_for() -> None:
    assert not chat(stream=True).has_usage
    assert not chat(stream=True, stream_options=None).has_usage
    assert chat(stream=True, stream_options={"include_usage": True}).has_usage


def test_the_newer_name_of_max_tokens_counts_first() -> None:
    assert chat(max_tokens=5).max_tokens == 5
    assert chat(max_tokens=5, max_completion_tokens=0).max_tokens == 0


@pytest.mark.parametrize("extra", [{}, {"prefix": True}])
def test_a_last_message_of_the_assistant_is_a_prefill(extra: dict[str, Any]) -> None:
    last = {"role": "assistant", "content": "The café", **extra}
    assert chat(messages=[USER, last]).prefill == "The café"
    assert chat(messages=[last, USER]).prefill is None


def test_content_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "The "}, {"type": "image_url"}, "odd", {"type": "text", "text": "café"}]
    assert chat(messages=[{"role": "assistant", "content": parts}]).prefill == "The café"


def test_a_prompt_may_be_several() -> None:
    asked = read_asked(b'{"prompt": ["one two", "three"]}', is_chat=False)
    assert asked == Asked(False, None, False, 1, None, True, None, 3)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages"),
        ({"stream": 1}, "stream"),
        ({"stream_options": [1]}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": "yes"}}, "include_usage"),
        ({"n": 0}, "n"),
        ({"n": 17}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
    ],
)
def test_a_wrong_member_is_named(members: dict[str, Any], param: str) -> None:
    with pytest.raises(AskedError, match="wanted") as raised:
        chat(**members)
    assert raised.value.param == param


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"{}"])
def test_a_body_that_asks_for_nothing(body: bytes) -> None:
    for is_chat in (True, False):
        with pytest.raises(AskedError, match="wanted"):
            read_asked(body, is_chat=is_chat)
