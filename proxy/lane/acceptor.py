"""Accepts the connections of a listener, for the lane; hands those over that are not for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...ext.lane import Downstream, Facts
from ..address_limit import AddressLimit
from ..arrival import read_wishes
from ..counting import Places
from ..courses import Course, Courses, plan_of
from ..downstream import client_socket
from ..downstream.acceptor import Acceptor
from ..downstream.client import Client
from ..downstream.client_socket import LeaveWatch
from ..downstream.connection import DownstreamConnection
from ..downstream.settings import ListenerSettings
from ..errors import GatewayError
from ..exchange.exchange import UNMATCHED, Exchange
from ..exchange.fields import Fields
from ..exchange.priority import DEFAULT
from ..forwarded import Origin, forwarded_fields, origin_of
from ..observe.tracing import continue_trace, new_request_id
from ..snapshot import Snapshot
from ..upstream.cluster import Cluster
from ..verdicts import CHAT_PATH
from .kinds import kind_in_answer, kind_in_request
from .pipeline import is_inline
from .serving import InlineServing

if TYPE_CHECKING:
    from ...ext.lane import Arrived
    from ..gateway import Gateway

MAX_BODY_BYTES = 1 << 20  # a larger one is streamed, by the reference path
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "via", "x-request-id", "traceparent"})


def new_acceptor(
    gateway: Gateway, settings: ListenerSettings, limit: AddressLimit | None, places: Places | None = None
) -> Acceptor:
    """Return the acceptor of a listener: that of the lane, where there is one."""
    has_lane = Downstream is not None and not settings.is_tls
    make = LaneAcceptor if has_lane else Acceptor
    return make(gateway, settings, limit, places)


@dataclass(frozen=True, slots=True)
class Told:
    """Where a request came from, and the lines that tell its target."""

    origin: Origin
    lines: bytes


@dataclass(frozen=True, slots=True)
class Shape:
    """What a cluster makes of a request's fields. `is_odd`: it changes one of ours."""

    is_host_preserved: bool
    dropped: frozenset[bytes]
    added: bytes
    is_odd: bool


class LaneAcceptor(Acceptor):
    """The acceptor whose connections begin in the lane."""

    def __init__(
        self, gateway: Gateway, settings: ListenerSettings, limit: AddressLimit | None, places: Places | None = None
    ) -> None:
        super().__init__(gateway, settings, limit, places)
        self.gateway = gateway
        self.loop = self._loop
        self.max_body_bytes = MAX_BODY_BYTES
        self.context = copy_context()  # of which every exchange has a copy
        self.facts = Facts(
            settings, (Fields, UNMATCHED, DEFAULT), self._loop.time, (kind_in_request, kind_in_answer), METHODS
        )
        self._scheme = "https" if settings.is_tls else "http"
        self._snapshot: Snapshot | None = None  # of which is known:
        self._inline: dict[int, bool] = {}  # by the identity of its programs
        self._shapes: dict[str, Shape] = {}
        self._clusters: Mapping[str, Cluster] = {}
        self._courses = Courses(self._clusters)

    def __call__(self) -> Downstream:  # type: ignore[override]
        return Downstream(self, self.facts, self._loop, self._scheme)

    # -- what connections ask

    def opened(self, connection: Downstream) -> GatewayError | None:
        """Count a connection in; return why it cannot stay, if so."""
        self._count_in(connection)
        return self.refuse_connection(connection)

    def closed(self, connection: Downstream) -> None:
        """Count it out."""
        self._count_out(connection)

    def begin(self, connection: Downstream, arrived: Arrived, body: bytes | None) -> InlineServing | None:
        """Return who serves a request; None, and nothing has happened, where that is the reference path."""
        exchange: Exchange = arrived.exchange
        snapshot = self.gateway.snapshot
        if snapshot is not self._snapshot:
            self._learn(snapshot)
        if arrived.is_telling:
            self._read_told(exchange, arrived)
        if self._settings.trusted_proxies:
            self._take_origin(exchange, self.told_of(connection, exchange).origin)
        try:
            match = snapshot.match(exchange.request)
        except GatewayError:
            return None
        program = match[0]
        if not self._inline[id(program)] or arrived.length > program.replay_buffer_bytes:
            return None
        if body is None and not program.reads_model:
            return None  # its target gets the body as it comes
        return InlineServing(self, connection, arrived, snapshot, match)

    def hand_over(self, connection: Downstream, data: bytes) -> None:
        """Let the reference path have a connection, with what was not taken of its bytes."""
        reference = DownstreamConnection(self, self._settings, self._loop)
        self._open.discard(connection)
        if (place := self._held.pop(connection, None)) is not None:  # it keeps its place
            self._held[reference] = place
            self._expected.add(reference)
        reference.is_last = connection.is_last
        connection.transport.set_protocol(reference)
        reference.connection_made(connection.transport)
        if data:
            reference.data_received(data)

    def leave_watch(self, transport: asyncio.Transport) -> LeaveWatch:
        """Return who looks whether a client has left that is not read from."""
        watch = LeaveWatch(self._loop)
        watch.start(transport)
        return watch

    def reset(self, transport: asyncio.Transport) -> None:
        """End a connection by a reset."""
        client_socket.reset(transport)

    def head_late(self) -> GatewayError:
        """Return the error that a head is which does not come."""
        return GatewayError("head_timeout", f"no whole head within {self._settings.head_timeout_s:g} s")

    # -- what servings ask

    def check_address(self, exchange: Exchange) -> None:
        """Take the request from its address's share. Raises: GatewayError `rate_limited`."""
        if self._limit is not None:
            self._limit.check(exchange.request.client, exchange.now())

    def told_of(self, connection: Downstream, exchange: Exchange) -> Told:
        """Return where a request comes from: mostly from where the one before it came."""
        told: Told | None = connection.origin
        request, settings = exchange.request, self._settings
        if told is None or settings.trusted_proxies or told.origin.host != request.host:
            origin = origin_of(
                connection.peer_address, settings.is_tls, request.host, request.fields, settings.trusted_proxies
            )
            fields = forwarded_fields(origin, settings.forwarded)
            told = connection.origin = Told(origin, b"".join(b"%b: %b\r\n" % pair for pair in fields))
        return told

    def shape_of(self, cluster: Cluster) -> Shape:
        """Return what a cluster makes of a request's fields."""
        name = cluster.settings.name
        known = self._shapes.get(name)
        if known is None:
            known = self._shapes[name] = shape(cluster)
        return known

    def course_of(self, serving: InlineServing) -> Course:
        """Return the targets of an exchange in the order of trying, and what it may do at them."""
        exchange, program, scan = serving.exchange, serving.program, serving.pipeline.body_scan
        request = exchange.request
        may_resend = program.may_resend(request.method, request.fields)
        is_chat = program.view.is_inference and request.path.endswith(CHAT_PATH)
        is_prefilled = is_chat and (scan is None or scan.num_choices <= 1)
        targets, plan = self._courses.draw(program, exchange.groups, may_resend, is_prefilled)
        if exchange.is_fallback_off:
            targets = targets[:1]
            plan = replace(
                plan_of(program, targets, self._clusters, may_resend=may_resend, is_prefilled=is_prefilled),
                is_fallback_allowed=False,
            )
        return targets, plan.at(exchange.deadline)

    # -- inside

    def _cut(self, connection: Client) -> None:
        serving: InlineServing | None = getattr(connection, "serving", None)
        if serving is not None:
            serving.cut()
            if serving.is_finishing:
                return
        super()._cut(connection)

    def _learn(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._inline = {id(program): is_inline(program) for program in snapshot.every_program}
        self._shapes, self._clusters, self._courses = {}, snapshot.clusters, Courses(snapshot.clusters)

    def _read_told(self, exchange: Exchange, arrived: Arrived) -> None:
        if arrived.told_id is not None:
            exchange.request_id = new_request_id(arrived.told_id)
        if arrived.told_trace is not None:
            exchange.traceparent, exchange.trace_id = continue_trace(arrived.told_trace)
        if arrived.has_wishes:
            read_wishes(exchange, exchange.request.fields)

    def _take_origin(self, exchange: Exchange, origin: Origin) -> None:
        request = exchange.request
        request.client, request.scheme, request.host = origin.client, origin.scheme, origin.host


def shape(cluster: Cluster) -> Shape:
    settings = cluster.settings
    replaced = [settings.credential] if settings.credential else []
    added = (*replaced, *settings.set_fields)
    names = [*settings.removed_fields, *(name for name, _ in added)]
    lower = [name.lower() for name in names]
    is_odd = len(set(lower)) < len(lower) or any(_is_ours(name) for name in lower)
    lines = b"".join(b"%b: %b\r\n" % (name.encode("latin-1"), value.encode("latin-1")) for name, value in added)
    return Shape(settings.is_host_preserved, frozenset(name.encode("latin-1") for name in lower), lines, is_odd)


def _is_ours(name: str) -> bool:
    return name in _OURS or name.startswith(("x-headgate-", "x-forwarded-")) or name == "forwarded"
