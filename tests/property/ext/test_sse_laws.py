"""Laws of server-sent events and of what they tell: any pieces, any bytes, and the compiled ones as the twin."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headgate.ext import implementation
from headgate.ext.sse import Event, EventKind, EventScanner, StreamState

from .sse_writer import MARK, Writer

TWIN = implementation("sse", "twin")
KIND = EventKind

lines = st.lists(
    st.sampled_from((b"\n", b"\r", b"\r\n", b"\n\n", b"data: x", b"data", b"id: 1", b"event:e", b": c", b"", MARK))
).map(b"".join)
limits = st.sampled_from((1 << 20, 1 << 20, 3, 7, 20, 100))
writers = st.integers(0, 2**32).map(Writer)


@st.composite
def cut(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """Draw a stream, and pieces of it."""
    stream = draw(lines)
    at = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return stream, [stream[a:b] for a, b in zip([0, *at], [*at, len(stream)], strict=True)]


def scan(scanner: EventScanner, pieces: Sequence[bytes]) -> tuple[list[Event], bytes]:
    found = [event for piece in pieces for event in scanner.feed(piece)]
    return found + scanner.finish(), scanner.rest()


def fields(event: Event) -> tuple[bytes, bytes | None, bytes, bytes | None, bool]:
    return event.raw, event.data, event.name, event.id, event.is_overflow


def told(state: StreamState) -> tuple[Any, ...]:
    """Everything a state says."""
    return (
        *(state.finish_reasons(), state.is_finished, state.is_done, state.has_content, state.num_events),
        *(state.prompt_tokens, state.completion_tokens, state.model, state.last_id),
    )


def judge(state: StreamState, found: Sequence[Event]) -> list[tuple[EventKind, tuple[Any, ...]]]:
    return [(state.see(event), told(state)) for event in found]


# What is given out, whatever the pieces.


@settings(max_examples=300)
@given(drawn=cut(), limit_bytes=limits)
@example(drawn=(b"a\r\r", [b"a\r", b"\r"]), limit_bytes=100)
@example(drawn=(b"a\n\r\nb", [b"a\n\r", b"\nb"]), limit_bytes=100)
@example(drawn=(MARK + b"\n", [b"\xef", b"\xbb", b"\xbf\n"]), limit_bytes=3)
def test_any_pieces_give_the_same_events_and_join_back(
    scanner_type: type[EventScanner], drawn: tuple[bytes, list[bytes]], limit_bytes: int
) -> None:
    stream, pieces = drawn
    found, rest = scan(scanner_type(limit_bytes), pieces)
    assert (found, rest) == scan(scanner_type(limit_bytes), [stream])
    assert b"".join(event.raw for event in found) + rest == stream


@settings(max_examples=100)
@given(writer=writers, limit_bytes=limits, num_choices=st.integers(1, 3))
def test_any_pieces_give_the_same_states(
    scanner_type: type[EventScanner],
    state_type: type[StreamState],
    writer: Writer,
    limit_bytes: int,
    num_choices: int,
) -> None:
    for _ in range(10):
        stream = writer.stream()
        pieces = writer.cut(stream)
        found, rest = scan(scanner_type(limit_bytes), pieces)
        whole, _ = scan(scanner_type(limit_bytes), [stream])
        assert b"".join(event.raw for event in found) + rest == stream, pieces
        assert judge(state_type(num_choices), found) == judge(state_type(num_choices), whole), pieces


@settings(max_examples=300)
@given(drawn=cut(), limit_bytes=limits)
def test_no_more_is_held_than_the_limit(
    scanner_type: type[EventScanner], drawn: tuple[bytes, list[bytes]], limit_bytes: int
) -> None:
    scanner = scanner_type(limit_bytes)
    held_bytes = 0
    for piece in drawn[1]:
        found = scanner.feed(piece)
        held_bytes += len(piece) - sum(len(event.raw) for event in found)
        assert scanner.held_bytes == held_bytes <= limit_bytes
        assert all(len(event.raw) <= limit_bytes for event in found)
        assert scanner.is_overflowing or not any(event.is_overflow for event in found)


@settings(max_examples=500)
@given(stream=lines)
def test_events_are_those_of_a_reader_by_lines(scanner_type: type[EventScanner], stream: bytes) -> None:
    """The algorithm of WHATWG HTML §9.2.6, line by line, without regard to pieces."""
    expected, data, name, id_ = list[Any](), list[bytes](), b"", None
    text = stream.removeprefix(MARK).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for line in text.split(b"\n")[:-1]:
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if not line:
            expected.append((b"\n".join(data) if data else None, name, id_))
            data, name, id_ = [], b"", None
        elif field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
        elif field == b"id" and 0 not in value:
            id_ = value
    found, _ = scan(scanner_type(), [stream])
    assert [(event.data, event.name, event.id) for event in found] == expected


# What the events tell.


@settings(max_examples=50)
@given(writer=writers)
def test_the_kind_of_data_follows_from_what_orjson_reads(
    event_type: type[Event], state_type: type[StreamState], writer: Writer
) -> None:
    for _ in range(50):
        data = writer.data()
        state = state_type()
        kind = state.see(event_type(b"", data))
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            assert kind is (KIND.DONE if data.strip(b" \t\n\r") == b"[DONE]" else KIND.MALFORMED), data
            continue
        if not isinstance(value, dict):
            assert kind is KIND.MALFORMED, data
        elif value.get("error") is not None:
            assert kind is KIND.ERROR, data
        elif value.get("choices") in (None, []):
            is_usage = "choices" in value and isinstance(value.get("usage"), dict)
            assert kind is (KIND.USAGE if is_usage else KIND.OTHER), data
        else:
            assert kind in (KIND.DELTA, KIND.MALFORMED), data


@settings(max_examples=50)
@given(writer=writers)
def test_a_state_is_bounded(event_type: type[Event], state_type: type[StreamState], writer: Writer) -> None:
    state = state_type()
    for _ in range(50):
        data = writer.data()
        state.see(event_type(b"", data))
        reasons = state.finish_reasons()
        assert all(0 <= index < 128 and 0 < len(reason) <= 64 for index, reason in reasons.items()), data


@settings(max_examples=200)
@given(
    script=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(("", "a", "é😀")), st.sampled_from((None, "stop", "length")))
    ),
    num_choices=st.integers(1, 4),
    is_chat=st.booleans(),
    is_ascii=st.booleans(),
)
def test_a_state_tells_what_was_sent(
    sse_module: ModuleType,
    script: list[tuple[int, str, str | None]],
    num_choices: int,
    is_chat: bool,
    is_ascii: bool,
) -> None:
    """`script`: (index, text, finish_reason) of each chunk."""
    state, scanner = sse_module.StreamState(num_choices), sse_module.EventScanner()
    for place, (index, text, reason) in enumerate(script):
        part = {"delta": {"content": text}} if is_chat else {"text": text}
        chunk = {"choices": [{"index": index, "finish_reason": reason} | part], "usage": {"completion_tokens": place}}
        (event,) = scanner.feed(f"id: {place}\ndata: {json.dumps(chunk, ensure_ascii=is_ascii)}\n\n".encode())
        assert state.see(event) is KIND.DELTA
    reasons = {index: reason for index, _, reason in script if reason is not None}
    indexes = {index for index, _, _ in script}
    last = len(script) - 1 if script else None
    assert told(state) == (
        *(reasons, len(indexes) >= num_choices and indexes == set(reasons)),
        *(False, any(text for _, text, _ in script), len(script)),
        *(None, last, None, None if last is None else str(last).encode()),
    )


# The compiled ones beside their specification.


@settings(max_examples=100)
@given(writer=writers, limit_bytes=limits, num_choices=st.integers(1, 3))
def test_streams_are_read_as_the_twin_reads_them(
    scanner_type: type[EventScanner],
    state_type: type[StreamState],
    writer: Writer,
    limit_bytes: int,
    num_choices: int,
) -> None:
    for _ in range(10):
        pieces = writer.cut(writer.stream())
        found, rest = scan(scanner_type(limit_bytes), pieces)
        twins, twin_rest = scan(TWIN.EventScanner(limit_bytes), pieces)
        assert [fields(event) for event in found] == [fields(event) for event in twins], pieces
        assert rest == twin_rest, pieces
        assert judge(state_type(num_choices), found) == judge(TWIN.StreamState(num_choices), twins), pieces


@settings(max_examples=100)
@given(writer=writers)
def test_data_is_read_as_the_twin_reads_it(
    event_type: type[Event], state_type: type[StreamState], writer: Writer
) -> None:
    for _ in range(50):
        data = [writer.data() for _ in range(writer.pick((1, 1, 3)))]
        twins = judge(TWIN.StreamState(), [TWIN.Event(b"", each) for each in data])
        assert judge(state_type(), [event_type(b"", each) for each in data]) == twins, data
