"""Where server-sent events end, whatever pieces they come in."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headgate.proxy.exchange.sse import EventSplitter, data_of, is_error

streams = st.lists(st.sampled_from((b"\n", b"\r", b"\r\n", b"data: x", b"a", b": c", b"", b"\n\n", b"\r\r\n"))).map(
    b"".join
)


@st.composite
def cut(draw: st.DrawFn, stream: st.SearchStrategy[bytes] = streams) -> tuple[bytes, list[bytes]]:
    """Draw a stream, and pieces of it."""
    whole = draw(stream)
    at = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    return whole, [whole[a:b] for a, b in zip([0, *at], [*at, len(whole)], strict=True)]


def events(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    splitter = EventSplitter()
    found = [event for piece in pieces for event in splitter.feed(piece)]
    return found, splitter.rest()


@given(cut())
@example((b"a\n\r\nb", [b"a\n\r", b"\nb"]))
@example((b"a\r\n\r\nb", [b"a\r", b"\n\r", b"\nb"]))
def test_any_pieces_give_the_same_events_and_join_back(drawn: tuple[bytes, list[bytes]]) -> None:
    whole, pieces = drawn
    found, rest = events(pieces)
    assert (found, rest) == events([whole])
    assert b"".join(found) + rest == whole


@given(streams)
def test_events_are_those_of_a_reader_by_lines(stream: bytes) -> None:
    """An event ends where a line is empty (WHATWG HTML §9.2.6)."""
    stream += b"x"  # so that no line end is still open
    found, _ = events([stream])
    lines = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[:-1]
    expected, current = [], []
    for line in lines:
        if line:
            current.append(line)
        elif current:
            expected.append(current)
            current = []
    normal = [event.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n") for event in found]
    assert [kept for event in normal if (kept := [line for line in event if line])] == expected


def test_an_event_larger_than_the_limit_is_given_out_and_marked() -> None:
    splitter = EventSplitter(limit_bytes=10)
    assert splitter.feed(b"data: 1\n\ndata: 12") == [b"data: 1\n\n"]
    assert not splitter.is_overflowing
    assert splitter.feed(b"345") == [b"data: 12345"]
    assert splitter.is_overflowing
    assert splitter.rest() == b""


def test_a_large_event_in_small_pieces_costs_no_more_than_its_size_allows() -> None:
    def cost(size: int) -> float:
        splitter = EventSplitter(1 << 20)
        pieces = [b"x" * 64] * (size // 64)
        began = time.process_time()
        for piece in pieces:
            splitter.feed(piece)
        return time.process_time() - began

    small = min(cost(1 << 16) for _ in range(3))
    large = min(cost(1 << 19) for _ in range(3))
    assert large <= 32 * small  # eight times the size; a scan from the start with every piece costs 64 times


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: a\n\n", b"a"),
        (b"data:a\r\n\r\n", b"a"),
        (b"data:  a\n\n", b" a"),
        (b"data: a\rdata:b\r\r", b"a\nb"),
        (b"data\n\n", b""),
        (b"data:\n\n", b""),
        (b": comment\n\n", None),
        (b"event: data\n\n", None),
        (b"database: a\n\n", None),
        (b"id: 1\ndata: a\nretry: 3\n\n", b"a"),
    ],
)
def test_data_of_an_event(event: bytes, data: bytes | None) -> None:
    assert data_of(event) == data


@pytest.mark.parametrize(
    ("event", "is_bad"),
    [
        (b'data: {"error": {"message": "x"}}\n\n', True),
        (b'data: {"error":\ndata: "x"}\n\n', True),
        (b"event: error\ndata: x\n\n", True),
        (b"event:error\r\ndata: x\r\n\r\n", True),
        (b"data: x\revent: error\r\r", True),
        (b'data: {"error": null}\n\n', False),
        (b'data: {"choices": [{"error": 1}]}\n\n', False),
        (b'data: "error"\n\n', False),
        (b'data: {"error"\n\n', False),
        (b"event: errors\ndata: x\n\n", False),
        (b"data: event: error\n\n", False),
        (b': {"error": 1}\n\n', False),
    ],
)
def test_an_event_that_reports_an_error(event: bytes, is_bad: bool) -> None:
    assert is_error(event) is is_bad
