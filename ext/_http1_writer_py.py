"""Heads of requests, written in pure Python: the specification of the compiled writer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ._http1_facts import HeadError, Pair, WrittenHead
from ._http1_lines_py import TOKEN, list_members, parse_content_length

_TARGET = re.compile(rb"[!-~]+")
_VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")


def write_request_head(method: bytes, target: bytes, fields: Sequence[Pair]) -> WrittenHead:
    """Write a request head of HTTP/1.1, Host first (RFC 9112 §3.2), and all else in its order.

    `fields` hold exactly one Host and the framing: one Content-Length, `Transfer-Encoding: chunked`, or neither for no
    body. Raises: ValueError for what would not be read as it is meant; no value stands in it. Cost: linear in the head.
    """
    if not method or method.translate(None, TOKEN):
        raise ValueError(f"expected a method of token characters, got {method[:40]!r}")
    if not _TARGET.fullmatch(target):
        raise ValueError("expected a target of visible ASCII")
    lines: list[bytes] = []
    values: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        if not name or name.translate(None, TOKEN):
            raise ValueError(f"expected a field name of token characters, got {name[:40]!r}")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"expected a value of {name[:40]!r} without control characters or white space around it")
        lower = name.lower()
        values.setdefault(lower, []).append(value)
        lines.insert(0 if lower == b"host" else len(lines), b"%b: %b\r\n" % (name, value))
    if len(values.get(b"host", ())) != 1:
        raise ValueError(f"expected exactly one Host, got {len(values.get(b'host', ()))}")
    return WrittenHead(
        b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, b"".join(lines)),
        _length(values.get(b"content-length", []), values.get(b"transfer-encoding")),
        b"close" not in list_members(values.get(b"connection", [])),
        list_members(values.get(b"upgrade", [])),
    )


def _length(lengths: list[bytes], codings: list[bytes] | None) -> int | None:
    try:
        length = parse_content_length(lengths, "")
    except HeadError as error:
        raise ValueError(error.detail) from None
    if codings is None:
        return length or 0
    if length is not None:
        raise ValueError("expected Content-Length or Transfer-Encoding, got both")
    if len(codings) != 1 or codings[0].lower() != b"chunked":
        raise ValueError("expected no transfer coding but one, chunked")
    return None
