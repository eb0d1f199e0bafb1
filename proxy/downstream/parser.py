"""What aiohttp's parser is told: where the body ends, and limits that it never reaches."""

from __future__ import annotations

from typing import TypedDict

from ...ext.http1 import MAX_TRAILER_BYTES, HeadLimits, RequestHead


class ParserLimits(TypedDict):
    """Limits under aiohttp's names."""

    max_line_size: int
    max_field_size: int
    max_headers: int


def parser_limits(limits: HeadLimits) -> ParserLimits:
    """Return limits wider than the guard's own."""
    size = 2 * limits.max_head_bytes
    # Trailer fields count, too; the guard bounds their bytes, and the shortest takes four.
    return {"max_line_size": size, "max_field_size": size, "max_headers": MAX_TRAILER_BYTES // 4 + limits.max_fields}


def parser_head(head: RequestHead) -> bytes:
    """Return a head that says where the body ends. The client's own has been read already."""
    if head.is_chunked:
        return b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    if head.content_length:
        return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % head.content_length
    return b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
