"""One exchange on an upstream connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...ext.http1 import HeadLimits, ResponseHead
from ..errors import GatewayError
from .codec import ExchangeCodec
from .upgraded import UpgradedStream
from .wire import Wire

__all__ = ["UpgradedStream", "UpstreamConnection"]


class UpstreamConnection:
    """One request and its answer on a connection of a pool.

    Times are the caller's: any wait may be cancelled, and `abort` works at any moment and wakes whoever waits. One
    task may send while another one reads. `release` or `abort` has to follow; after that both do nothing.
    `has_sent`: a byte of the request was handed to the transport. `on_informational` gets every 1xx head but 101.
    """

    __slots__ = ("_codec", "_is_tunnel", "_on_done", "_unsent", "_wire", "has_sent", "is_reused", "on_informational")

    def __init__(self, wire: Wire, limits: HeadLimits, on_done: Callable[[Wire, bool], None]) -> None:
        self._wire = wire
        self._codec = ExchangeCodec(limits)
        self._on_done: Callable[[Wire, bool], None] | None = on_done
        self._unsent = b""
        self._is_tunnel = False
        self.is_reused = wire.num_uses > 0
        self.has_sent = False
        self.on_informational: Callable[[ResponseHead], None] | None = None
        wire.num_uses += 1

    @classmethod
    def adopted(cls, wire: Wire, codec: ExchangeCodec, on_done: Callable[[Wire, bool], None]) -> UpstreamConnection:
        """Go on with the exchange on `wire` that `codec` knows, and whose request was sent."""
        connection = cls.__new__(cls)
        connection._wire, connection._codec, connection._on_done = wire, codec, on_done
        connection._unsent, connection._is_tunnel = b"", False
        connection.is_reused, connection.has_sent = wire.num_uses > 1, True
        connection.on_informational = None
        return connection

    @property
    def has_unread(self) -> bool:
        """Whether bytes have come that nobody has asked for yet."""
        return self._wire.has_unread

    def send_head(self, method: bytes, target: bytes, fields: Sequence[tuple[bytes, bytes]]) -> None:
        """Send the request head. `fields` hold the framing: Content-Length, `Transfer-Encoding: chunked`, or neither.

        It leaves together with the first body bytes, the end of the body, or when the answer is asked for.
        Raises: GatewayError `internal` for a head that cannot be written.
        """
        self._unsent = self._codec.start(method, target, fields)

    async def send_body(self, data: bytes) -> None:
        """Send body bytes, and wait while the upstream does not take them.

        Raises: GatewayError `stale_connection` or `reset` where the connection ended without an answer. Where an answer
        waits to be read the bytes are dropped: the answer says what became of them.
        """
        self._write(self._codec.data(data))
        if self._wire.is_write_paused:
            await self._wire.drain()
            self._is_writable()

    def end_body(self) -> None:
        """End the request. Raises: GatewayError `internal` where less was sent than declared."""
        data = self._codec.end()
        if data or self._unsent:
            self._write(data)

    async def read_head(self) -> ResponseHead:
        """Return the answer's head; a 101 only where an upgrade was asked for.

        Raises: GatewayError `stale_connection` (reused, and ended before any byte), `reset`, `malformed_answer`,
        `answer_too_large`. Cancel: may be called again.
        """
        if self._unsent:
            self._write(b"")
        data = b""
        while True:
            head = self._codec.next_head(data)
            if head is None:
                data = await self._read_for_head()
                continue
            if head.status >= 200 or head.status == 101:
                return head
            data = b""
            if self.on_informational is not None:
                self.on_informational(head)

    async def read_body(self) -> bytes:
        """Return the next decoded bytes of the body; b"" is its clean end, and every call after it.

        Raises: GatewayError `truncated`, `malformed_answer`. Cancel: may be called again.
        """
        while True:
            piece = self._codec.take_body()
            if piece or self._codec.is_answer_complete:
                return piece
            await self._read_for_body()

    def upgrade(self) -> UpgradedStream:
        """Return the tunnel after a 101. It gives its place in the pool up: requests must not wait for tunnels to end.

        Once it is closed, `abort` and `release` of this connection do nothing.
        """
        self._is_tunnel = True
        self._done(False)
        return UpgradedStream(self._wire, self._codec.take_rest(), self._tunnel_closed)

    def _tunnel_closed(self) -> None:
        self._is_tunnel = False

    def release(self) -> None:
        """Give the connection back: kept if both sides are done with it, closed otherwise."""
        if self._codec.is_reusable and self._wire.is_clean:
            self._done(True)
        else:
            self.abort()

    def abort(self) -> None:
        """Close the connection now, whatever is under way."""
        if self._on_done is not None:
            self._wire.abort()
            self._done(False)
        elif self._is_tunnel:
            self._is_tunnel = False
            self._wire.abort()

    def _done(self, is_reusable: bool) -> None:
        on_done, self._on_done = self._on_done, None
        if on_done is not None:
            on_done(self._wire, is_reusable)

    def _write(self, data: bytes) -> None:
        if not self._is_writable():
            return
        if not self.has_sent:
            if self._wire.has_unread:
                raise GatewayError("malformed_answer", "expected nothing before the request, got bytes")
            self.has_sent = True
        self._wire.write(self._unsent + data)
        self._unsent = b""

    def _is_writable(self) -> bool:
        """Whether bytes can be sent; False where they need not be, for an answer is waiting. Raises: GatewayError."""
        if self._wire.is_open:
            return True
        if self.has_sent and self._codec.head is None and (self._wire.has_unread or self._codec.has_received):
            return False
        raise self._ended(self._wire.error)

    async def _read_for_head(self) -> bytes:
        try:
            data = await self._wire.read()
        except ConnectionError as error:
            raise self._ended(error) from error
        if not data:
            raise self._ended(None)
        return data

    async def _read_for_body(self) -> None:
        try:
            data = await self._wire.read()
        except ConnectionError as error:
            raise GatewayError("truncated", f"inside the answer's body: {error}") from error
        if data:
            self._codec.feed_body(data)
        else:
            self._codec.feed_eof()

    def _ended(self, error: Exception | None) -> GatewayError:
        is_stale = self.is_reused and not self._codec.has_received and not self._wire.has_unread
        return GatewayError(
            "stale_connection" if is_stale else "reset", str(error or "closed before the answer's head")
        )
