"""A chunked body: as the twin for any split, counted as decoded, and as h11 and aiohttp where it is taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headgate.ext import implementation
from headgate.ext.http1 import ChunkError

from ...property.ext.message_peers import assert_peers_read_chunked
from ...property.ext.message_reader import read_body
from ...property.ext.message_traps import chunked_bodies_of_all_kinds
from ...property.ext.message_writer import PIECES, MessageWriter
from ..draws import Draws, bytewise, halves, strewn
from .http1_request import without_words

COMPILED, TWIN = implementation("http1", "compiled"), implementation("http1", "twin")
MAX_BYTES = 2048
TOKENS = (*PIECES, b"5\r\nhello\r\n", b'1;a="b"\r\nx\r\n', b"0\r\nX: 1\r\n\r\n", b"ffffffffffffffff", b";a=b")


def check(data: bytes) -> None:
    """Raises: AssertionError."""
    pieces = Draws(data).pieces()
    body = b"".join(pieces)
    found = read_body(COMPILED.ChunkScanner(), pieces)
    assert found == read_body(TWIN.ChunkScanner(), pieces)
    assert read_body(COMPILED.ChunkScanner(), strewn(body)) == read_body(TWIN.ChunkScanner(), strewn(body))
    whole = without_words(found)
    for cut in ([body], bytewise(body), *halves(body)):
        assert without_words(read_body(COMPILED.ChunkScanner(), cut)) == whole, cut
    assert counted(pieces) == (-1 if found.end == "chunks" else len(body) - len(found.rest))
    if found.end == "whole":
        assert_peers_read_chunked(body[: len(body) - len(found.rest)], found.body)


def counted(pieces: Sequence[bytes]) -> int:
    """Return how many bytes belong to the body, -1 where it is refused."""
    scanner, size = COMPILED.ChunkScanner(), 0
    try:
        for piece in pieces:
            size += scanner.feed(memoryview(piece))
    except ChunkError:
        return -1
    return size


def seeds() -> Iterator[bytes]:
    """Yield inputs to begin with."""
    yield from (b"\0" + body for body in chunked_bodies_of_all_kinds())
    yield from (b"\x02\x05\x09" + MessageWriter(seed).chunked() for seed in range(200))
