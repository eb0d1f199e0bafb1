"""A law of chunks that are seen at once: they are what their events are, seen one by one, and tell nothing new."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.ext import implementation
from headgate.ext.http1 import ChunkScanner
from headgate.ext.sse import StreamState

from .sse_writer import Writer

TWIN = implementation("sse", "twin")
FIRST = b'data: {"model":"m","choices":[{"index":0,"text":"a"},{"index":1,"text":"a"}]}\n\n'
PLAIN = (
    b'data: {"choices":[{"index":1,"delta":{"content":"a"}}]}\n\n',
    b'data:{"choices":[{"delta":{"role":"a"},"finish_reason":null}],"usage":{}}\n\n',
)


def told(state: StreamState) -> tuple[Any, ...]:
    """Everything a state says."""
    return (
        *(state.finish_reasons(), state.is_finished, state.is_done, state.has_content, state.num_events),
        *(state.prompt_tokens, state.completion_tokens, state.model, state.last_id),
    )


def begun(module: ModuleType, first: bytes) -> StreamState:
    state: StreamState = module.StreamState(2)
    for event in module.EventScanner().feed(first):
        state.see(event)
    return state


def written(writer: Writer) -> bytes:
    """Write a few chunks of one event or more each, mostly plain, rarely broken."""
    data = b""
    for _ in range(writer.random.randrange(4)):
        events = [
            writer.pick(PLAIN) if writer.random.random() < 0.8 else writer.event()
            for _ in range(writer.random.randrange(1, 3))
        ]
        body = b"".join(events)
        body = body if writer.random.random() < 0.9 else writer.mutated(body)
        data += b"%x\r\n%b\r\n" % (len(body), body)
    return data if writer.random.random() < 0.8 else writer.mutated(data)


@settings(max_examples=300)
@given(writer=st.integers(0, 2**32).map(Writer))
def test_what_is_seen_at_once_is_what_is_seen_one_by_one(sse_module: ModuleType, writer: Writer) -> None:
    for _ in range(10):
        data, first = written(writer), writer.pick((FIRST, FIRST, b"", FIRST + b"data: [DONE]\n\n"))
        state, twin = begun(sse_module, first), begun(TWIN, first)
        before = told(state)
        found = state.see_plain(data)
        if found is None:
            assert told(state) == before, data
            continue
        chunks, events = ChunkScanner(), TWIN.EventScanner()
        body, size = chunks.decode(data)
        assert chunks.is_between_chunks and size == len(data), data
        whole = events.feed(body)
        assert events.held_bytes == 0, data
        for event in whole:
            assert event.id is None and event.name == b"", data
            twin.see(event)
        assert found == (len(whole), len(body)), data
        assert told(state) == told(twin), data
        assert told(twin) == (*before[:4], before[4] + len(whole), *before[5:]), data  # no more than their number
