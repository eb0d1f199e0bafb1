"""One try of one target: from the pick of an endpoint to the end of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from ...ext.http1 import ResponseHead
from ..errors import GatewayError
from ..exchange.attempt import ANSWERING, AWAITING_HEAD, Attempt
from ..exchange.machine import ExchangeMachine
from .cluster import Cluster, Member
from .connection import UpstreamConnection
from .gate import Ticket
from .sender import BodySource, Sender
from .watchdog import Watchdog
from .wire import Wire


@dataclass(frozen=True, slots=True)
class OutgoingHead:
    """The request head for one target, framing fields included."""

    method: bytes
    target: bytes
    fields: Sequence[tuple[bytes, bytes]]


async def wire_to(member: Member, attempt: Attempt, machine: ExchangeMachine, deadline: float) -> Wire:
    """Wait for a connection for an attempt, no longer than other targets can spare.

    Raises: GatewayError of the connect kinds. Cancel: nothing is lost.
    """
    until = min(machine.begin_by(attempt), deadline)
    try:
        return await member.pool.acquire_wire(until, fresh=attempt.is_fresh)
    except GatewayError as error:
        if error.kind.name == "deadline" and until < deadline:  # not by the clock: a timer may be early by a bit
            is_opening = isinstance(error.__cause__, GatewayError)
            raise GatewayError("connect_timeout" if is_opening else "pool_full", error.detail) from error
        raise


class UpstreamAttempt:
    """Moves the bytes of one attempt and reports to the machine.

    Whatever happens, `close` gives everything back: connection, sender, timer, the endpoint's count.
    """

    __slots__ = (
        "_body",
        "_connection",
        "_is_listening",
        "_is_sent",
        "_loop",
        "_machine",
        "_member",
        "_sender",
        "_watchdog",
        "attempt",
        "is_complete",
    )

    def __init__(self, attempt: Attempt, machine: ExchangeMachine, loop: asyncio.AbstractEventLoop) -> None:
        self.attempt = attempt
        self._machine = machine
        self._loop = loop
        self._body: BodySource | None = None
        self._member: Member | None = None
        self._connection: UpstreamConnection | None = None
        self._sender: Sender | None = None
        self._watchdog: Watchdog | None = None
        self.is_complete = False
        self._is_sent = False  # by somebody else, before
        self._is_listening = True  # but while the client is given what came

    @classmethod
    def adopted(
        cls, attempt: Attempt, machine: ExchangeMachine, member: Member, connection: UpstreamConnection
    ) -> UpstreamAttempt:
        """Go on with an attempt whose request was sent on `connection` to `member`."""
        upstream = cls(attempt, machine, asyncio.get_running_loop())
        upstream._member, upstream._connection, upstream._is_sent = member, connection, True
        upstream._watchdog = Watchdog(upstream._loop, upstream._timer, connection.abort)
        upstream.look()
        return upstream

    @property
    def member(self) -> Member | None:
        """The endpoint that was picked."""
        return self._member

    @property
    def has_sent(self) -> bool:
        """Whether bytes of the request may have reached the endpoint."""
        return self._connection is not None and self._connection.has_sent

    @property
    def connection(self) -> UpstreamConnection:
        """The connection in use. Only valid after `connect`."""
        if self._connection is None:
            raise RuntimeError("expected a connection: `connect` comes first")
        return self._connection

    async def connect(self, cluster: Cluster, tried: set[Member], deadline: float) -> Member:
        """Pick an endpoint and get a connection to it. Raises: GatewayError of the connect kinds."""
        attempt = self.attempt
        member = self._member = cluster.pick(tried, self._loop.time())
        tried.add(member)
        if isinstance(attempt.ticket, Ticket):
            attempt.ticket.member = member
        wire = await wire_to(member, attempt, self._machine, deadline)
        connection = self._connection = member.pool.connection_on(wire)
        self._machine.connected(attempt, self._loop.time())
        self._watchdog = Watchdog(self._loop, self._timer, connection.abort)
        self._watchdog.look()
        return member

    def _timer(self) -> tuple[float, str]:
        timer, now = self._machine.timer_of(self.attempt), self._loop.time()
        if timer[0] > now or not self._is_kept_waiting():
            return timer
        self.progressed()
        return self._machine.timer_of(self.attempt)

    def _is_kept_waiting(self) -> bool:
        """Whether it is the client that keeps the target waiting: then the target is not silent."""
        if self.attempt.phase is AWAITING_HEAD:
            return self._sender is not None and self._sender.is_starved
        is_unread = self._connection is not None and self._connection.has_unread
        return is_unread and not self._is_listening and self.attempt.phase is ANSWERING

    async def send(self, head: OutgoingHead, body: BodySource) -> None:
        """Send the head and begin to send the body."""
        self._body = body
        self.connection.send_head(head.method, head.target, head.fields)
        self._sender = Sender(body, self.connection, self)
        await self._sender.start()

    async def read_head(self) -> ResponseHead:
        """Wait for the answer's head. Raises: GatewayError."""
        try:
            return await self.connection.read_head()
        except GatewayError as error:
            raise self._cause(error) from None

    async def read_body(self, *, is_progress: bool = True) -> bytes:
        """Wait for the next piece; b"" is the clean end. Raises: GatewayError.

        `is_progress`: any piece shows that the target goes on; else the caller says when it does, by `progressed`.
        """
        try:
            piece = await self.connection.read_body()
        except GatewayError as error:
            raise self._cause(error) from None
        if not piece:
            self.is_complete = True
        elif is_progress:
            self.progressed()
        return piece

    def listen(self) -> None:
        """Come back from a client that may be slow: what has come meanwhile was no silence."""
        if not self._is_listening and self.connection.has_unread:
            self.progressed()
        self._is_listening = True

    def turn_away(self) -> None:
        """Give the client what came: until `listen` bytes may lie there unread."""
        self._is_listening = False

    def look(self) -> None:
        """The machine changed its state: the timer may be nearer now."""
        if self._watchdog is not None:
            self._watchdog.look()

    def hold_timer(self) -> None:
        """Stop the timer: from here on somebody else bounds the time (a tunnel)."""
        if self._watchdog is not None:
            self._watchdog.stop()

    async def close(self) -> None:
        """Give everything back. The connection is kept only after a complete exchange."""
        if self._watchdog is not None:
            self._watchdog.stop()
        connection, self._connection = self._connection, None
        if connection is not None:
            is_sent = self._is_sent or (self._sender is not None and self._sender.is_done)
            if self.is_complete and is_sent:
                connection.release()
            else:
                connection.abort()
        self._leave_member()  # before anything is waited for: a wait may be cancelled
        if self._sender is not None:
            await self._sender.stop()
            self._sender = None  # it knows this attempt in turn

    def abort(self) -> None:
        """Abort at once, without waiting; `close` still has to follow."""
        if self._connection is not None:
            self._connection.abort()

    def _leave_member(self) -> None:
        if self._member is not None:
            self._member.num_active -= 1
            self._member = None

    def body_taken(self) -> None:
        """A piece of the body is on its way: what is not kept cannot be sent again."""
        if self._body is not None and not self._body.replay.is_replayable:
            self._machine.body_gone()

    def progressed(self) -> None:
        """The target goes on, or takes what it is sent."""
        self._machine.progressed(self.attempt, self._loop.time())

    def _cause(self, error: GatewayError) -> GatewayError:
        """Return what really ended the attempt: our timer, the client's body, or the upstream itself."""
        if self._sender is not None and self._sender.error is not None:
            return self._sender.error
        if self._watchdog is not None and self._watchdog.expired is not None:
            return GatewayError(self._watchdog.expired, "nothing came in time; given up")
        return error
