"""Reads the answer of one branch, within bounds."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from ...proxy.errors import GatewayError
from ...proxy.exchange.message import Response
from ...proxy.relay import close_body
from .options import AggregateOptions

_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 47}


class Allowance:
    """How many bytes the branches of one exchange may still keep, together and each."""

    __slots__ = ("_left_bytes", "max_branch_bytes")

    def __init__(self, options: AggregateOptions) -> None:
        self.max_branch_bytes = options.max_branch_bytes
        self._left_bytes = options.max_total_bytes

    def take(self, kept_bytes: int, more_bytes: int) -> None:
        """Let a branch that keeps `kept_bytes` keep more. Raises: GatewayError `answer_too_large`."""
        if kept_bytes + more_bytes > self.max_branch_bytes:
            raise GatewayError("answer_too_large", f"expected a branch of at most {self.max_branch_bytes} bytes")
        if more_bytes > self._left_bytes:
            raise GatewayError("answer_too_large", "expected branches of at most `max_total_bytes` together")
        self._left_bytes -= more_bytes


async def read(answer: Response, allowance: Allowance) -> bytes:
    """Return the whole body, out of its content coding where that is gzip or deflate; the answer is closed.

    Raises: GatewayError, where it breaks off, is larger than allowed, or is not in the coding that it names.
    """
    data = answer.body if isinstance(answer.body, bytes) else await _collected(answer.body, allowance)
    coding = (answer.fields.get("content-encoding") or "").strip().lower()
    return _decoded(data, coding, answer, allowance) if coding in _WBITS and data else data


async def _collected(body: AsyncIterator[bytes], allowance: Allowance) -> bytes:
    kept = bytearray()
    try:
        async for piece in body:
            allowance.take(len(kept), len(piece))
            kept += piece
    finally:
        await close_body(body)
    return bytes(kept)


def _decoded(data: bytes, coding: str, answer: Response, allowance: Allowance) -> bytes:
    decoder = zlib.decompressobj(_WBITS[coding])
    try:
        body = decoder.decompress(data, allowance.max_branch_bytes + 1)
    except zlib.error as error:
        raise GatewayError("malformed_answer", f"expected a body in {coding}: {error}") from error
    if len(body) > len(data):
        allowance.take(len(data), len(body) - len(data))
    if not decoder.eof:
        raise GatewayError("malformed_answer", f"expected a whole body in {coding}")
    for name in ("content-encoding", "etag", "content-md5", "digest"):  # they speak of the coded body
        answer.fields.remove(name)
    return body
