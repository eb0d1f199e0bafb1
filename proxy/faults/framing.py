"""How a body's end is told, and the head that says so."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from .answer import Answer

_NO_BODY_STATUSES = (204, 304)
_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the request and the settings say about how it is answered. Times are in seconds."""

    is_http_1_0: bool = False
    is_keep_alive: bool = True
    is_head_only: bool = False
    delay_s: float = 0.0
    pace_s: float = 0.0
    hold_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Framing:
    """Tells a body's end by a length, by chunks, by closing, or (`none`) has none. `length`: the one declared."""

    kind: Literal["length", "chunked", "close", "none"]
    length: int = 0

    @property
    def field(self) -> bytes:
        """The line of the head."""
        if self.kind == "length":
            return b"Content-Length: %d\r\n" % self.length
        return b"Transfer-Encoding: chunked\r\n" if self.kind == "chunked" else b""

    @property
    def after(self) -> bytes:
        """What follows the data of a frame."""
        return b"\r\n" if self.kind == "chunked" else b""

    @property
    def end(self) -> bytes:
        """What follows the last frame."""
        return b"0\r\n\r\n" if self.kind == "chunked" else b""

    def frame(self, data: bytes) -> bytes:
        """Frame a piece of the body, which is not empty."""
        return b"%x\r\n%b\r\n" % (len(data), data) if self.kind == "chunked" else data


def framing_of(answer: Answer, delivery: Delivery) -> Framing:
    """Return the framing that a well-behaved server chooses."""
    if answer.status in _NO_BODY_STATUSES:
        return Framing("none")
    return chunked(delivery) if answer.is_stream else Framing("length", body_length(answer))


def chunked(delivery: Delivery) -> Framing:
    """Return the framing of a body whose length is not known: HTTP/1.0 has no chunks."""
    return Framing("close") if delivery.is_http_1_0 else Framing("chunked")


def body_length(answer: Answer) -> int:
    """Return the size of the body in bytes. Cost: linear in it."""
    return sum(len(piece.data) for piece in answer.pieces())


def head_bytes(answer: Answer, framing: Framing, delivery: Delivery) -> bytes:
    """Return the head."""
    lines = [b"HTTP/1.1 %d %b\r\n" % (answer.status, _PHRASES.get(answer.status, b"Unnamed"))]
    lines += [b"%b: %b\r\n" % pair for pair in ((b"Server", b"fault-upstream"), *answer.fields)]
    is_last = not delivery.is_keep_alive or framing.kind == "close"
    return b"".join([*lines, framing.field, b"Connection: close\r\n" if is_last else b"", b"\r\n"])
