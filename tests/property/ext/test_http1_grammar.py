"""Messages by the grammar of HTTP/1.1 are read as meant, traps are refused, and others agree on what lies between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.ext import implementation

from .message_grammar import REQUESTS, RESPONSES, Message, chunked, requests, responses, splits
from .message_peers import assert_peers_read_chunked, assert_peers_read_request, assert_peers_read_response
from .message_reader import Reading, read_body, read_request, read_response
from .message_traps import (
    CHUNKS,
    CODINGS,
    LENGTHS,
    LINES,
    OF_REQUESTS,
    OF_RESPONSES,
    REQUEST_TRAPS,
    RESPONSE_TRAPS,
    Trap,
)
from .message_writer import PIECES

T = TypeVar("T")
TWIN = implementation("http1", "twin")
METHODS = st.sampled_from((b"GET", b"GET", b"HEAD"))
TAKEN = ("whole", "open")


@settings(max_examples=50)
@given(message=requests(), behind=st.sampled_from((b"", b"GET / HT", b"\r\n\r\n")))
def test_a_request_means_what_was_written_wherever_it_is_split(
    http1: ModuleType, message: Message, behind: bytes
) -> None:
    meant = message.as_request()
    found = read_request(http1, [message.raw + behind])
    assert found == Reading(meant.end, "", meant.head, meant.body, behind)
    for pieces in splits(message.raw):
        assert read_request(http1, pieces) == meant, pieces
    assert_peers_read_request(message.raw + behind, found)


@settings(max_examples=50)
@given(message=responses(), method=METHODS)
def test_an_answer_means_what_was_written_wherever_it_is_split(
    http1: ModuleType, message: Message, method: bytes
) -> None:
    meant = message.as_response(method)
    for pieces in splits(message.raw):
        assert read_response(http1, pieces, method) == meant, pieces
    assert_peers_read_response(message.raw, meant, method)


@settings(max_examples=50)
@given(drawn=chunked(), behind=st.sampled_from((b"", b"GET", b"0\r\n\r\n")))
def test_a_chunked_body_means_what_was_written_wherever_it_is_split(
    http1: ModuleType, drawn: tuple[bytes, bytes], behind: bytes
) -> None:
    sent, meant = drawn
    for pieces in splits(sent + behind):
        assert read_body(http1.ChunkScanner(), pieces) == Reading("whole", "", None, meant, behind), pieces
    assert_peers_read_chunked(sent, meant)


@pytest.mark.parametrize("message", [*REQUESTS, *RESPONSES], ids=lambda message: str(message.line))
def test_what_is_spoilt_was_good(http1: ModuleType, message: Message) -> None:
    if message in REQUESTS:
        assert read_request(http1, [message.raw]) == message.as_request()
    else:
        assert read_response(http1, [message.raw]) == message.as_response(b"GET")


@pytest.mark.parametrize("traps", [LENGTHS, CODINGS, LINES, CHUNKS, REQUEST_TRAPS], ids=lambda traps: next(iter(traps)))
def test_no_request_with_a_trap_is_taken(http1: ModuleType, traps: dict[str, Trap]) -> None:
    for name, trap in traps.items():
        assert_refused(read_request, http1, trap(REQUESTS[1]), name)


@pytest.mark.parametrize(
    "traps", [LENGTHS, CODINGS, LINES, CHUNKS, RESPONSE_TRAPS], ids=lambda traps: next(iter(traps))
)
def test_no_answer_with_a_trap_is_taken(http1: ModuleType, traps: dict[str, Trap]) -> None:
    for name, trap in traps.items():
        assert_refused(read_response, http1, trap(RESPONSES[0]), name)


@settings(max_examples=60)
@given(message=requests(), trap=st.sampled_from([*OF_REQUESTS.values()]))
def test_no_request_with_a_trap_is_taken_whatever_else_is_in_it(
    http1: ModuleType, message: Message, trap: Trap
) -> None:
    """A trap that changes what a message has not is none in it."""
    data = trap(message)
    if data != message.raw:
        found = read_request(http1, [data])
        assert found.end not in TAKEN, data
        assert found == read_request(TWIN, [data])


def assert_refused(
    read: Callable[[ModuleType, list[bytes]], Reading], http1: ModuleType, data: bytes, trap: str
) -> None:
    """See that `data` is refused, whole, in pieces, and cut in two anywhere (in some places, where it is long)."""
    whole = read(http1, [data])
    assert whole.end not in TAKEN, (trap, data)
    assert whole == read(TWIN, [data]), trap
    for pieces in some(splits(data) if len(data) < 1000 else long_splits(data), 100):
        assert read(http1, pieces).end == whole.end, (trap, pieces)


def long_splits(data: bytes) -> Iterator[list[bytes]]:
    """Yield what is too long for all of its splits in small pieces, and cut in two in some places."""
    yield [data[at : at + 64] for at in range(0, len(data), 64)]
    yield from ([data[:at], data[at:]] for at in range(1, len(data), len(data) // 40))


@st.composite
def spoilt(draw: st.DrawFn, messages: st.SearchStrategy[Message], traps: dict[str, Trap]) -> bytes:
    """Draw a message with a trap, or none, and a few bytes put in, taken out or doubled."""
    message = draw(messages)
    trap = draw(st.none() | st.sampled_from([*traps.values()]))
    data = message.raw if trap is None else trap(message)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, min(len(data), 600)))
        piece = draw(st.sampled_from((*PIECES, b"", data[at : at + 20])))
        data = data[:at] + piece + data[at + draw(st.integers(0, 2)) :]
    return data


@settings(max_examples=80)
@given(data=spoilt(requests(), OF_REQUESTS))
def test_a_spoilt_request_is_read_as_the_twin_and_if_at_all_as_others_read_it(http1: ModuleType, data: bytes) -> None:
    found = read_request(http1, [data])
    assert found == read_request(TWIN, [data])
    for pieces in some(splits(data[:2000]), 60):
        assert read_request(http1, pieces) == read_request(TWIN, pieces), pieces
    if found.end == "whole":
        assert_peers_read_request(data, found)


@settings(max_examples=80)
@given(data=spoilt(responses(), OF_RESPONSES), method=METHODS)
def test_a_spoilt_answer_is_read_as_the_twin_and_if_at_all_as_others_read_it(
    http1: ModuleType, data: bytes, method: bytes
) -> None:
    found = read_response(http1, [data], method)
    assert found == read_response(TWIN, [data], method)
    for pieces in some(splits(data[:2000]), 60):
        assert read_response(http1, pieces, method) == read_response(TWIN, pieces, method), pieces
    if found.end == "whole":
        assert_peers_read_response(data, found, method)


def some(several: Iterable[T], most: int) -> list[T]:
    """Return the first, and at most `most` of the others."""
    first, *others = several
    return [first, *others[:: len(others) // most + 1]]


def test_the_traps_are_as_many_as_they_seem() -> None:
    """No two of one table are one, and each changes the message."""
    for traps, message in ((OF_REQUESTS, REQUESTS[1]), (OF_RESPONSES, RESPONSES[0])):
        spoilt_ones = {trap(message) for trap in traps.values()}
        assert len(spoilt_ones) == len(traps)
        assert message.raw not in spoilt_ones
    assert len(CHUNKS) > 40
