"""One client connection: strict framing in front of aiohttp's request loop.

aiohttp parses a request, runs its handler in a task and keeps the connection alive. In front of it stands a guard that
reads every head strictly (`ext.http1`), knows where each body ends, and hands aiohttp one request at a time, so that

- nothing ambiguous or malformed gets further than the guard: it is answered and the connection is closed;
- a malformed second request never costs the first its answer;
- deadlines run from the first byte of a head, and for an idle connection.

Phases: head → body → busy → head …; from any of them to discard (an error was answered, the rest is thrown away) or to
tunnel (the connection was upgraded and bytes pass untouched).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from aiohttp.web_protocol import RequestHandler

from ...ext.http1 import ChunkError, ChunkScanner, HeadBuffer, HeadError, LengthScanner, RequestHead, parse_request_head
from ..errors import GatewayError
from . import client_socket
from .client_socket import LeaveWatch
from .incoming import Incoming
from .parser import parser_head, parser_limits
from .phase import Phase
from .settings import ListenerSettings

if TYPE_CHECKING:
    from aiohttp import StreamReader

    from .acceptor import Acceptor

_NEVER_S = 1e9  # the guard owns the idle timer
_LINGER_S = 1.0
_HELD_BYTES = 64 * 1024
_WRITE_BUFFER_BYTES = 64 * 1024


class DownstreamConnection(RequestHandler[Any] if TYPE_CHECKING else RequestHandler):  # type: ignore[misc]
    """A connection accepted on a listener."""

    __slots__ = (
        "_acceptor",
        "_head_buffer",
        "_held",
        "_is_handling",
        "_leave_watch",
        "_payload",
        "_phase",
        "_scanner",
        "_timer",
        "_tunnel",
        "exchange_task",
        "head",
        "is_cut",
        "is_last",
        "settings",
    )

    def __init__(self, acceptor: Acceptor, settings: ListenerSettings, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            cast(Any, acceptor),
            loop=loop,
            keepalive_timeout=_NEVER_S,
            lingering_time=_LINGER_S,
            access_log=cast(Any, None),
            auto_decompress=False,
            **parser_limits(settings.head_limits),
        )
        self._acceptor = acceptor
        self.settings = settings
        self._head_buffer = HeadBuffer(settings.head_limits)
        self._phase = Phase.HEAD
        self._scanner: ChunkScanner | LengthScanner | None = None  # while a body comes
        self._payload: StreamReader | None = None
        self._held = b""
        self._is_handling = False
        self._timer: asyncio.TimerHandle | None = None
        self._leave_watch = LeaveWatch(loop)
        self._tunnel: Callable[[bytes], None] | None = None
        self.head: RequestHead | None = None
        self.exchange_task: asyncio.Task[Any] | None = None
        self.is_last = False
        self.is_cut = False  # by a drain whose grace has ended

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection, or answer at once that it is one too many."""
        super().connection_made(transport)
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        refusal = self._acceptor.refuse_connection(self)
        if refusal is not None:
            self._refuse(refusal)
            return
        self._arm(self.settings.idle_timeout_s, self._idle_expired)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Cancel what runs for this client; aiohttp cancels the handler's task."""
        self._disarm()
        self._leave_watch.stop()
        self._phase = Phase.DISCARD
        self._held = b""
        if self._tunnel is not None:
            self._tunnel(b"")
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """The client closed its sending side: it is taken as gone (the transport closes)."""
        if self._phase is Phase.BODY:
            self._end_body(ConnectionResetError("the client closed inside its body"))

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        if not data:  # aiohttp lets its parser go on after a pause
            super().data_received(data)
        elif self._phase is Phase.TUNNEL and self._tunnel is not None:
            self._tunnel(data)
        elif self._phase is Phase.BUSY:
            self._hold(data)
        elif self._phase is not Phase.DISCARD:
            self._advance(data)

    # -- one request at a time

    def _advance(self, data: bytes) -> None:
        while data:
            if self._phase is Phase.HEAD:
                data = self._take_head(data)
            elif self._phase is Phase.BODY:
                data = self._take_body(data)
            elif self._phase is Phase.BUSY:
                self._hold(data)
                return
            else:
                return

    def _take_head(self, data: bytes) -> bytes:
        was_idle = self._head_buffer.is_empty
        try:
            raw = self._head_buffer.feed(data)
            if raw is None:
                if was_idle and not self._head_buffer.is_empty:
                    self._arm(self.settings.head_timeout_s, self._head_expired)
                return b""
            head = parse_request_head(raw, self.settings.head_limits)
        except HeadError as error:
            self._refuse(GatewayError(error.kind, error.detail))
            return b""
        self._disarm()
        rest = self._head_buffer.rest
        self._head_buffer = HeadBuffer(self.settings.head_limits)
        self._begin(head)
        return rest

    def _begin(self, head: RequestHead) -> None:
        self.head = head
        super().data_received(parser_head(head))
        self._payload = self._messages[-1][1]
        self._is_handling = True
        if head.is_chunked:
            self._scanner = ChunkScanner()
        elif head.content_length:
            self._scanner = LengthScanner(head.content_length)
        self._phase = Phase.BUSY if self._scanner is None else Phase.BODY

    def _take_body(self, data: bytes) -> bytes:
        scanner = cast("ChunkScanner | LengthScanner", self._scanner)
        try:
            size = scanner.feed(data)
        except ChunkError as error:
            self._break_body(str(error))
            return b""
        if scanner.is_complete:
            self._phase = Phase.BUSY
            self._scanner = None
        super().data_received(data if size == len(data) else data[:size])
        return b"" if size == len(data) else data[size:]

    def _break_body(self, detail: str) -> None:
        self._phase = Phase.DISCARD
        self.is_last = True
        self._end_body(ValueError(detail))

    def _end_body(self, error: Exception) -> None:
        """Nothing more of the body will come; whoever still wants it is told why."""
        if self._payload is None or self._payload.is_eof():
            return
        if self._is_handling:
            self._payload.set_exception(error)
        self._payload.feed_eof()

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) >= _HELD_BYTES and not self._buffer_paused:
            self._pause_reading_for_buffer()

    def handled(self) -> None:
        """The exchange has ended and its answer is written: take the next request, if one may come."""
        self._is_handling = False
        self.head = None
        if self.is_last and self._phase is not Phase.TUNNEL:
            self._bound_close()
        if self.is_last or self.transport is None or self._phase is not Phase.BUSY:
            return
        self._payload = None
        self._phase = Phase.HEAD
        held, self._held = self._held, b""
        if self._buffer_paused:
            self._resume_reading_for_buffer()
        self._arm(self.settings.idle_timeout_s, self._idle_expired)
        if held:
            self._advance(held)

    # -- refusals and the end

    def _refuse(self, error: GatewayError) -> None:
        """Answer outside any exchange, then close without resetting what the client still has to read."""
        self._phase = Phase.DISCARD
        self.is_last = True
        self._disarm()
        transport = self.transport
        if transport is None:
            return
        transport.write(self._acceptor.refusal(self, error))
        self.linger()

    def linger(self) -> None:
        """Close once the client has read: after a plain close what it still sends would reset the connection."""
        transport = self.transport
        if transport is None:
            return
        self._phase = Phase.DISCARD
        self.is_last = True
        if transport.can_write_eof():
            transport.write_eof()
        self._arm(_LINGER_S, self.close_now)

    def close_now(self) -> None:
        """Close the connection; what is already written is still sent, for as long as a client may take to read."""
        self._phase = Phase.DISCARD
        self._disarm()
        self._bound_close()
        self.force_close()

    def _bound_close(self) -> None:
        # A transport that closes waits for its last byte to leave, for ever where the client does not read.
        if self.transport is not None and self._timer is None:
            self._arm(self.settings.write_timeout_s, partial(client_socket.reset, self.transport))

    def reset(self) -> None:
        """Abort the connection so that the client cannot take a cut answer for a whole one."""
        self._phase = Phase.DISCARD
        self.is_last = True
        if self.transport is not None:
            client_socket.reset(self.transport)

    def begin_tunnel(self, receive: Callable[[bytes], None]) -> None:
        """From now on give every byte from the client to `receive` (b"" at its end)."""
        self._phase = Phase.TUNNEL
        self.is_last = True
        self._tunnel = receive
        held, self._held = self._held, b""
        if self._buffer_paused:
            self._resume_reading_for_buffer()
        if held:
            receive(held)

    def drain(self) -> None:
        """Close now if no request is under way, else after its answer."""
        self.is_last = True
        if not self._is_handling and self.transport is not None:
            self.close_now()

    def pause_client(self) -> None:
        """Read no more from the client for now (a tunnel's buffer is full)."""
        if not self._buffer_paused:
            self._pause_reading_for_buffer()

    def resume_client(self) -> None:
        """Read from the client again."""
        if self._buffer_paused:
            self._resume_reading_for_buffer()

    @property
    def peer_address(self) -> str:
        """The address of the connection's other end; "" for a Unix socket."""
        name = self.peername
        return name[0] if isinstance(name, tuple) else ""

    async def drained(self) -> None:
        """Wait until the client has read enough. Raises: ConnectionError once it is gone."""
        await self._drain_helper()

    def flush_soon(self) -> None:
        """From now on `drained` waits until every byte has left."""
        if self.transport is not None:
            self.transport.set_write_buffer_limits(high=0)

    @property
    def is_idle(self) -> bool:
        """Whether no exchange runs here."""
        return not self._is_handling

    # -- a client that leaves while nothing is read from it

    def _pause_transport_reading(self) -> None:
        super()._pause_transport_reading()
        if self.transport is not None:
            self._leave_watch.start(self.transport)

    def _resume_transport_reading(self) -> None:
        self._leave_watch.stop()
        super()._resume_transport_reading()

    # -- timers

    def _arm(self, delay_s: float, callback: Callable[[], None]) -> None:
        self._disarm()
        self._timer = self._loop.call_later(delay_s, callback)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_expired(self) -> None:
        self._refuse(GatewayError("head_timeout", f"no whole head within {self.settings.head_timeout_s:g} s"))

    def _idle_expired(self) -> None:
        self.close_now()

    def _make_error_handler(self, err_info: Any) -> Any:
        """Replace aiohttp's own error page, should its parser refuse what the guard let through."""

        async def refuse(request: Incoming) -> Any:
            self._refuse(GatewayError("bad_request", f"refused by the parser: {err_info.message}"))
            raise ConnectionResetError("refused")

        return refuse
