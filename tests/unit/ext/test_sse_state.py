"""What the events of an OpenAI-compatible stream tell, by example."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest

from headgate.ext import IMPLEMENTATIONS, implementation
from headgate.ext.sse import Event, EventKind, EventScanner, StreamState

KIND = EventKind
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def chunk(*choices: dict[str, Any], **rest: Any) -> bytes:
    return json.dumps(
        {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "choices": choices} | rest
    ).encode()


def choice(index: int = 0, reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}


def told(state: StreamState) -> tuple[Any, ...]:
    """Everything a state says."""
    return (
        *(state.finish_reasons(), state.is_finished, state.is_done, state.has_content, state.num_events),
        *(state.prompt_tokens, state.completion_tokens, state.model, state.last_id),
    )


def event_of(module: ModuleType, data: bytes, fields: bytes = b"") -> Event:
    scanner: EventScanner = module.EventScanner()
    (event,) = scanner.feed(fields + b"".join(b"data: " + line + b"\n" for line in data.split(b"\n")) + b"\n")
    return event


def see(module: ModuleType, state: StreamState, data: bytes, fields: bytes = b"") -> EventKind:
    return state.see(event_of(module, data, fields))


def test_a_whole_answer_of_one_choice(sse_module: ModuleType) -> None:
    state: StreamState = sse_module.StreamState()
    assert told(state) == ({}, False, False, False, 0, None, None, None, None)
    assert see(sse_module, state, chunk(choice(role="assistant", content=""), model="m"), b"id: 1\n") is KIND.DELTA
    assert told(state) == ({}, False, False, False, 1, None, None, "m", b"1")
    assert see(sse_module, state, chunk(choice(content="Hi"), model="other")) is KIND.DELTA
    assert told(state) == ({}, False, False, True, 2, None, None, "m", b"1")
    assert see(sse_module, state, chunk(choice(reason="stop")), b"id: 2\n") is KIND.DELTA
    assert told(state) == ({0: "stop"}, True, False, True, 3, None, None, "m", b"2")
    assert see(sse_module, state, chunk(usage=USAGE)) is KIND.USAGE
    assert told(state) == ({0: "stop"}, True, False, True, 3, 3, 4, "m", b"2")
    assert see(sse_module, state, b"[DONE]") is KIND.DONE
    assert told(state) == ({0: "stop"}, True, True, True, 3, 3, 4, "m", b"2")


def test_text_completions_count_as_chat_does(sse_module: ModuleType) -> None:
    state: StreamState = sse_module.StreamState()
    assert see(sse_module, state, chunk({"index": 0, "text": "", "finish_reason": None})) is KIND.DELTA
    assert not state.has_content
    assert see(sse_module, state, chunk({"index": 0, "text": "a", "finish_reason": "length"})) is KIND.DELTA
    assert (state.has_content, state.is_finished, state.finish_reasons()) == (True, True, {0: "length"})


def test_an_answer_is_finished_when_every_choice_asked_for_or_seen_is(sse_module: ModuleType) -> None:
    state: StreamState = sse_module.StreamState(num_choices=2)
    see(sse_module, state, chunk(choice(1, "stop")))
    assert (state.is_finished, state.finish_reasons()) == (False, {1: "stop"})
    see(sse_module, state, chunk(choice(0), choice(3, "length")))
    assert not state.is_finished
    see(sse_module, state, chunk(choice(0, "stop")))
    assert (state.is_finished, list(state.finish_reasons())) == (True, [0, 1, 3])
    see(sse_module, state, chunk(choice(2)))
    assert not state.is_finished


def test_the_last_finish_reason_stands_and_null_or_empty_ones_change_nothing(sse_module: ModuleType) -> None:
    state: StreamState = sse_module.StreamState()
    for reason, expected in [(None, {}), ("", {}), ("stop", {0: "stop"}), ("", {0: "stop"}), (None, {0: "stop"})]:
        assert see(sse_module, state, chunk(choice(0, reason))) is KIND.DELTA
        assert state.finish_reasons() == expected
    see(sse_module, state, chunk(choice(0, "length"), choice(0, "tool_calls"), choice(0)))
    assert state.finish_reasons() == {0: "tool_calls"}


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        ({}, False),
        ({"role": "assistant"}, False),
        ({"content": ""}, False),
        ({"content": None, "refusal": None}, False),
        ({"content": "a"}, True),
        ({"content": "\n"}, True),
        ({"content": '"'}, True),
        ({"content": [{"type": "text", "text": "a"}]}, True),
        ({"content": []}, False),
        ({"content": 1}, False),
        ({"content": True}, False),
        ({"refusal": "no"}, True),
        ({"reasoning": "a"}, True),
        ({"reasoning_content": "a"}, True),
        ({"reasoning_details": [{}]}, True),
        ({"tool_calls": []}, False),
        ({"tool_calls": [{"index": 0, "function": {"arguments": ""}}]}, True),
        ({"function_call": {}}, False),
        ({"function_call": {"name": "f"}}, True),
        ({"audio": {"id": "a"}}, True),
        ({"images": [1]}, True),
        ({"other": "a"}, False),
        ({"other": {"content": "a"}}, False),
    ],
)
def test_content_is_what_the_model_says(sse_module: ModuleType, delta: dict[str, Any], expected: bool) -> None:
    state: StreamState = sse_module.StreamState()
    assert see(sse_module, state, chunk(choice(0), choice(1, **delta))) is KIND.DELTA
    assert state.has_content is expected
    see(sse_module, state, chunk(choice(0)))
    assert state.has_content is expected


@pytest.mark.parametrize(
    ("fields", "data", "kind"),
    [
        (b"event: error\n", b"a", KIND.ERROR),
        (b"event: error\n", b"[DONE]", KIND.ERROR),
        (b"event: error\n", chunk(choice(0, "stop", content="a"), usage=USAGE, model="m"), KIND.ERROR),
        (b"event: errors\n", b"a", KIND.MALFORMED),
        (b"event: Error\n", b"{}", KIND.OTHER),
        (b"event: ping\n", b'{"type": "ping"}', KIND.OTHER),
        (b"event: done\n", b"[DONE]", KIND.DONE),
    ],
)
def test_the_name_of_an_event_matters_where_it_is_error(
    sse_module: ModuleType, fields: bytes, data: bytes, kind: EventKind
) -> None:
    assert see(sse_module, sse_module.StreamState(), data, fields) is kind


@pytest.mark.parametrize("raw", [b"\n", b": a\n\n", b"id: 1\n\n", b"event: ping\n\n", b"retry: 1\n\n"])
def test_an_event_without_data_is_a_comment(sse_module: ModuleType, raw: bytes) -> None:
    (event,) = sse_module.EventScanner().feed(raw)
    assert sse_module.StreamState().see(event) is KIND.COMMENT


def test_an_error_may_come_without_data(sse_module: ModuleType) -> None:
    (event,) = sse_module.EventScanner().feed(b"event: error\n\n")
    assert sse_module.StreamState().see(event) is KIND.ERROR
    assert sse_module.error_of(event) == (None, None, "")


def test_no_data_may_follow_done(sse_module: ModuleType) -> None:
    state: StreamState = sse_module.StreamState()
    see(sse_module, state, b"[DONE]", b"id: 1\n")
    before = told(state)
    for data in (b"[DONE]", b"", b"{}", chunk(choice(0, "stop", content="a"), usage=USAGE, model="m"), b'{"error": 1}'):
        assert see(sse_module, state, data, b"id: 2\n") is KIND.MALFORMED
        assert told(state) == before
    (event,) = sse_module.EventScanner().feed(b": bye\nid: 3\n\n")
    assert state.see(event) is KIND.COMMENT
    assert state.last_id == b"3"


@pytest.mark.parametrize(
    ("data", "fields", "kind"),
    [
        (chunk(choice(0, "stop", content="a"), {"index": 128}, usage=USAGE, model="m"), b"id: 2\n", KIND.MALFORMED),
        (chunk(choice(1, "stop", content="a"), usage=USAGE, model="m")[:-1], b"id: 2\n", KIND.MALFORMED),
        (chunk(choice(0, "stop", content="a"), usage=USAGE, model="m", error="e"), b"id: 2\n", KIND.ERROR),
        (chunk(choice(0, "stop", content="a"), usage=USAGE, model="m"), b"id: 2\nevent: error\n", KIND.ERROR),
    ],
)
def test_what_is_malformed_or_an_error_changes_nothing(
    sse_module: ModuleType, data: bytes, fields: bytes, kind: EventKind
) -> None:
    state: StreamState = sse_module.StreamState()
    see(sse_module, state, chunk(choice(0)), b"id: 1\n")
    before = told(state)
    assert see(sse_module, state, data, fields) is kind
    assert told(state) == before


def test_an_event_that_overflows_is_told_apart_and_changes_nothing(sse_module: ModuleType) -> None:
    state: StreamState = sse_module.StreamState()
    before = told(state)
    events = sse_module.EventScanner(40).feed(b"id: 1\ndata: " + chunk(choice(0, "stop")) + b"\n\n")
    assert len(events) > 1
    assert {state.see(event) for event in events} == {KIND.OVERFLOW}
    assert told(state) == before


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (USAGE, (3, 4)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, (0, 0)),
        ({"prompt_tokens": 3}, (3, 2)),
        ({"completion_tokens": 4}, (1, 4)),
        ({}, (1, 2)),
        (None, (1, 2)),
        ([3, 4], (1, 2)),
        ({"prompt_tokens": None, "completion_tokens": 4}, (1, 4)),
        ({"prompt_tokens": -3, "completion_tokens": 4}, (1, 4)),
        ({"prompt_tokens": 3.0, "completion_tokens": 4}, (1, 4)),
        ({"prompt_tokens": True, "completion_tokens": "4"}, (1, 2)),
        ({"prompt_tokens": [3], "completion_tokens": {"a": 4}}, (1, 2)),
        ({"prompt_tokens": 10**18, "completion_tokens": 2**64 - 1}, (10**18, 2**64 - 1)),
        ({"details": {"prompt_tokens": 3}}, (1, 2)),
    ],
)
@pytest.mark.parametrize("choices", [[], [choice(0)], None])
def test_the_last_usage_stands(
    sse_module: ModuleType, usage: object, expected: tuple[int, int], choices: list[object] | None
) -> None:
    state: StreamState = sse_module.StreamState()
    see(sse_module, state, chunk(usage={"prompt_tokens": 1, "completion_tokens": 2}))
    see(sse_module, state, chunk(choices=choices, usage=usage))
    assert (state.prompt_tokens, state.completion_tokens) == expected


@pytest.mark.parametrize(
    "data", [b'{"usage": {"prompt_tokens": 3, "completion_tokens": 4}}', chunk(choice(0), usage=USAGE)]
)
def test_usage_is_read_wherever_it_is_told(sse_module: ModuleType, data: bytes) -> None:
    state: StreamState = sse_module.StreamState()
    see(sse_module, state, data)
    assert (state.prompt_tokens, state.completion_tokens) == (3, 4)


def test_the_first_model_that_is_a_name_stands(sse_module: ModuleType) -> None:
    state: StreamState = sse_module.StreamState()
    for model, expected in [(None, None), ("", None), (1, None), ("a/\u00e9", "a/\u00e9"), ("b", "a/\u00e9")]:
        see(sse_module, state, chunk(model=model))
        assert state.model == expected
    other: StreamState = sse_module.StreamState()
    see(sse_module, other, b'{"model": "a\\/b"}')
    assert other.model == "a/b"


def test_the_last_id_is_where_the_stream_stands(sse_module: ModuleType) -> None:
    state: StreamState = sse_module.StreamState()
    for fields, expected in [
        (b"id: 1\n", b"1"),
        (b"", b"1"),
        (b"id: 2\x00\n", b"1"),
        (b"id: 3\n", b"3"),
        (b"id\n", b""),
    ]:
        see(sse_module, state, chunk(choice(0)), fields)
        assert state.last_id == expected


@pytest.mark.parametrize("num_choices", [0, -1, 129])
def test_a_number_of_choices_that_no_one_can_ask_for_is_refused(
    state_type: type[StreamState], num_choices: int
) -> None:
    with pytest.raises(ValueError, match=f"expected num_choices from 1 to 128, got {num_choices}"):
        state_type(num_choices)


def test_choices_are_bounded(sse_module: ModuleType) -> None:
    """By their index, not by how often one comes."""
    state: StreamState = sse_module.StreamState(128)
    assert see(sse_module, state, chunk(*[{}] * 128)) is KIND.DELTA
    assert see(sse_module, state, chunk(*[{}] * 129)) is KIND.MALFORMED
    assert see(sse_module, state, chunk(*[choice(index % 128, "stop") for index in range(1000)])) is KIND.DELTA
    assert state.is_finished
    assert state.finish_reasons() == dict.fromkeys(range(128), "stop")


def test_a_choice_without_index_counts_by_its_place(sse_module: ModuleType) -> None:
    state: StreamState = sse_module.StreamState()
    see(sse_module, state, chunk({"finish_reason": "a"}, {"finish_reason": "b", "index": None}, choice(7, "c")))
    assert state.finish_reasons() == {0: "a", 1: "b", 7: "c"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"error": {"type": "t", "code": "c", "message": "m"}}', ("t", "c", "m")),
        (b'{"error": {"type": null, "code": 429, "message": "m"}}', (None, "429", "m")),
        (b'{"type": "error", "error": {"type": "overloaded_error", "message": "m"}}', ("overloaded_error", None, "m")),
        (b'{"object": "error", "type": "t", "code": 400, "message": "m"}', ("t", "400", "m")),
        (b'{"error": null, "message": "m"}', (None, None, "m")),
        (b'{"error": "m"}', (None, None, "m")),
        (b'{"error": {"detail": "m", "code": true, "type": []}}', (None, None, "m")),
        (b'{"error": {"message": "", "code": ""}}', (None, None, '{"error": {"message": "", "code": ""}}')),
        (b'{"error": 5}', (None, None, '{"error": 5}')),
        (b'"m"', (None, None, "m")),
        (b"no \xff JSON", (None, None, "no \ufffd JSON")),
        (b"", (None, None, "")),
        (b'{"error": {"code": "%s", "message": "%s"}}' % (b"c" * 200, b"m" * 2000), (None, "c" * 100, "m" * 1000)),
        (b'{"error": {"type": "%s"}}' % (b"t" * 2000), ("t" * 100, None, '{"error": {"type": "' + "t" * 980)),
    ],
)
def test_what_an_error_says(sse_module: ModuleType, data: bytes, expected: tuple[str | None, str | None, str]) -> None:
    assert sse_module.error_of(event_of(sse_module, data)) == expected


COMMON = [
    chunk(choice(role="assistant", content=""), model="m", system_fingerprint="fp", usage=None),
    chunk(choice(content='caf\u00e9 \U0001f600 "x"\n')),
    json.dumps(
        json.loads(chunk(choice(content="\u4f60 \U0001f600"))), ensure_ascii=False, separators=(",", ":")
    ).encode(),
    chunk(choice(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a": '}}]), usage=USAGE),
    chunk({**choice(content="a"), "logprobs": {"content": [{"token": "a", "logprob": -1.1920928955078125e-07}]}}),
    chunk({"index": 0, "text": " a", "logprobs": None, "finish_reason": None}, {"index": 1, "text": "b"}),
    chunk(choice(reason="stop"), choice(1, "length")),
    chunk(usage=USAGE | {"completion_tokens_details": {"reasoning_tokens": 1}}),
    b'{"type": "response.output_text.delta", "sequence_number": 4, "delta": "a"}',
    b"[DONE]",
]


@pytest.mark.parametrize("data", COMMON, ids=range(len(COMMON)))
def test_what_is_common_is_not_parsed_in_full(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Speed is what the compiled one is for."""
    for which in IMPLEMENTATIONS[1:]:
        module = implementation("sse", which)
        monkeypatch.delattr(module, "facts_of")
        state: StreamState = module.StreamState()
        assert see(module, state, data) in (KIND.DELTA, KIND.USAGE, KIND.OTHER, KIND.DONE)
        with pytest.raises(NameError, match="facts_of"):
            see(module, module.StreamState(), b"1")
