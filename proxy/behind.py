"""Fetches for a cache that has answered already: what is stale is replaced behind the client's back."""

from __future__ import annotations

import time
from collections.abc import Callable

from .courses import in_order
from .errors import GatewayError
from .exchange.exchange import Exchange
from .exchange.message import Request, Response
from .lane.body import WholeBody
from .record import Record
from .refusal import rejected
from .relay import close_body
from .revising import revised
from .snapshot import RouteProgram, Snapshot
from .targets import TargetCalls, no_call
from .tasks import spawn
from .verdicts import Miss, Reject

MAX_BEHIND = 64  # at once, for each configuration in force


def fetch_behind(
    snapshot: Snapshot,
    program: RouteProgram,
    exchange: Exchange,
    calls: TargetCalls,
    wanted: Callable[[Exchange], Miss | None],
) -> None:
    """Begin to fetch what `wanted` asks for, as its own exchange; nothing, where too many are fetched already.

    It is a GET for the same targets with the same fields, and has the route's time. The configuration stays in force
    for it until it has ended.
    """
    if snapshot.num_behind >= MAX_BEHIND:
        return
    own = _apart(exchange, program)
    record = Record(time.perf_counter())
    miss = record.decided(wanted, own)
    if isinstance(miss, Miss):
        record.keep_store(miss.store)
        snapshot.num_behind += 1
        snapshot.num_exchanges += 1
        spawn(_fetch(snapshot, program, calls.apart(own, record), own, miss), "fetch behind")


def _apart(exchange: Exchange, program: RouteProgram) -> Exchange:
    """Return an exchange of its own for the same request, without what only the client's has."""
    asked = exchange.request
    request = Request(
        "GET",
        asked.target,
        asked.path,
        asked.query,
        asked.host,
        asked.scheme,
        asked.peer,
        asked.client,
        asked.fields.copy(),
        WholeBody(0),
    )
    own = Exchange(request, exchange.request_id, exchange.now)
    for name in ("route", "params", "identity", "model", "models", "groups", "priority", "traceparent", "trace_id"):
        setattr(own, name, getattr(exchange, name))
    own.deadline = own.now() + program.deadline_s
    return own


async def _fetch(snapshot: Snapshot, program: RouteProgram, calls: TargetCalls, own: Exchange, miss: Miss) -> None:
    record = calls.record

    async def ask() -> Response:
        calls.prepare(program, None)
        verdict = await program.chains["aggregate"].first(own)
        if isinstance(verdict, Reject):
            raise rejected(verdict)
        return verdict or await calls.dispatch(in_order(own.groups))

    try:
        response = await (ask() if miss.revise is None else revised(record, miss.revise, ask))
        record.offer(response)
        await _feed(record, response)
    except GatewayError as error:
        record.error = error
    finally:
        try:
            await calls.close()
        finally:
            record.release()
            own.call = no_call
            snapshot.num_behind -= 1
            snapshot.num_exchanges -= 1


async def _feed(record: Record, response: Response) -> None:
    """Show the store the body, as long as it wants to see it."""
    body = response.body
    try:
        if isinstance(body, bytes):
            record.feed(body)
            record.is_complete = True
            return
        async for piece in body:
            record.feed(piece)
            if not record.is_fed:
                return
        record.is_complete = True
    finally:
        await close_body(body)
