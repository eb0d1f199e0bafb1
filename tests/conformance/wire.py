"""HTTP/1.1 messages read strictly from a socket.

Both ends of the proxy under test use this reader. It repairs nothing: what the grammar does not allow
is noted as a fault, so that neither a forwarded request nor an answer can be malformed unseen.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

LIMIT_S = 2.0
"""No wait of these tests is longer."""

Pair = tuple[bytes, bytes]

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\t \x21-\x7e\x80-\xff]*")
_REQUEST_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [^\x00-\x20\x7f]+ HTTP/1\.1")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-9][0-9][0-9] [\t \x21-\x7e\x80-\xff]*")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(;[\t \x21-\x7e\x80-\xff]*)?")


class End(StrEnum):
    """How the other side's bytes ended."""

    OPEN = "open"
    CLOSED = "closed"
    RESET = "reset"


@dataclass(slots=True)
class Message:
    """A request or an answer as it came. `is_whole`: all its framing promised has arrived."""

    start: bytes
    fields: list[Pair]
    body: bytes = b""
    trailers: list[Pair] = field(default_factory=list)
    framing: str = "none"
    is_whole: bool = False
    faults: list[str] = field(default_factory=list)

    @property
    def method(self) -> bytes:
        return self.start.split(b" ", 1)[0]

    @property
    def target(self) -> bytes:
        return self.start.split(b" ", 2)[1] if b" " in self.start else b""

    @property
    def status(self) -> int:
        code = self.start[9:12]
        return int(code) if code.isdigit() else 0

    def values(self, name: bytes) -> list[bytes]:
        """Every value of `name` (lower case), in order."""
        return [value for key, value in self.fields if key.lower() == name]

    def joined(self, name: bytes) -> bytes | None:
        """The values of `name` as one list, None where the field is absent."""
        values = self.values(name)
        return b", ".join(values) if values else None


class Stream:
    """Reads messages from a connected socket and keeps every byte it got.

    With a limit, a wait ends after `limit_s`; without, only when the other side or `socket.shutdown` ends it.
    `begun` is set by the first bytes; `park` is called to wait for more, with the time that is left for it.
    """

    def __init__(
        self,
        sock: socket.socket,
        limit_s: float | None = LIMIT_S,
        begun: threading.Event | None = None,
        park: Callable[[float | None], None] | None = None,
    ) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.limit_s = limit_s
        self.begun = begun
        self.park = park
        self.received = bytearray()
        self.end = End.OPEN
        self._buffer = bytearray()

    @property
    def leftover(self) -> bytes:
        """What has come and was not part of a message."""
        return bytes(self._buffer)

    def send(self, data: bytes) -> bool:
        """Send all of `data`; False where the other side no longer takes it."""
        try:
            self.sock.sendall(data)
        except OSError:
            return False
        return True

    def read_request(self) -> Message | None:
        """Read a request's head; None where the connection ends before it."""
        head = self._until(b"\r\n\r\n")
        if head is None:
            return None
        message = _parse_head(head, _REQUEST_LINE)
        lengths, codings = message.values(b"content-length"), message.values(b"transfer-encoding")
        if codings:
            message.framing = "chunked"
        elif lengths:
            message.framing = "length"
        else:
            message.is_whole = True
        _check_framing(message, lengths, codings)
        return message

    def read_answer(self, is_head: bool) -> Message | None:
        """Read an answer's head; None where none comes."""
        head = self._until(b"\r\n\r\n")
        if head is None:
            return None
        message = _parse_head(head, _STATUS_LINE)
        lengths, codings = message.values(b"content-length"), message.values(b"transfer-encoding")
        if message.status < 200 or message.status == 204:
            if lengths or codings:
                message.faults.append("content-length or transfer-encoding in a 1xx or 204 answer")
        elif is_head or message.status == 304:
            pass
        else:
            message.framing = "chunked" if codings else "length" if lengths else "close"
        _check_framing(message, lengths, codings)
        return message

    def read_body(self, message: Message) -> None:
        """Read the content of `message` as its framing says."""
        if message.framing == "chunked":
            self._read_chunks(message)
        elif message.framing == "close":
            message.body = self.read_rest()
            message.is_whole = self.end is End.CLOSED
        elif message.framing == "length":
            length = message.values(b"content-length")[0]
            wanted = int(length) if length.isdigit() else 0
            message.body = self.exactly(wanted)
            message.is_whole = len(message.body) == wanted
        else:
            message.is_whole = True

    def read_rest(self) -> bytes:
        """Everything until the other side ends."""
        deadline = self._deadline()
        while self._fill(deadline):
            pass
        return self._take(len(self._buffer))

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes, or fewer where they do not come."""
        deadline = self._deadline()
        while len(self._buffer) < size and self._fill(deadline):
            pass
        return self._take(size)

    def _read_chunks(self, message: Message) -> None:
        body = bytearray()
        while (line := self._until(b"\r\n")) is not None:
            found = _CHUNK_LINE.fullmatch(line[:-2])
            if found is None:
                message.faults.append(f"malformed chunk line {line[:80]!r}")
                break
            size = int(found[1], 16)
            if size == 0:
                message.is_whole = self._read_trailers(message)
                break
            data = self.exactly(size + 2)
            body += data[:size]
            if len(data) < size + 2:
                break
            if data[size:] != b"\r\n":
                message.faults.append(f"chunk ends in {data[size:]!r}")
                break
        message.body = bytes(body)

    def _read_trailers(self, message: Message) -> bool:
        while (line := self._until(b"\r\n")) is not None:
            if line == b"\r\n":
                return True
            message.trailers.append(_parse_field(line[:-2], message.faults))
        return False

    def _until(self, mark: bytes) -> bytes | None:
        deadline = self._deadline()
        while (at := self._buffer.find(mark)) < 0:
            if not self._fill(deadline):
                return None
        return self._take(at + len(mark))

    def _deadline(self) -> float | None:
        return None if self.limit_s is None else time.monotonic() + self.limit_s

    def _fill(self, deadline: float | None) -> bool:
        if self.end is not End.OPEN:
            return False
        left_s = None if deadline is None else deadline - time.monotonic()
        if left_s is not None and left_s <= 0:
            return False
        if self.park is not None:
            self.park(left_s)
        self.sock.settimeout(left_s)
        try:
            data = self.sock.recv(262144)
        except TimeoutError:
            return False
        except OSError:
            self.end = End.RESET
            return False
        finally:
            if self.sock.fileno() >= 0:
                self.sock.settimeout(LIMIT_S)
        if not data:
            self.end = End.CLOSED
            return False
        if self.begun is not None:
            self.begun.set()
        self._buffer += data
        self.received += data
        return True

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


def _parse_head(head: bytes, start_form: re.Pattern[bytes]) -> Message:
    lines = head[:-4].split(b"\r\n")
    faults: list[str] = []
    if not start_form.fullmatch(lines[0]):
        faults.append(f"malformed start line {lines[0][:80]!r}")
    return Message(lines[0], [_parse_field(line, faults) for line in lines[1:]], faults=faults)


def _parse_field(line: bytes, faults: list[str]) -> Pair:
    name, colon, value = line.partition(b":")
    if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        faults.append(f"malformed field line {line[:80]!r}")
    return name, value.strip(b" \t")


def _check_framing(message: Message, lengths: list[bytes], codings: list[bytes]) -> None:
    if lengths and codings:
        message.faults.append("content-length beside transfer-encoding")
    if len(lengths) > 1 or any(not length.isdigit() for length in lengths):
        message.faults.append(f"content-length {lengths!r}")
    if codings and [coding.lower() for coding in codings] != [b"chunked"]:
        message.faults.append(f"transfer-encoding {codings!r}")
