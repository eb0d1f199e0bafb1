"""How an answer is sent, step by step: the faults of the wire.

A plan is an iterator of steps, played one after the other. It is lazy: one that drips for ever holds nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from .answer import Answer, Piece, split, up_to
from .framing import Delivery, Framing, body_length, chunked, framing_of, head_bytes
from .spec import Spec

How = Literal["reset", "close"]

_SLICE_S = 0.05  # between the slices of a slow body


@dataclass(frozen=True, slots=True)
class Send:
    """Send bytes; so many are the body's own, not its framing, and so many tokens end in them."""

    data: bytes
    num_body_bytes: int = 0
    num_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Wait:
    """Send nothing for a time."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Send nothing until the peer leaves."""


@dataclass(frozen=True, slots=True)
class AwaitNext:
    """The answer is whole: wait for the first bytes of the next request."""


@dataclass(frozen=True, slots=True)
class End:
    """End the connection; `is_whole`: after a whole answer."""

    how: How
    is_whole: bool = False


Step = Send | Wait | Hold | AwaitNext | End


def steps(answer: Answer, spec: Spec | None, delivery: Delivery) -> Iterator[Step]:
    """Return the steps that send `answer` as `spec` says."""
    spec = spec or Spec("well")
    framing = _framing(answer, spec, delivery)
    if delivery.is_head_only:
        answer = dataclasses.replace(answer, pieces=lambda: iter(()))
    return _PLANS.get(spec.kind, _well)(_Sending(answer, spec, delivery, framing))


def _framing(answer: Answer, spec: Spec, delivery: Delivery) -> Framing:
    if spec.kind == "short_body":
        return Framing("length", body_length(answer) + spec.count)
    if spec.kind == "bad_chunk" or (spec.kind == "drip" and spec.key("end") == "never"):
        return chunked(delivery)
    return framing_of(answer, delivery)


@dataclass(frozen=True, slots=True)
class _Sending:
    """Parts of a plan."""

    answer: Answer
    spec: Spec
    delivery: Delivery
    framing: Framing

    def head(self) -> Iterator[Step]:
        """Send the head; in front of a whole answer wait as long as its tokens take."""
        if not self.answer.is_stream:
            num_tokens = sum(piece.part == "token" for piece in self.answer.pieces())
            if num_tokens and (seconds := self.delivery.delay_s + self.delivery.pace_s * (num_tokens - 1)):
                yield Wait(seconds)
        yield self.head_now()

    def head_now(self) -> Send:
        return Send(head_bytes(self.answer, self.framing, self.delivery))

    def body(self, pieces: Iterable[Piece], delay_s: float | None = None) -> Iterator[Step]:
        """Send pieces: those of a stream one by one at its pace, others together."""
        if not self.answer.is_stream:
            held = tuple(pieces)
            if held:
                yield self.frame(b"".join(piece.data for piece in held), sum(piece.part == "token" for piece in held))
            return
        wait_s = self.delivery.delay_s if delay_s is None else delay_s
        for piece in pieces:
            if piece.part == "token":
                if wait_s:
                    yield Wait(wait_s)
                wait_s = self.delivery.pace_s
            yield self.frame(piece.data, piece.part == "token")

    def frame(self, data: bytes, num_tokens: int = 0) -> Send:
        return Send(self.framing.frame(data), len(data), num_tokens)

    def up_to(self, num_tokens: int) -> Iterator[Step]:
        """Send the head and so many tokens."""
        yield from self.head()
        yield from self.body(up_to(self.answer, num_tokens))

    def end(self) -> Iterator[Step]:
        """End the body, and the connection where it is not kept."""
        if self.framing.end and not self.delivery.is_head_only:
            yield Send(self.framing.end)
        if not self.delivery.is_keep_alive or self.framing.kind == "close":
            yield End("close", is_whole=True)

    def cut(self) -> End:
        return End("reset" if self.spec.key("how") == "reset" else "close")


def _well(sending: _Sending) -> Iterator[Step]:
    yield from sending.head()
    yield from sending.body(sending.answer.pieces())
    yield from sending.end()


def _reset(sending: _Sending) -> Iterator[Step]:
    yield End("reset")


def _close(sending: _Sending) -> Iterator[Step]:
    yield End("close")


def _silence(sending: _Sending) -> Iterator[Step]:
    yield Hold()


def _late_head(sending: _Sending) -> Iterator[Step]:
    yield Wait(sending.spec.duration_s)
    yield from _well(sending)


def _late_token(sending: _Sending) -> Iterator[Step]:
    yield sending.head_now()
    yield Wait(sending.spec.duration_s)
    yield from sending.body(sending.answer.pieces(), delay_s=0.0)
    yield from sending.end()


def _cut(sending: _Sending) -> Iterator[Step]:
    yield from sending.up_to(sending.spec.count)
    yield sending.cut()


def _cut_byte(sending: _Sending) -> Iterator[Step]:
    """Announce the chunk in which the cut falls whole: so does who means to send it."""
    yield from sending.head()
    num_left = sending.spec.count
    for step in sending.body(sending.answer.pieces()):
        size = step.num_body_bytes if isinstance(step, Send) else 0
        if not num_left or size > num_left:
            if isinstance(step, Send) and num_left:
                stop = len(step.data) - len(sending.framing.after) - (size - num_left)
                yield Send(step.data[:stop], num_left)
            yield sending.cut()
            return
        yield step
        num_left -= size
    if not num_left:
        yield sending.cut()
    yield from sending.end()


def _stall(sending: _Sending) -> Iterator[Step]:
    yield from sending.up_to(sending.spec.count)
    yield Hold()


def _drip(sending: _Sending) -> Iterator[Step]:
    before, after = split(sending.answer, sending.spec.count)
    every_s = int(sending.spec.key("every") or 0) / 1000
    yield from sending.head()
    yield from sending.body(before)
    if sending.spec.key("end") == "never" and not sending.delivery.is_head_only:
        yield from _endless(sending, every_s)
        return
    if (piece := next(after, None)) is not None:
        for at in range(len(piece.data)):
            yield Wait(every_s)
            is_last = at + 1 == len(piece.data)
            yield sending.frame(piece.data[at : at + 1], is_last and piece.part == "token")
    yield from sending.body(after, delay_s=sending.delivery.pace_s)
    yield from sending.end()


def _endless(sending: _Sending, every_s: float) -> Iterator[Step]:
    """Begin an event that says nothing wrong and has no end."""
    opening = b"data: {" if sending.answer.is_stream else b""
    for at in range(len(opening)):
        yield Wait(every_s)
        yield sending.frame(opening[at : at + 1])
    for _ in range(math.ceil(sending.delivery.hold_s / every_s)):
        yield Wait(every_s)
        yield sending.frame(b" ")
    yield End("close")


def _bad_chunk(sending: _Sending) -> Iterator[Step]:
    yield from sending.up_to(sending.spec.count)
    yield Send(b"no size\r\nno chunk\r\n")
    yield End("close")


def _stale(sending: _Sending) -> Iterator[Step]:
    yield from _well(sending)
    yield AwaitNext()
    yield sending.cut()


def _short_body(sending: _Sending) -> Iterator[Step]:
    yield from sending.head()
    yield from sending.body(sending.answer.pieces())
    yield End("close")


def _slow_body(sending: _Sending) -> Iterator[Step]:
    yield from sending.head()
    total = body_length(sending.answer)
    size = max(1, math.ceil(total / max(1, round(sending.spec.duration_s / _SLICE_S))))
    wait_s = sending.spec.duration_s / max(1, math.ceil(total / size))
    held, num_tokens = b"", 0
    for piece in sending.answer.pieces():
        held += piece.data
        num_tokens += piece.part == "token"
        while len(held) >= size:
            yield Wait(wait_s)
            yield sending.frame(held[:size], num_tokens)
            held, num_tokens = held[size:], 0
    if held:
        yield Wait(wait_s)
        yield sending.frame(held, num_tokens)
    yield from sending.end()


# Every other kind is told by what the answer says, and is sent well.
_PLANS: dict[str, Callable[[_Sending], Iterator[Step]]] = {
    "reset": _reset,
    "close": _close,
    "refuse": _reset,  # a request that was on its way when listening stopped
    "silence": _silence,
    "late_head": _late_head,
    "late_token": _late_token,
    "cut": _cut,
    "cut_byte": _cut_byte,
    "stall": _stall,
    "drip": _drip,
    "bad_chunk": _bad_chunk,
    "stale": _stale,
    "short_body": _short_body,
    "slow_body": _slow_body,
}
