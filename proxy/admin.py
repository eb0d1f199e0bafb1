"""The address for operators."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import replace

from ..ext.slots import SlotTable
from .address_limit import AddressLimit
from .admin_calls import AdminAnswer, AdminCalls
from .config.addresses import Address
from .counting import Places
from .downstream.acceptor import Acceptor
from .downstream.incoming import Answered, Incoming
from .downstream.settings import ListenerSettings
from .downstream.writer import AnswerWriter
from .errors import GatewayError
from .gateway import Gateway

MAX_CONNECTIONS = 64
SETTINGS = replace(ListenerSettings(), max_connections=MAX_CONNECTIONS)
_BACKLOG = 128
_STOP_S = 1.0
_POLL_S = 0.02


class Admin:
    """Serves the calls of operators on connections as strict as those of a listener.

    It answers all through a drain: only its own stop refuses connections.
    """

    def __init__(self, gateway: Gateway, calls: AdminCalls, settings: ListenerSettings = SETTINGS) -> None:
        self._gateway = gateway
        self._calls = calls
        self._settings = settings
        self._acceptor: Acceptor | None = None
        self._server: asyncio.Server | None = None
        self.address: Address | None = None  # once it has started
        self.is_draining = False

    async def start(self, bound: socket.socket, slots: SlotTable | None = None) -> None:
        """Serve on a bound socket; its connections are counted in `slots`, with those of all who have these."""
        places = None if slots is None else Places(slots, ("admin",), self._settings.max_connections)
        self._acceptor = Acceptor(self, self._settings, None, places)
        self._server = await asyncio.get_running_loop().create_server(self._acceptor, sock=bound, backlog=_BACKLOG)
        host, port = bound.getsockname()[:2]
        self.address = Address(host, port)

    async def stop(self) -> None:
        """Close the address: idle connections now, the others after their answer, all of them within a second."""
        if self._server is None or self._acceptor is None:
            return
        self.is_draining = True
        self._server.close()
        self._acceptor.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                while self._acceptor.num_open:  # noqa: ASYNC110 - an event would cost every connection; a stop is rare
                    await asyncio.sleep(_POLL_S)
        self._acceptor.cut()

    async def serve(self, incoming: Incoming, limit: AddressLimit | None) -> Answered:
        """Answer one call."""
        connection, head = incoming.connection, incoming.head
        writer = AnswerWriter(
            connection, is_head=head.method == b"HEAD", version=head.version, is_kept=head.is_keep_alive
        )
        writer.is_continue_due = head.expects_continue and head.has_body
        answer = await self._calls.answer(head)
        if head.has_body and not incoming.payload.is_eof():
            writer.is_kept = False  # the body is not waited for
        try:
            await self._send(answer, writer)
        except GatewayError:  # gone, or it reads nothing
            return Answered(False)
        return Answered(writer.is_kept)

    async def _send(self, answer: AdminAnswer, writer: AnswerWriter) -> None:
        fields = ((b"Content-Type", answer.media_type.encode()), *answer.fields, (b"Date", self._gateway.date()))
        writer.begin(answer.status, "", fields, len(answer.body))
        await writer.write(answer.body)
        await writer.finish()

    def refuse(self, peer: str, error: GatewayError) -> bytes:
        """Return the whole answer to what never became a request, and log it."""
        return self._gateway.refuse(peer, error)
