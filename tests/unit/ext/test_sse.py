"""Server-sent events by example: where they end, what their fields are, and what is held of them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import pytest

from headgate.ext import IMPLEMENTATIONS, implementation, sse
from headgate.ext.sse import Event, EventScanner

MARK = b"\xef\xbb\xbf"


def raws(events: list[Event]) -> list[bytes]:
    return [event.raw for event in events]


def read(scanner_type: type[EventScanner], raw: bytes) -> Event:
    scanner = scanner_type()
    (event,) = [*scanner.feed(raw), *scanner.finish()]
    assert event.raw == raw
    return event


def test_the_best_implementation_stands_behind_the_facade() -> None:
    best = implementation("sse", IMPLEMENTATIONS[-1])
    for name in sse.__all__:
        assert getattr(sse, name) is getattr(best, name)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\ndata: b\n\n", [b"data: a\n\n", b"data: b\n\n"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"data: a\r\n\r\n", b"data: b\r\n\r\n"]),
        (b"data: a\r\rdata: b\r\rx", [b"data: a\r\r", b"data: b\r\r"]),
        (b"a\n\r\nb\r\n\nc\r\n\rd\r\r\ne\n\rf", [b"a\n\r\n", b"b\r\n\n", b"c\r\n\r", b"d\r\r\n", b"e\n\r"]),
        (b"data: a\nid: 1\n\n", [b"data: a\nid: 1\n\n"]),
        (b"\n\n\r\n\rdata: a\n\n\n", [b"\n", b"\n", b"\r\n", b"\r", b"data: a\n\n", b"\n"]),
        (b": a\n\n", [b": a\n\n"]),
        (b"data: a\n", []),
        (b"data: a", []),
        (b"", []),
        (MARK + b"\ndata: a\n\n", [MARK + b"\n", b"data: a\n\n"]),
        (b"data: a\n" + MARK + b"\n\n", [b"data: a\n" + MARK + b"\n\n"]),
    ],
)
def test_an_event_ends_with_the_first_blank_line(
    scanner_type: type[EventScanner], stream: bytes, expected: list[bytes]
) -> None:
    scanner = scanner_type()
    assert raws(scanner.feed(stream)) == expected
    assert scanner.held_bytes == len(stream) - len(b"".join(expected))
    assert scanner.rest() == stream[len(b"".join(expected)) :]
    assert scanner.held_bytes == 0


@pytest.mark.parametrize("piece", [b"data: a\n\n", b"data: a\r\n\r\n", b"data: a\r\r\n", b"a\n\r\n", b"\n", b": a\n\n"])
def test_an_event_comes_out_with_its_last_byte(scanner_type: type[EventScanner], piece: bytes) -> None:
    scanner = scanner_type()
    assert raws(scanner.feed(piece)) == [piece]
    assert [raws(scanner.feed(piece[at : at + 1])) for at in range(len(piece))] == [[]] * (len(piece) - 1) + [[piece]]


def test_an_event_that_ends_in_cr_waits_for_the_byte_after_it(scanner_type: type[EventScanner]) -> None:
    scanner = scanner_type()
    assert scanner.feed(b"data: a\r\n\r") == []
    assert raws(scanner.feed(b"\ndata: b\r\r")) == [b"data: a\r\n\r\n"]
    assert raws(scanner.feed(b"d")) == [b"data: b\r\r"]
    assert raws(scanner.feed(b"ata: c\n\n")) == [b"data: c\n\n"]


def test_an_event_that_ends_in_cr_comes_out_when_the_stream_ends(scanner_type: type[EventScanner]) -> None:
    scanner = scanner_type()
    assert scanner.feed(b"data: [DONE]\r\r") == []
    assert raws(scanner.finish()) == [b"data: [DONE]\r\r"]
    assert (scanner.finish(), scanner.rest()) == ([], b"")


@pytest.mark.parametrize("held", [b"", b"data: a", b"data: a\n", b"data: a\r", MARK[:2]])
def test_what_has_no_blank_line_is_no_event_when_the_stream_ends(scanner_type: type[EventScanner], held: bytes) -> None:
    scanner = scanner_type()
    assert scanner.feed(held) == scanner.finish() == []
    assert scanner.rest() == held


def test_what_follows_the_rest_is_a_new_event(scanner_type: type[EventScanner]) -> None:
    scanner = scanner_type()
    scanner.feed(b"data: a\ndata: b")
    assert scanner.rest() == b"data: a\ndata: b"
    assert scanner.feed(b"\ndata: c\n\n") == [*scanner_type().feed(b"\n"), *scanner_type().feed(b"data: c\n\n")]


@pytest.mark.parametrize(
    ("raw", "data", "name", "id_"),
    [
        (b"data: a\n\n", b"a", b"", None),
        (b"data:a\r\n\r\n", b"a", b"", None),
        (b"data:  a \n\n", b" a ", b"", None),
        (b"data:\ta\n\n", b"\ta", b"", None),
        (b"data: a\rdata:b\r\r", b"a\nb", b"", None),
        (b"data: a\ndata\ndata:\ndata: \ndata: b:c\n\n", b"a\n\n\n\nb:c", b"", None),
        (b"data\n\n", b"", b"", None),
        (b"data:\n\n", b"", b"", None),
        (b"data\ndata\n\n", b"\n", b"", None),
        (b"database: a\n\n", None, b"", None),
        (b" data: a\n\n", None, b"", None),
        (b"Data: a\n\n", None, b"", None),
        (b"data : a\n\n", None, b"", None),
        (b": data: a\n\n", None, b"", None),
        (b":\n\n", None, b"", None),
        (b"\n", None, b"", None),
        (b"retry: 3\n\n", None, b"", None),
        (b"event: data\n\n", None, b"data", None),
        (b"event:error\ndata: a\n\n", b"a", b"error", None),
        (b"event: a\nevent:  b\ndata: c\n\n", b"c", b" b", None),
        (b"event: a\nevent\n\n", None, b"", None),
        (b"id: 1\ndata: a\nretry: 3\n\n", b"a", b"", b"1"),
        (b"id: 1\nid:2:3\n\n", None, b"", b"2:3"),
        (b"id\n\n", None, b"", b""),
        (b"id: 1\nid:\n\n", None, b"", b""),
        (b"id: 1\nid: 2\x003\ndata: a\n\n", b"a", b"", b"1"),
        (b"id: \x00\n\n", None, b"", None),
        (b"data: a\nid: 1\nevent: b\ndata: c\n\n", b"a\nc", b"b", b"1"),
        (b"data: a\x00\xff\n\n", b"a\x00\xff", b"", None),
        (MARK + b"data: a\n\n", b"a", b"", None),
        (MARK + MARK + b"data: a\n\n", None, b"", None),
        (MARK + b"data: a\ndata: b\n\n", b"a\nb", b"", None),
    ],
)
def test_fields_of_an_event(
    scanner_type: type[EventScanner], raw: bytes, data: bytes | None, name: bytes, id_: bytes | None
) -> None:
    event = read(scanner_type, raw)
    assert (event.data, event.name, event.id, event.is_overflow) == (data, name, id_, False)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_byte_order_mark_is_left_out_at_the_start_of_the_stream_only(
    scanner_type: type[EventScanner], size: int
) -> None:
    stream = (MARK + b"data: a\n\n") * 2
    scanner = scanner_type()
    events = [event for at in range(0, len(stream), size) for event in scanner.feed(stream[at : at + size])]
    assert [(event.raw, event.data) for event in events] == [
        (MARK + b"data: a\n\n", b"a"),
        (MARK + b"data: a\n\n", None),
    ]


def test_an_event_is_a_value_and_cannot_be_changed(event_type: type[Event], scanner_type: type[EventScanner]) -> None:
    event = read(scanner_type, b"event: b\nid: 1\ndata: a\n\n")
    assert event == event_type(b"event: b\nid: 1\ndata: a\n\n", b"a", b"b", b"1")
    assert hash(event) == hash(event_type(event.raw, b"a", b"b", b"1", False))
    assert event_type(b"a") == event_type(raw=b"a", data=None, name=b"", id=None, is_overflow=False)
    for other in (event_type(b""), event_type(event.raw, b"a", b"b", b"2"), event_type(event.raw, None, b"b", b"1"), 1):
        assert event != other
    assert repr(event) == (
        "Event(raw=b'event: b\\nid: 1\\ndata: a\\n\\n', data=b'a', name=b'b', id=b'1', is_overflow=False)"
    )
    for name in ("raw", "data", "name", "id", "is_overflow"):
        with pytest.raises(AttributeError):
            setattr(event, name, b"")


def test_an_event_larger_than_the_limit_comes_in_marked_parts(scanner_type: type[EventScanner]) -> None:
    scanner = scanner_type(limit_bytes=10)
    assert raws(scanner.feed(b"data: 1\n\ndata: 1234")) == [b"data: 1\n\n"]
    assert not scanner.is_overflowing and scanner.held_bytes == 10
    (part,) = scanner.feed(b"5")
    assert (part.raw, part.data, part.is_overflow) == (b"data: 1234", None, True)
    assert scanner.is_overflowing and scanner.held_bytes == 1
    # A line that looks like data inside it is not read, nor is an end found where the parts meet.
    events = scanner.feed(b"\ndata: no\n\ndata: 2\n\n")
    assert [(event.raw, event.data, event.is_overflow) for event in events] == [
        (b"5\ndata: no", None, True),
        (b"\n\n", None, True),
        (b"data: 2\n\n", b"2", False),
    ]
    assert scanner.is_overflowing


def test_an_event_of_just_the_limit_is_whole(scanner_type: type[EventScanner]) -> None:
    scanner = scanner_type(limit_bytes=9)
    assert scanner.feed(b"data: 1\n\ndata: 12\n\n")[0].data == b"1"
    assert scanner.is_overflowing
    scanner = scanner_type(limit_bytes=9)
    assert [event.data for event in scanner.feed(b"data: 1\r\r") + scanner.feed(b"data: 2\n\n")] == [b"1", b"2"]
    assert not scanner.is_overflowing


def test_the_rest_of_a_large_event_may_be_taken(scanner_type: type[EventScanner]) -> None:
    scanner = scanner_type(limit_bytes=4)
    assert raws(scanner.feed(b"data: ")) == [b"data"]
    assert scanner.rest() == b": "
    assert [event.is_overflow for event in scanner.feed(b":\n\n")] == [False]


@pytest.mark.parametrize("limit_bytes", [2, 0, -1])
def test_a_limit_that_holds_no_byte_order_mark_is_refused(scanner_type: type[EventScanner], limit_bytes: int) -> None:
    with pytest.raises(ValueError, match=f"expected limit_bytes of at least 3, got {limit_bytes}"):
        scanner_type(limit_bytes)
    assert scanner_type(3).feed(MARK + b"\n")[0].is_overflow


def test_the_limit_is_one_mebibyte_where_none_is_given(scanner_type: type[EventScanner]) -> None:
    scanner = scanner_type()
    assert scanner.feed(b"x" * (1 << 20)) == []
    assert [len(event.raw) for event in scanner.feed(b"x")] == [1 << 20]


PIECES: dict[str, Callable[[int], list[bytes]]] = {
    "one event in pieces of a byte": lambda size: [b"x"] * size,
    "one event of lines in pieces of a byte": lambda size: [b"x", b"\r", b"\n", b"\r"] * (size // 4),
    "one event of data lines": lambda size: [b"data\n" * (size // 5), b"\n"],
    "many events in one piece": lambda size: [b":\n\n" * (size // 3)],
    "one piece of lines that end in CR": lambda size: [b":\r" * (size // 2) + b"\r", b"\n"],
    "one event that overflows": lambda size: [b":" + b"x\n" * size + b"\n"],
}


@pytest.mark.parametrize("shape", PIECES)
def test_the_cost_is_linear(scanner_type: type[EventScanner], shape: str) -> None:
    def cost(size: int) -> float:
        pieces = PIECES[shape](size)
        scanner = scanner_type(1 << 17)
        gc.disable()  # many objects would have it look through those of all tests
        try:
            began = time.process_time()
            for piece in pieces:
                for event in scanner.feed(piece):
                    assert event.data != b"x"
            return time.process_time() - began
        finally:
            gc.enable()

    small = min(cost(1 << 12) for _ in range(5))
    large = min(cost(1 << 17) for _ in range(5))
    assert large <= 100 * small + 0.001  # 32 times the size; with the square of it, 1024 times


def test_knows_whether_part_of_an_event_was_given_out(scanner_type: type[EventScanner]) -> None:
    scanner, told = scanner_type(8), []
    for piece in (b"data: 1\n\n", b"data: ", b"234", b"567890", b"\n", b"\n", b"data: 1\n\n", b"data: 2345", b"6"):
        scanner.feed(piece)
        told.append(scanner.is_inside)
    assert told == [False, False, True, True, True, False, False, True, True]
    scanner.rest()
    assert not scanner.is_inside
