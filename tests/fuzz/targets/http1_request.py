"""A request, head and body: as the twin for any split, and as h11 and aiohttp where it is taken."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from headgate.ext import implementation
from headgate.ext.http1 import HeadError, HeadLimits

from ...property.ext.message_peers import assert_peers_read_request
from ...property.ext.message_reader import Reading, read_request
from ...property.ext.message_traps import requests_of_all_kinds
from ...property.ext.message_writer import PIECES, MessageWriter
from ..draws import Draws, bytewise, halves, strewn

COMPILED, TWIN = implementation("http1", "compiled"), implementation("http1", "twin")
LIMITS = (HeadLimits(), HeadLimits(40, 120, 5), HeadLimits(8192, 65536, 1000))
MAX_BYTES = 1024
TOKENS = (
    *PIECES,
    *(
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\n",
        b"Expect: 100-continue",
    ),
    *(
        b"Connection: keep-alive\r\n",
        b"Upgrade: x\r\n",
        b"http://a/",
        b"HTTP/1.0",
        b"5\r\nhello\r\n",
        b"%2F",
        b"[::1]:80",
    ),
)


def check(data: bytes) -> None:
    """The first byte chooses the limits. Raises: AssertionError."""
    draws = Draws(data)
    limits = draws.pick(LIMITS)
    message = draws.rest()
    found = read_request(COMPILED, [message], limits)
    assert found == read_request(TWIN, [message], limits)
    pieces = strewn(message)
    assert read_request(COMPILED, pieces, limits) == read_request(TWIN, pieces, limits)
    whole = without_words(found)
    for pieces in (bytewise(message), *halves(message)):
        assert without_words(read_request(COMPILED, pieces, limits)) == whole, pieces
    assert parsed(COMPILED, message, limits) == parsed(TWIN, message, limits)
    if found.end == "whole":
        assert_peers_read_request(message, found)


def without_words(reading: Reading) -> Reading:
    """What is wrong with chunks is told by what there is of the line."""
    return Reading("chunks") if reading.end == "chunks" else reading


def parsed(module: ModuleType, raw: bytes, limits: HeadLimits) -> object:
    """Read a head that no buffer has seen."""
    try:
        return module.parse_request_head(raw, limits)
    except HeadError as error:
        return error.kind, error.detail


def seeds() -> Iterator[bytes]:
    """Yield inputs to begin with."""
    yield from (b"\0" + message for message in requests_of_all_kinds())
    yield from (bytes((seed % 3,)) + MessageWriter(seed).request() for seed in range(300))
