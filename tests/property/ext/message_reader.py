"""Reads one message out of pieces with the parts of `ext.http1`, and tells all that came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from headgate.ext.http1 import ChunkError, HeadError, HeadLimits, RequestHead, ResponseHead

LIMITS = HeadLimits()


@dataclass(frozen=True)
class Reading:
    """What came of it: `whole`, `open` (there was no end yet), or why it was refused, and with which words."""

    end: str
    detail: str = ""
    head: RequestHead | ResponseHead | None = None
    body: bytes = b""
    rest: bytes = b""


def read_request(http1: ModuleType, pieces: Sequence[bytes], limits: HeadLimits = LIMITS) -> Reading:
    """Read the first request of what the pieces make up."""
    raw, rest = _raw_head(buffer := http1.HeadBuffer(limits), pieces)
    if isinstance(raw, Reading):
        return raw
    assert not buffer.is_empty
    try:
        head = http1.parse_request_head(raw, limits)
    except HeadError as error:
        return Reading(error.kind, error.detail)
    scanner = http1.ChunkScanner() if head.is_chunked else http1.LengthScanner(head.content_length or 0)
    return read_body(scanner, rest, head)


def read_response(
    http1: ModuleType, pieces: Sequence[bytes], method: bytes = b"GET", limits: HeadLimits = LIMITS
) -> Reading:
    """Read the first answer of what the pieces make up, an informational one too."""
    raw, rest = _raw_head(http1.HeadBuffer(limits, is_response=True), pieces)
    if isinstance(raw, Reading):
        return raw
    try:
        head = http1.parse_response_head(raw, limits, request_method=method)
    except HeadError as error:
        return Reading(error.kind, error.detail)
    if head.framing == "close":
        return Reading("open", "", head, b"".join(rest))
    length = head.content_length if head.framing == "length" else 0
    return read_body(http1.ChunkScanner() if head.framing == "chunked" else http1.LengthScanner(length), rest, head)


def _raw_head(buffer: Any, pieces: Sequence[bytes]) -> tuple[bytes | Reading, list[bytes]]:
    raw = None
    try:
        for index, piece in enumerate(pieces):
            if (raw := buffer.feed(piece)) is not None:
                return raw, [buffer.rest, *pieces[index + 1 :]]
    except HeadError as error:
        return Reading(error.kind, error.detail), []
    return Reading("open", "empty" if buffer.is_empty else ""), []


def read_body(scanner: Any, pieces: Sequence[bytes], head: RequestHead | ResponseHead | None = None) -> Reading:
    """Read a body by a scanner of either kind."""
    body, rest = b"", b""
    for piece in pieces:
        try:
            data, size = scanner.decode(piece)
        except ChunkError as error:
            return Reading("chunks", str(error))
        assert size == len(piece) or scanner.is_complete
        body += data
        rest += piece[size:]
    return Reading("whole" if scanner.is_complete else "open", "", head, body, rest)
