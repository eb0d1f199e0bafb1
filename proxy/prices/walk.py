"""An exchange led through its stages as the gateway does, between a client and targets that are not there."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ..courses import in_order
from ..downstream.settings import ListenerSettings
from ..downstream.writer import AnswerWriter
from ..errors import GatewayError
from ..exchange.exchange import Exchange
from ..exchange.fields import Fields
from ..exchange.message import Request, Response
from ..gateway import Gateway, Serving
from ..lane.body import WholeBody
from ..lane.pipeline import InlinePipeline, is_inline
from ..outliving import SharedAsk
from ..pipeline import Pipeline
from ..record import Record
from ..snapshot import Snapshot
from ..stages import Waiting
from ..targets import TargetCalls
from ..verdicts import Target
from .asked import Asked, Given
from .given_calls import GivenCalls

_ADDRESS = "192.0.2.1"  # RFC 5737
_REQUEST_ID = "0123456789abcdef0123456789abcdef"
_TRACEPARENT = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"


class Walk(Serving):
    """One exchange. Whatever the stages do with it, it has one end, and nothing of it leaves the process."""

    def __init__(self, gateway: Gateway, asked: Asked, given: Given) -> None:
        snapshot = gateway.snapshot
        self._gateway = gateway
        self._connection = _Nobody()
        self._writer = AnswerWriter(self._connection, is_head=asked.method == "HEAD", version=(1, 1), is_kept=True)
        self._record = Record(time.perf_counter())
        self._media_type = ""
        body = WholeBody(len(asked.body))
        self._body = body
        self._exchange = _exchange(asked, body)
        self._exchange.models = snapshot.models
        calls = GivenCalls(self._exchange, body, self._record, snapshot.clusters, given)
        self._calls = calls
        self._pipeline = _pipeline(self._exchange, body, self._record, snapshot, asked)

    async def lead(self) -> Exchange:
        """Lead it from the match of its route to its log stage; return it. Its status is in `status`."""
        await self._guarded(self._run(None))
        return self._exchange

    @property
    def status(self) -> int:
        """What the client was answered; 0: nothing."""
        return self._record.status

    @property
    def error(self) -> str:
        """Why it was answered by an error, or nothing."""
        error = self._record.error
        return "" if error is None else str(error)


def _exchange(asked: Asked, body: WholeBody) -> Exchange:
    path, _, query = asked.target.partition("?")
    framing = (("Content-Length", str(len(asked.body))),) if asked.body else ()
    fields = Fields(
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in (("Host", asked.host), *framing, *asked.fields)
    )
    request = Request(
        asked.method, asked.target, path, query, asked.host.lower(), "http", _ADDRESS, _ADDRESS, fields, body
    )
    exchange = Exchange(request, _REQUEST_ID, asyncio.get_running_loop().time)
    exchange.traceparent, exchange.trace_id = _TRACEPARENT, _REQUEST_ID
    return exchange


def _pipeline(exchange: Exchange, body: WholeBody, record: Record, snapshot: Snapshot, asked: Asked) -> Pipeline:
    """Return what leads the exchange: as in the lane where its route is served there."""
    if _is_for_the_lane(exchange, snapshot):
        return _AsInTheLane(exchange, body, record, snapshot, asked.body)
    body.complete(asked.body)
    return Pipeline(exchange, body, record, snapshot)


def _is_for_the_lane(exchange: Exchange, snapshot: Snapshot) -> bool:
    try:
        return is_inline(snapshot.match(exchange.request)[0])
    except GatewayError:  # it is raised again where it is answered
        return False


class _AsInTheLane(InlinePipeline):
    """The stages in the way in which the lane calls them."""

    __slots__ = ("_data",)

    def __init__(self, exchange: Exchange, body: WholeBody, record: Record, snapshot: Snapshot, data: bytes) -> None:
        super().__init__(exchange, body, record, snapshot)
        self._data = data

    async def answer(self, calls: TargetCalls) -> Response | SharedAsk:
        """Return the answer, or how to get one that others want, too. Raises: GatewayError."""
        exchange, body = self._exchange, self._body
        assert isinstance(body, WholeBody) and isinstance(calls, GivenCalls)
        program = self.matched(*self._snapshot.match(exchange.request))
        early = self.authenticate(program)
        if isinstance(early, Waiting):
            early = self.known(program, await early)
        if early is not None:
            return early
        body.complete(self._data)
        found = self.answer_now(program, body)
        if found is None:
            self.rescan(program, body)
            if program.chains["aggregate"].is_used:
                exchange.call = self._call(calls)
                found = self.aggregate_now(program)
        if found is None:
            return calls.answer(in_order(exchange.groups), self._record.served)
        return await self.answer_later(found, calls) if isinstance(found, Waiting) else found

    def _call(self, calls: TargetCalls) -> Any:
        async def call(target: Target, body: bytes | None = None) -> Response:
            self.calls = calls
            if not calls.is_prepared and self.program is not None:
                calls.prepare(self.program, self.body_scan)
            return await calls.call(target, body)

        return call


class _Nowhere(asyncio.Transport):
    """Takes whatever is written."""

    def write(self, data: Any) -> None:
        """Take it."""

    def is_closing(self) -> bool:
        """Never."""
        return False


class _Nobody:
    """A client that reads at once what it is answered."""

    exchange_task: asyncio.Task[Any] | None = None
    is_last = False
    is_cut = False
    is_idle = False
    writing_paused = False
    peer_address = _ADDRESS
    settings = ListenerSettings()
    transport: asyncio.Transport | None = _Nowhere()

    async def drained(self) -> None:
        """It has read."""

    def flush_soon(self) -> None:
        """It has."""

    def linger(self) -> None:
        """Nothing is to be closed."""

    def reset(self) -> None:
        """Nothing is to be aborted."""

    def drain(self) -> None:
        """Nothing follows."""

    def force_close(self) -> None:
        """Nothing is open."""
