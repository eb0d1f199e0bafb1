"""Chunks of events that tell nothing new, by example."""

from __future__ import annotations

import json
from types import ModuleType

import pytest

from headgate.ext._sse_facts import MAX_PLAIN_BYTES
from headgate.ext.sse import EventScanner, StreamState

WORD = b'data: {"choices":[{"index":0,"delta":{"content":"word"},"finish_reason":null}]}\n\n'
BARE = b'data:{"choices":[{"delta":{}}],"usage":null}\n\n'
SPACED = b'data:  { "choices" : [ { "text" : "w" } ] , "x" : [1] } \n\n'
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def chunk(*parts: bytes) -> bytes:
    data = b"".join(parts)
    return b"%x\r\n%b\r\n" % (len(data), data)


def begun(module: ModuleType, *events: bytes) -> StreamState:
    """A state that has seen a word, then `events`."""
    state: StreamState = module.StreamState()
    scanner: EventScanner = module.EventScanner()
    for event in scanner.feed(b"".join((WORD, *events))):
        state.see(event)
    return state


@pytest.mark.parametrize(
    ("data", "num", "size"),
    [
        (chunk(WORD), 1, len(WORD)),
        (chunk(WORD, BARE, SPACED), 3, len(WORD + BARE + SPACED)),
        (chunk(WORD) + chunk(BARE, WORD), 3, len(WORD + BARE + WORD)),
        (b"00%X\r\n%b\r\n" % (len(WORD), WORD), 1, len(WORD)),
    ],
)
def test_more_of_the_same_is_counted(sse_module: ModuleType, data: bytes, num: int, size: int) -> None:
    state = begun(sse_module)
    assert state.see_plain(data) == (num, size)
    assert state.num_events == 1 + num


@pytest.mark.parametrize(
    "event",
    [
        LAST,
        DONE,
        b": ping\n\n",
        b"\n",
        b"id: 1\n" + WORD,
        b"event: x\n" + WORD,
        WORD[:-1] + b"id: 1\n\n",
        WORD[:-1] + b"data:\n\n",
        WORD.replace(b"\n", b"\r\n"),
        WORD[:-2] + b"\r\n\n",
        WORD[:-1],
        WORD + b"data: ",
        WORD.replace(b'"index":0', b'"index":1'),
        WORD.replace(b'"index":0', b'"index":128'),
        WORD.replace(b'"choices"', b'"error":{},"choices"'),
        WORD.replace(b'"choices"', b'"model":"m","choices"'),
        WORD.replace(b'"choices"', b'"usage":{"prompt_tokens":1},"choices"'),
        WORD.replace(b'"choices"', b'"usage":{"completion_tokens":1},"choices"'),
        WORD.replace(b"}]}", b"}]"),
        b'data: {"choices":[],"usage":{}}\n\n',
        b'data: {"type":"ping"}\n\n',
        b"data: 1\n\n",
    ],
)
def test_what_tells_anything_else_is_for_others(sse_module: ModuleType, event: bytes) -> None:
    for data in (chunk(event), chunk(WORD, event), chunk(WORD) + chunk(event)):
        state = begun(sse_module)
        assert state.see_plain(data) is None
        assert state.num_events == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        chunk(WORD)[:-1],
        chunk(WORD)[:-2],
        chunk(WORD)[:-3],
        chunk(WORD)[1:],
        chunk(WORD) + b"5",
        chunk(WORD) + b"5\r\n",
        chunk(WORD) + b"0\r\n\r\n",
        b"0\r\n\r\n",
        chunk(WORD) + b"\r\n",
        chunk(WORD).replace(b"\r\n", b"\n"),
        chunk(WORD) + b"x",
        chunk(WORD[:9]),
        WORD,
    ],
)
def test_chunks_that_are_not_whole_are_for_others(sse_module: ModuleType, data: bytes) -> None:
    state = begun(sse_module)
    assert state.see_plain(data) is None
    assert state.num_events == 1


def test_the_first_content_is_news(sse_module: ModuleType) -> None:
    state: StreamState = sse_module.StreamState()
    assert state.see_plain(chunk(WORD)) is None
    assert (state.num_events, state.has_content) == (0, False)


def test_after_done_nothing_is_plain(sse_module: ModuleType) -> None:
    assert begun(sse_module, LAST).see_plain(chunk(WORD)) == (1, len(WORD))
    assert begun(sse_module, LAST, DONE).see_plain(chunk(WORD)) is None


def test_a_model_that_is_known_is_no_news(sse_module: ModuleType) -> None:
    named = b"data: " + json.dumps({"model": "m", "choices": [{"text": "a"}]}).encode() + b"\n\n"
    assert begun(sse_module, named).see_plain(chunk(named)) == (1, len(named))


def test_so_much_is_taken_at_once(sse_module: ModuleType) -> None:
    framing = len(b"ffff\r\n\r\n")
    room = MAX_PLAIN_BYTES - framing - len(WORD.replace(b"word", b""))
    most, more = (chunk(WORD.replace(b"word", b"x" * size)) for size in (room, room + 1))
    assert (len(most), len(more)) == (MAX_PLAIN_BYTES, MAX_PLAIN_BYTES + 1)
    assert begun(sse_module).see_plain(most) is not None
    assert begun(sse_module).see_plain(more) is None
