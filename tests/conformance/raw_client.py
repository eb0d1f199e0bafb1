"""A client that sends the bytes of a case as they stand and notes all that comes back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from .case import After, Case, Continued, Do
from .raw_origin import PROBE
from .wire import End, Message, Stream


@dataclass(slots=True)
class Received:
    """What the client got. `is_probe_answered`: one more request on the connection was answered; None: not tried."""

    sent: bytearray = field(default_factory=bytearray)
    raw: bytearray = field(default_factory=bytearray)
    answers: list[Message] = field(default_factory=list)
    interims: list[Message] = field(default_factory=list)
    is_probe_answered: bool | None = None
    leftover: bytes = b""
    end: End = End.OPEN


class RawClient:
    """One connection for one case; `begun` is set by the first byte that comes back."""

    def __init__(self, address: tuple[str, int], case: Case, begun: threading.Event) -> None:
        self.case = case
        self.received = Received()
        self._stream = Stream(socket.create_connection(address), begun=begun)
        self.received.raw = self._stream.received
        self._was_continued = False

    def close(self) -> None:
        self._stream.sock.close()

    def play(self) -> None:
        """Take the case's steps, then read the answers that every outcome has."""
        for step in self.case.sent:
            self._take(step)
        fewest = min(len(outcome.answers) for outcome in self.case.outcomes)
        while len(self.received.answers) < fewest and self._read_answer():
            pass

    def finish(self, number: int) -> Received:
        """Find out what became of the connection: by a probe where it may be open, else by waiting for its end."""
        if self._is_told_to_close() or all(outcome.after is After.CLOSED for outcome in self.case.outcomes):
            while self._read_answer():
                pass
        else:
            self._probe(number)
        self.received.leftover = self._stream.leftover
        self.received.end = self._stream.end
        return self.received

    def _take(self, step: bytes | Do | Continued) -> None:
        if isinstance(step, Continued):
            if self._was_continued:
                self._send(step.data)
        elif isinstance(step, bytes):
            self._send(step)
        elif step is Do.HALF_CLOSE:
            self._stream.sock.shutdown(socket.SHUT_WR)
        elif step is Do.AWAIT_ANSWER:
            self._read_answer()
        elif step is Do.AWAIT_CONTINUE:
            self._read_answer(until=lambda message: message.status == 100)
            self._was_continued = any(one.status == 100 for one in self.received.interims)
        else:
            raise ValueError(f"expected a client's step, got {step!r}")

    def _send(self, data: bytes) -> None:
        self.received.sent += data
        self._stream.send(data)

    def _read_answer(self, until: Callable[[Message], bool] = lambda message: False) -> bool:
        """Read up to the next final answer, or to an interim one that `until` wants."""
        received = self.received
        while True:
            message = self._stream.read_answer(is_head=len(received.answers) in self.case.heads)
            if message is None:
                return False
            if 100 <= message.status < 200 and message.status != 101:
                received.interims.append(message)
                if until(message):
                    return True
                continue
            received.answers.append(message)
            if message.status != 101:
                self._stream.read_body(message)
            return message.is_whole

    def _is_told_to_close(self) -> bool:
        answers = self.received.answers
        if answers and answers[-1].status == 101:
            answers[-1].body = self._stream.read_rest()
            answers[-1].is_whole = True
            return True
        return bool(answers) and (
            not answers[-1].is_whole or b"close" in (answers[-1].joined(b"connection") or b"").lower()
        )

    def _probe(self, number: int) -> None:
        target = PROBE + b"%d" % number
        self.received.is_probe_answered = False
        self._stream.send(b"GET " + target + b" HTTP/1.1\r\nHost: hg.test\r\n\r\n")
        while self._read_answer():
            if self.received.answers[-1].body == b"seen GET " + target:
                self.received.answers.pop()
                self.received.is_probe_answered = True
                return


def fetch(address: tuple[str, int], number: int) -> str | None:
    """Ask for the origin's echo on a new connection; what is wrong with the answer, or None."""
    case = Case("", "", (b"GET " + PROBE + b"%d HTTP/1.1\r\nHost: hg.test\r\n\r\n" % number,), ())
    target = PROBE + b"%d" % number
    stream = Stream(socket.create_connection(address))
    try:
        stream.send(case.sent[0] if isinstance(case.sent[0], bytes) else b"")
        message = stream.read_answer(is_head=False)
        if message is not None:
            stream.read_body(message)
        if message is None or message.body != b"seen GET " + target:
            return f"the next request, on a new connection, got {bytes(stream.received)[:300]!r}"
        return None
    finally:
        stream.sock.close()
