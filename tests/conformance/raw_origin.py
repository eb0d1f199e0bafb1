"""An origin that writes scripted bytes and records every request it sees.

One thread accepts, one serves each connection; a case is opened with `expect` and closed with `settle`.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from .case import ANSWERS, Do, Script
from .wire import LIMIT_S, Message, Stream

PROBE = b"/probe-"
"""Targets with this in them are the runner's own and always answered by an echo."""


SETTLE_S = 1.5 * LIMIT_S
"""Longer than a script's own waits."""


@dataclass(slots=True, eq=False)
class Attempt:
    """One request of a case as it reached the origin."""

    request: Message
    link: _Link
    is_done: bool = False


@dataclass(slots=True, eq=False)
class _Link:
    """One connection. `is_active`: its thread has something in hand, and does not wait for bytes."""

    sock: socket.socket
    stream: Stream = field(init=False)
    is_active: bool = True
    is_gone: bool = False


@dataclass(slots=True)
class Record:
    """What the origin saw in one case."""

    scripts: tuple[Script, ...] = (ANSWERS,)
    attempts: list[Attempt] = field(default_factory=list)
    probes: list[Message] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)


class RawOrigin:
    """The origin; `address` is where it listens. Close it to end its threads."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.setblocking(False)
        self.address: tuple[str, int] = self._listener.getsockname()
        self._changed = threading.Condition()
        self._record = Record()
        self._links: set[_Link] = set()
        self._threads: list[threading.Thread] = []
        self._is_closing = False
        self._start(self._accept)

    def expect(self, scripts: tuple[Script, ...]) -> Record:
        """Begin a case: its n-th request is answered by the n-th script, and by the last from then on."""
        with self._changed:
            self._record = Record(scripts)
            return self._record

    def client_has_answer(self) -> None:
        """Let scripts that wait for the client go on."""
        self._record.answered.set()

    def settle(self) -> Record:
        """Wait until every script has run and no begun request hangs; what does not end is a fault."""
        self.client_has_answer()
        record = self._record
        with self._changed:
            self._changed.wait_for(lambda: all(a.is_done or a.link.is_gone for a in record.attempts), SETTLE_S)
            for attempt in record.attempts:
                if not attempt.is_done and not attempt.link.is_gone:
                    what = "request" if not attempt.request.is_whole else "exchange"
                    record.faults.append(f"the proxy left an unfinished {what} open: {attempt.request.start!r}")
                    _shut(attempt.link.sock)
        return record

    def quiesce(self) -> None:
        """Wait until everything that has arrived is recorded; a connection with unread bytes is not overlooked."""
        with self._changed:
            self._changed.wait_for(self._is_quiet, LIMIT_S)

    def close(self) -> None:
        """End every connection and thread."""
        with self._changed:
            self._is_closing = True
            links = list(self._links)
        _shut(self._listener)
        for link in links:
            _shut(link.sock)
        for thread in self._threads:
            thread.join(LIMIT_S)
        self._listener.close()

    def _start(self, work: Callable[..., None], *args: _Link) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            _wait_readable(self._listener, None)
            with self._changed:
                try:
                    sock, _ = self._listener.accept()
                except BlockingIOError:
                    continue
                except OSError:
                    return
                link = _Link(sock)
                self._links.add(link)
            link.stream = Stream(sock, limit_s=None, park=partial(self._park, link))
            if self._is_closing:
                _shut(sock)
            self._start(self._serve, link)

    def _park(self, link: _Link, left_s: float | None) -> None:
        with self._changed:
            link.is_active = False
            self._changed.notify_all()
        _wait_readable(link.sock, left_s)
        with self._changed:
            link.is_active = True

    def _is_quiet(self) -> bool:
        """Under the lock: a thread takes bytes only while active, so unread bytes or an active thread show."""
        waiting = [self._listener, *(link.sock for link in self._links)]
        return not any(link.is_active for link in self._links) and not any(_wait_readable(one, 0) for one in waiting)

    def _serve(self, link: _Link) -> None:
        stream = link.stream
        while (request := stream.read_request()) is not None:
            if PROBE in request.start:
                self._record.probes.append(request)
                self._play(ANSWERS, stream, request, self._record)
                continue
            record, attempt, script = self._begin(request, link)
            self._play(script, stream, request, record)
            with self._changed:
                attempt.is_done = request.is_whole or stream.sock.fileno() < 0
                self._changed.notify_all()
            if stream.sock.fileno() < 0:
                break
        self._end(link)

    def _begin(self, request: Message, link: _Link) -> tuple[Record, Attempt, Script]:
        with self._changed:
            record = self._record
            attempt = Attempt(request, link)
            record.attempts.append(attempt)
            return record, attempt, record.scripts[min(len(record.attempts), len(record.scripts)) - 1]

    def _end(self, link: _Link) -> None:
        with self._changed:
            link.is_gone = True
            self._links.discard(link)
            self._changed.notify_all()
        link.sock.close()

    def _play(self, script: Script, stream: Stream, request: Message, record: Record) -> None:
        for step in script:
            if stream.sock.fileno() < 0:
                return
            if isinstance(step, Do):
                self._do(step, stream, request, record)
            else:
                stream.send(step)
        if stream.sock.fileno() >= 0 and not request.is_whole:
            stream.read_body(request)

    def _do(self, step: Do, stream: Stream, request: Message, record: Record) -> None:
        match step:
            case Do.READ_BODY:
                if (request.joined(b"expect") or b"").lower() == b"100-continue":
                    stream.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                stream.read_body(request)
            case Do.ECHO if request.is_whole:
                stream.send(_echo(request))
            case Do.AWAIT_CLIENT:
                record.answered.wait(LIMIT_S)
            case Do.AWAIT_BEGUN:
                record.begun.wait(LIMIT_S)
            case Do.READ_TUNNEL:
                request.body += stream.exactly(4)
            case Do.GONE:
                _await_gone(stream, request, record)
            case Do.FIN:
                stream.sock.close()
            case Do.RESET:
                stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                stream.sock.close()
            case _:
                pass


def _echo(request: Message) -> bytes:
    body = b"seen " + request.method + b" " + request.target
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head if request.method == b"HEAD" else head + body


def _await_gone(stream: Stream, request: Message, record: Record) -> None:
    if not request.is_whole:
        stream.read_body(request)
    stream.limit_s = LIMIT_S
    began = time.monotonic()
    extra = stream.read_rest()
    if extra:
        record.faults.append(f"bytes on a connection that had to be dropped: {extra[:200]!r}")
    elif stream.sock.fileno() >= 0 and time.monotonic() - began >= LIMIT_S:
        record.faults.append("the proxy kept a connection that had to be dropped")
    stream.sock.close()


def _wait_readable(sock: socket.socket, left_s: float | None) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(None if left_s is None else left_s * 1000))


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
