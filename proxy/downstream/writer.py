"""Writing one answer to the client: framing, backpressure, and the two ways to end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from email.utils import formatdate

from ...ext.http1 import ResponseHead
from ..errors import GatewayError
from ..http1.fields import end_to_end
from ..http1.status import NO_BODY, REASONS
from .client import Recipient


class AnswerWriter:
    """The answer to one request. After `begin` there is exactly one of `finish` and `cut`.

    `sent_bytes` counts body bytes; `is_begun` is the point after which no other answer may follow.
    """

    __slots__ = (
        "_connection",
        "_is_chunked",
        "_is_head_request",
        "_left",
        "_unsent",
        "_version",
        "_write_timeout_s",
        "has_body",
        "is_begun",
        "is_continue_due",
        "is_kept",
        "sent_bytes",
    )

    def __init__(self, connection: Recipient, *, is_head: bool, version: tuple[int, int], is_kept: bool) -> None:
        self._connection = connection
        self._is_head_request = is_head
        self._version = version
        self._write_timeout_s = connection.settings.write_timeout_s
        self._is_chunked = False
        self._left: int | None = None
        self.has_body = False
        self.is_begun = False
        self.is_kept = is_kept
        self.is_continue_due = False
        self.sent_bytes = 0
        self._unsent = b""  # the head

    def send_to(self, recipient: Recipient) -> None:
        """Write to another recipient from now on, which stands for the client's connection."""
        self._connection = recipient

    def go_on_from(self, left: int | None, sent_bytes: int, unsent: bytes) -> None:
        """Go on with an answer that was begun, and of whose body so much was written; `left` of a declared length."""
        self._unsent = unsent
        self.is_begun = self.has_body = True
        self._left, self._is_chunked, self.sent_bytes = left, left is None, sent_bytes

    @property
    def has_length(self) -> bool:
        """Whether the head declared a length: then nothing may be added to the body."""
        return self._left is not None

    def send_continue(self) -> None:
        """Tell a waiting client, once, that its body is wanted."""
        if self.is_continue_due and not self.is_begun:
            self.is_continue_due = False
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def skip_continue(self) -> None:
        """The client has sent its body without waiting: nothing has to be said (RFC 9110 §10.1.1)."""
        self.is_continue_due = False

    def send_interim(self, head: ResponseHead) -> None:
        """Pass an interim answer on (RFC 9110 §15.2), but not 100, which the client did not ask for; 1.0 knows none."""
        if self.is_begun or head.status == 100 or self._version < (1, 1):
            return
        lines = [b"HTTP/1.1 %d %b" % (head.status, head.reason)]
        lines += [b"%b: %b" % pair for pair in end_to_end(head.fields) if pair[0].lower() != b"content-length"]
        self._write(b"\r\n".join([*lines, b"", b""]))

    def begin(self, status: int, reason: str, fields: Iterable[tuple[bytes, bytes]], length: int | None) -> None:
        """Send the head. `length` is the body's length where it is known; the framing fields are written here."""
        if self.is_begun:
            raise RuntimeError("expected one answer for one request, got a second")
        self.is_begun = True
        if self.is_continue_due:
            self.is_kept = False  # the client may or may not send the body that nobody read (RFC 9110 §10.1.1)
        lines = [b"HTTP/1.1 %d %b" % (status, reason.encode("latin-1") or REASONS.get(status, b""))]
        lines += [b"%b: %b" % pair for pair in fields]
        self.has_body = not (self._is_head_request or status in NO_BODY)
        lines += self._framing(status, length)
        lines += self._persistence()
        lines += (b"", b"")
        # It leaves with the first piece of the body, or at the latest when the loop comes round: one write, not two.
        self._unsent = b"\r\n".join(lines)
        self.flush_soon()

    def _framing(self, status: int, length: int | None) -> list[bytes]:
        if status in NO_BODY and (status == 204 or length is None):
            return []
        if length is not None:
            self._left = length if self.has_body else None
            return [b"Content-Length: %d" % length]
        if not self.has_body:
            return []
        if self._version >= (1, 1):
            self._is_chunked = True
            return [b"Transfer-Encoding: chunked"]
        self.is_kept = False  # HTTP/1.0: the end of the connection is the end of the body
        return []

    def _persistence(self) -> list[bytes]:
        if self._connection.is_last:
            self.is_kept = False
        if not self.is_kept:
            return [b"Connection: close"]
        return [b"Connection: keep-alive"] if self._version < (1, 1) else []

    def withdraw(self) -> bool:
        """Take the head back where nothing of it has left yet: then another answer may follow."""
        if not self._unsent:
            return False
        self._unsent = b""
        self._left = None
        self.is_begun = self._is_chunked = False
        return True

    async def write(self, piece: bytes) -> None:
        """Send a piece of the body, and wait while the client is slow to read.

        Raises: GatewayError `client_gone`; `truncated` for more than the declared length.
        """
        if not piece or not self.has_body:
            return
        if self._left is not None:
            if len(piece) > self._left:
                raise GatewayError("truncated", "the body is longer than its declared length")
            self._left -= len(piece)
        self.sent_bytes += len(piece)
        if self._is_chunked:
            self._write_pieces((b"%x\r\n" % len(piece), piece, b"\r\n"))
        else:
            self._write(piece)
        if self._connection.writing_paused:
            await self._drain()

    async def finish(self) -> None:
        """End the body cleanly. Raises: GatewayError `truncated` if less than the declared length was written."""
        if self._left:
            raise GatewayError("truncated", f"{self._left} bytes of the declared length are missing")
        if self._is_chunked:
            self._write(b"0\r\n\r\n")
        elif self._unsent:
            self._write(b"")
        if self._connection.writing_paused:
            await self._drain()

    def cut(self) -> None:
        """End the answer so that nobody can take it for whole. Nothing follows on this connection."""
        self.is_kept = False
        self._connection.reset()

    async def end_with(self, event: bytes, bound_s: float) -> None:
        """Send a last event, flush it for at most `bound_s`, then close without the last chunk."""
        self.is_kept = False
        try:
            async with asyncio.timeout(bound_s):
                self._write_pieces((b"%x\r\n" % len(event), event, b"\r\n") if self._is_chunked else (event,))
                self._connection.flush_soon()
                await self._drain()
        except (TimeoutError, GatewayError):
            self._connection.reset()
            return
        self._connection.linger()

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self._write_timeout_s):
                await self._connection.drained()
        except TimeoutError:
            self._connection.reset()
            raise GatewayError("client_gone", f"the client read nothing for {self._write_timeout_s:g} s") from None
        except ConnectionError:
            raise GatewayError("client_gone", "the connection closed while the answer was sent") from None

    def flush_soon(self) -> None:
        """Let the head leave when the loop comes round, if nothing else has taken it along or withdrawn it by then."""
        if self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        transport = self._connection.transport
        if self._unsent and transport is not None and not transport.is_closing():
            unsent, self._unsent = self._unsent, b""
            transport.write(unsent)

    def _write(self, data: bytes) -> None:
        self._write_pieces((data,))

    def _write_pieces(self, pieces: tuple[bytes, ...]) -> None:
        transport = self._connection.transport
        if transport is None or transport.is_closing():
            raise GatewayError("client_gone", "the connection closed while the answer was sent")
        if self._unsent:
            unsent, self._unsent = self._unsent, b""
            pieces = (unsent, *pieces)
        transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))


class DateLine:
    """The Date field, made once a second (RFC 9110 §6.6.1)."""

    __slots__ = ("_second", "_value")

    def __init__(self) -> None:
        self._second = -1
        self._value = b""

    def at(self, wall_s: float) -> bytes:
        """Return the field's value for the wall-clock instant `wall_s`."""
        second = int(wall_s)
        if second != self._second:
            self._second, self._value = second, formatdate(second, usegmt=True).encode()
        return self._value
