"""What the data of an event has to be, by example: JSON, and a chunk of a completion."""

from __future__ import annotations

from types import ModuleType

import pytest

from headgate.ext.sse import EventKind, StreamState

from .json_values import NO_VALUES, VALUES

KIND = EventKind


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"[DONE]", KIND.DONE),
        (b" [DONE]\t", KIND.DONE),
        (b"\n[DONE]\n", KIND.DONE),
        (b"[DONE]]", KIND.MALFORMED),
        (b"[done]", KIND.MALFORMED),
        (b'"[DONE]"', KIND.MALFORMED),
        (b"", KIND.MALFORMED),
        (b" ", KIND.MALFORMED),
        (b"[]", KIND.MALFORMED),
        (b"1", KIND.MALFORMED),
        (b"null", KIND.MALFORMED),
        (b"{}", KIND.OTHER),
        (b" { } ", KIND.OTHER),
        (b"{}{}", KIND.MALFORMED),
        (b'{"type": "response.output_text.delta", "delta": "a"}', KIND.OTHER),
        (b'{"choices": []}', KIND.OTHER),
        (b'{"choices": null}', KIND.OTHER),
        (b'{"choices": [], "usage": null}', KIND.OTHER),
        (b'{"choices": [], "usage": []}', KIND.OTHER),
        (b'{"choices": [], "usage": 1}', KIND.OTHER),
        (b'{"choices": [], "usage": {}}', KIND.USAGE),
        (b'{"choices": null, "usage": {}}', KIND.USAGE),
        (b'{"usage": {"prompt_tokens": 1}}', KIND.OTHER),
        (b'{"choices": [{}], "usage": {}}', KIND.DELTA),
        (b'{"choices": [{"index": null, "delta": null, "text": null, "finish_reason": null}]}', KIND.DELTA),
        (b'{"choices": [{"index": 0,\n"delta": {}}]}', KIND.DELTA),
        (b'{"choices": {}}', KIND.MALFORMED),
        (b'{"choices": "a"}', KIND.MALFORMED),
        (b'{"choices": false}', KIND.MALFORMED),
        (b'{"choices": [null]}', KIND.MALFORMED),
        (b'{"choices": [{}, []]}', KIND.MALFORMED),
        (b'{"choices": [{"index": "0"}]}', KIND.MALFORMED),
        (b'{"choices": [{"index": 0.0}]}', KIND.MALFORMED),
        (b'{"choices": [{"index": true}]}', KIND.MALFORMED),
        (b'{"choices": [{"index": -1}]}', KIND.MALFORMED),
        (b'{"choices": [{"index": -0}]}', KIND.DELTA),
        (b'{"choices": [{"index": 1e0}]}', KIND.MALFORMED),
        (b'{"choices": [{"index": 127}]}', KIND.DELTA),
        (b'{"choices": [{"index": 128}]}', KIND.MALFORMED),
        (b'{"choices": [{"index": 99999999999999999999}]}', KIND.MALFORMED),
        (b'{"choices": [{"delta": []}]}', KIND.MALFORMED),
        (b'{"choices": [{"delta": "a"}]}', KIND.MALFORMED),
        (b'{"choices": [{"text": 1}]}', KIND.MALFORMED),
        (b'{"choices": [{"finish_reason": 1}]}', KIND.MALFORMED),
        (b'{"choices": [{"finish_reason": {}}]}', KIND.MALFORMED),
        (b'{"choices": [{"finish_reason": "%s"}]}' % (b"r" * 64), KIND.DELTA),
        (b'{"choices": [{"finish_reason": "%s"}]}' % (b"r" * 65), KIND.MALFORMED),
        (b'{"choices": [{"finish_reason": "%s"}]}' % ("é" * 64).encode(), KIND.DELTA),
        (b'{"choices": [{"index": 0}], "choices": 1}', KIND.MALFORMED),
        (b'{"choices": 1, "choices": [{"index": 0}]}', KIND.DELTA),
        (b'{"error": {"message": "a"}}', KIND.ERROR),
        (b'{"error": "a"}', KIND.ERROR),
        (b'{"error": ""}', KIND.ERROR),
        (b'{"error": false}', KIND.ERROR),
        (b'{"error": null}', KIND.OTHER),
        (b'{"error": null, "choices": [{}]}', KIND.DELTA),
        (b'{"error": {}, "choices": 1}', KIND.ERROR),
        (b'{"\\u0065rror": 1}', KIND.ERROR),
        (b'{"\\u0063hoices": [{}]}', KIND.DELTA),
        (b'{"choices": [{"error": 1}]}', KIND.DELTA),
        (b'"error"', KIND.MALFORMED),
        (b'{"error": 1', KIND.MALFORMED),
    ],
)
def test_kind_of_data(sse_module: ModuleType, data: bytes, kind: EventKind) -> None:
    state: StreamState = sse_module.StreamState()
    assert state.see(sse_module.Event(b"", data)) is kind
    assert state.num_events == (kind is KIND.DELTA)
    assert state.is_done is (kind is KIND.DONE)


PLACES = (b'{"x": %s, "choices": [{}]}', b'{"choices": [{"delta": {"content": %s}}]}', b'{"choices": [{"x":%s}]}')


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_any_value_may_stand_where_none_is_asked_for(sse_module: ModuleType, value: bytes, place: bytes) -> None:
    assert sse_module.StreamState().see(sse_module.Event(b"", place % value)) is KIND.DELTA


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", NO_VALUES, ids=range(len(NO_VALUES)))
def test_data_is_malformed_where_its_json_is(sse_module: ModuleType, value: bytes, place: bytes) -> None:
    assert sse_module.StreamState().see(sse_module.Event(b"", place % value)) is KIND.MALFORMED


def test_a_text_ends_where_its_data_line_does(sse_module: ModuleType) -> None:
    state: StreamState = sse_module.StreamState()
    for text, more in ((b'{"a": 1', b"}"), (b'{"a": "b', b'"}'), (b'{"a": tru', b"e}"), (b'{"a": [1', b"]}")):
        for end in (b"\n", b"\r", b"\r\n"):
            (event,) = sse_module.EventScanner().feed(b"data: " + text + end + more + b"\n\n")
            assert event.data == text
            assert state.see(event) is KIND.MALFORMED
