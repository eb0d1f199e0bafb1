"""A client's bytes on the lane: what it takes the reference path reads alike, and all else it hands over as it came."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import get_args

from headgate.ext import implementation
from headgate.ext.http1 import HeadLimits, RequestHead
from headgate.ext.lane import Facts

from ...property.ext.message_reader import read_request
from ...property.ext.message_traps import requests_of_all_kinds
from ...property.ext.message_writer import MessageWriter
from ...property.lane.lane_door import Door, Served, When, new_facts
from ..draws import Draws, bytewise, halves
from .http1_request import LIMITS
from .http1_request import TOKENS as TOKENS_OF_REQUESTS

COMPILED, REFERENCE = implementation("lane", "compiled"), implementation("http1", "twin")
WAYS: tuple[When, ...] = get_args(When)
MAX_BYTES = 1024
TOKENS = (
    *TOKENS_OF_REQUESTS,
    *(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
        b"X-Headgate-Priority: low\r\n",
        b"X-Request-Id: a\r\n",
    ),
    *(b"Traceparent: 00-", b"Via: 1.1 a\r\n", b"Content-Length: 65537\r\n"),
)


def check(data: bytes) -> None:
    """The first byte chooses the limits and when requests are answered, those behind it the cuts.

    Raises: AssertionError.
    """
    draws = Draws(data)
    choice = draws.number()
    limits, way = LIMITS[choice % 3], WAYS[choice // 3 % 3]
    pieces = draws.pieces()
    message = b"".join(pieces)
    door = fed([message], limits, way)
    assert_reads_alike(door, message, limits)
    for cut in (pieces, bytewise(message), *halves(message)):
        assert result(fed(cut, limits, way)) == result(door), cut


def fed(pieces: list[bytes], limits: HeadLimits, way: When) -> Door:
    """Give a new connection these bytes."""
    door = Door(facts_of(limits), way, COMPILED.Downstream)
    door.feed(pieces)
    return door


@cache
def facts_of(limits: HeadLimits) -> Facts:
    """Return what a listener with these limits knows of every request."""
    return new_facts(limits)


def assert_reads_alike(door: Door, message: bytes, limits: HeadLimits) -> None:
    """See that the reference path reads the same requests, and waits for more where the lane does."""
    rest, end = message, "whole"
    for served in door.served:
        assert end == "whole"
        reading = read_request(REFERENCE, [rest], limits)
        end = reading.end
        assert isinstance(reading.head, RequestHead), reading
        assert_is_head(served, reading.head)
        assert end == ("open" if served.body is None else "whole"), reading
        if served.body is not None:
            assert served.body == reading.body
            rest = rest[served.arrived.size + served.arrived.length :]
            assert rest == reading.rest
    if door.handed_over is not None:
        assert door.handed_over == rest
    elif end == "whole":
        assert not rest or read_request(REFERENCE, [rest], limits).end == "open"


def assert_is_head(served: Served, head: RequestHead) -> None:
    """See that the lane took a head as the reference path reads it."""
    arrived, request = served.arrived, served.arrived.exchange.request
    assert (request.method.encode(), request.target.encode("latin-1")) == (head.method, head.target)
    assert (request.host, request.version) == (head.host, head.version)
    assert tuple(request.fields.raw) == head.fields
    path, _, query = request.target.partition("?")
    assert (request.path, request.query) == (path, query)
    assert (arrived.length, arrived.is_kept) == (head.content_length or 0, head.is_keep_alive)
    assert not head.is_chunked and not head.expects_continue
    told = [joined(head, name) for name in (b"x-request-id", b"traceparent")]
    assert [arrived.told_id, arrived.told_trace] == told
    assert arrived.has_wishes is any(name.lower().startswith(b"x-headgate-") for name, _ in head.fields)
    assert arrived.is_telling is (arrived.has_wishes or told != [None, None])


def joined(head: RequestHead, name: bytes) -> str | None:
    """Return all values of a field as one; None where there is none."""
    values = [value.decode("latin-1") for key, value in head.fields if key.lower() == name]
    return ", ".join(values) if values else None


def result(door: Door) -> object:
    """Return what came of some bytes, to be the same for any cuts."""
    taken = [(served.arrived.size, served.arrived.length, served.body) for served in door.served]
    return taken, door.handed_over


def seeds() -> Iterator[bytes]:
    """Yield inputs to begin with."""
    yield from (b"\0\0" + message for message in requests_of_all_kinds())
    for seed in range(300):
        writer = MessageWriter(seed)
        cuts = bytes(writer.random.randrange(256) for _ in range(seed % 4))
        requests = b"".join(writer.request() for _ in range(1 + seed % 3))
        yield bytes((seed % 9, len(cuts))) + cuts + requests
