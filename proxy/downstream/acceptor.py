"""Accepts the connections of one listener."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Protocol, cast

from aiohttp.web_server import Server

from ...ext.slots import SlotTable
from ..address_limit import AddressLimit
from ..counting import Places
from ..errors import GatewayError
from .client import Client
from .connection import DownstreamConnection
from .incoming import Answered, Incoming
from .settings import ListenerSettings

if TYPE_CHECKING:
    from aiohttp import StreamReader


class Service(Protocol):
    """Who answers what the connections bring."""

    is_draining: bool

    def serve(self, incoming: Incoming, limit: AddressLimit | None) -> Awaitable[Answered]:
        """Answer one request."""

    def refuse(self, peer: str, error: GatewayError) -> bytes:
        """Return the whole answer to what never became a request, and log it."""


class Acceptor(Server):
    """Makes connections for a listener and counts them: aiohttp's server with our connection in its place.

    Each has one of the `places` that all workers have in common; without these it is alone.
    """

    def __init__(
        self, service: Service, settings: ListenerSettings, limit: AddressLimit | None, places: Places | None = None
    ) -> None:
        super().__init__(cast(Any, self._serve), request_factory=cast(Any, self._incoming), handler_cancellation=True)
        self._service = service
        self._settings = settings
        self._limit = limit
        self._places = places or Places(SlotTable(1), ("connections",), settings.max_connections)
        self._held: dict[Client, int] = {}
        self._open: set[Client] = set()
        self._expected: set[Client] = set()

    def __call__(self) -> DownstreamConnection:
        return DownstreamConnection(self, self._settings, self._loop)

    @property
    def num_open(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        """Count a connection in."""
        self._count_in(handler)
        super().connection_made(handler, transport)

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        """Count a connection out."""
        self._count_out(handler)
        super().connection_lost(handler, exc)

    def expect(self, peer: str) -> DownstreamConnection | None:
        """Make a connection that has a place before it is open; None, and a line in the log, where none is free."""
        connection = self()
        if not self._take_place(connection):
            self._service.refuse(peer, self._overloaded())
            return None
        self._expected.add(connection)
        return connection

    def give_up(self, connection: Client) -> None:
        """Free the place of an expected connection, unless it is open by now."""
        if connection in self._expected:
            self._expected.discard(connection)
            self._free_place(connection)

    def _count_in(self, connection: Client) -> None:
        if connection in self._expected:
            self._expected.discard(connection)
        else:
            self._take_place(connection)
        self._open.add(connection)

    def _count_out(self, connection: Client) -> None:
        self._open.discard(connection)
        self._free_place(connection)

    def _take_place(self, connection: Client) -> bool:
        place = self._places.take()
        if place is not None:
            self._held[connection] = place
        return place is not None

    def _free_place(self, connection: Client) -> None:
        place = self._held.pop(connection, None)
        if place is not None:
            self._places.give_back(place)

    def refuse_connection(self, connection: Client) -> GatewayError | None:
        """Return why a new connection cannot stay, if so."""
        if self._service.is_draining:
            return GatewayError("draining", "a new connection during the drain")
        if connection not in self._held:
            return self._overloaded()
        return None

    def _overloaded(self) -> GatewayError:
        return GatewayError("overloaded", f"expected at most {self._settings.max_connections} connections")

    def refusal(self, connection: Client, error: GatewayError) -> bytes:
        """Return the answer to what never became a request."""
        return self._service.refuse(connection.peer_address, error)

    def drain(self) -> None:
        """Close idle connections now, the others after their answer."""
        for connection in tuple(self._open):
            connection.drain()

    def cut(self) -> None:
        """End every exchange that is still under way."""
        for connection in tuple(self._open):
            self._cut(connection)

    def _cut(self, connection: Client) -> None:
        if connection.exchange_task is not None and not connection.exchange_task.done():
            connection.is_cut = True
            connection.exchange_task.cancel()
        elif not connection.is_idle:  # else it has its answer, which is not to be lost on its way
            connection.reset()

    async def _serve(self, incoming: Incoming) -> Answered:
        try:
            answered = await self._service.serve(incoming, self._limit)
        finally:
            incoming.connection.exchange_task = None
        if not answered.keep_alive:
            incoming.connection.is_last = True
        self._loop.call_soon(incoming.connection.handled)
        return answered

    def _incoming(
        self, message: object, payload: StreamReader, protocol: DownstreamConnection, writer: object, task: object
    ) -> Incoming:
        head = protocol.head
        if head is None:
            raise RuntimeError("expected a head before its request")
        return Incoming(protocol, head, payload)
