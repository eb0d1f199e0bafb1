"""An answer, head and body: as the twin for any split, and as h11 and aiohttp where it is taken."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from headgate.ext import implementation
from headgate.ext.http1 import HeadError, HeadLimits, ResponseHead

from ...property.ext.message_peers import assert_peers_read_response
from ...property.ext.message_reader import read_response
from ...property.ext.message_traps import responses_of_all_kinds
from ...property.ext.message_writer import PIECES, MessageWriter
from ..draws import Draws, bytewise, halves, strewn
from .http1_request import LIMITS, without_words

COMPILED, TWIN = implementation("http1", "compiled"), implementation("http1", "twin")
METHODS = (b"GET", b"HEAD", b"POST")
MAX_BYTES = 1024
TOKENS = (
    *PIECES,
    *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 304 Not\r\n", b"HTTP/1.1 204\r\n", b"HTTP/1.1 103 E\r\n", b"5\r\nhello\r\n"),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\n",
        b"Connection: keep-alive\r\n",
        b"Connection: close\r\n",
    ),
)


def check(data: bytes) -> None:
    """The first byte chooses limits and the request's method. Raises: AssertionError."""
    draws = Draws(data)
    choice = draws.number()
    limits, method = LIMITS[choice % 3], METHODS[choice // 3 % 3]
    message = draws.rest()
    found = read_response(COMPILED, [message], method, limits)
    assert found == read_response(TWIN, [message], method, limits)
    pieces = strewn(message)
    assert read_response(COMPILED, pieces, method, limits) == read_response(TWIN, pieces, method, limits)
    whole = without_words(found)
    for pieces in (bytewise(message), *halves(message)):
        assert without_words(read_response(COMPILED, pieces, method, limits)) == whole, pieces
    assert parsed(COMPILED, message, limits, method) == parsed(TWIN, message, limits, method)
    is_to_its_end = isinstance(found.head, ResponseHead) and found.head.framing == "close"
    if found.end == "whole" or is_to_its_end:
        assert_peers_read_response(message, found, method)


def parsed(module: ModuleType, raw: bytes, limits: HeadLimits, method: bytes) -> object:
    """Read a head that no buffer has seen."""
    try:
        return module.parse_response_head(raw, limits, request_method=method)
    except HeadError as error:
        return error.kind, error.detail


def seeds() -> Iterator[bytes]:
    """Yield inputs to begin with."""
    yield from (b"\0" + message for message in responses_of_all_kinds())
    yield from (bytes((seed % 9,)) + MessageWriter(seed).response() for seed in range(300))
