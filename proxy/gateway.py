"""Serves one request from its head to its log line."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable
from http import HTTPStatus

from .address_limit import AddressLimit
from .arrival import new_exchange
from .downstream.body import ClientBody
from .downstream.client import Client
from .downstream.connection import DownstreamConnection
from .downstream.incoming import Answered, Incoming
from .downstream.request_body import RequestBody
from .downstream.shared_client import SharedClient
from .downstream.tunnel import run_tunnel
from .downstream.writer import AnswerWriter, DateLine
from .error_answer import error_response
from .errors import GatewayError
from .exchange.message import Response
from .observe.observer import Observer
from .observe.tracing import new_request_id
from .outliving import SharedAsk, outlive
from .pipeline import Pipeline
from .record import Record
from .relay import Relay, close_body, readable_type
from .snapshot import RouteProgram, Snapshot
from .stages import Chain
from .targets import TargetCalls, no_call

_NO_EVENTS = Chain("event", ())


class Gateway:
    """Holds the snapshot in force and serves requests with it."""

    def __init__(self, snapshot: Snapshot, observer: Observer) -> None:
        self.snapshot = snapshot
        self.older = deque[Snapshot]()  # not closed yet; one for each reload since the oldest exchange under way
        self.observer = observer
        self.is_draining = False
        self._date = DateLine()

    async def serve(self, incoming: Incoming, limit: AddressLimit | None) -> Answered:
        """Answer one request; log it exactly once, whatever happens. Cancel: the client is gone, or a drain cuts."""
        snapshot = self.snapshot
        snapshot.num_exchanges += 1
        self.observer.num_inflight += 1
        try:
            return await Serving(self, snapshot, incoming).run(limit)
        finally:
            snapshot.num_exchanges -= 1
            self.observer.num_inflight -= 1

    def refuse(self, peer: str, error: GatewayError) -> bytes:
        """Return the whole answer to what never became a request, and log it."""
        self.observer.refused(peer, error)
        request_id = new_request_id(None)
        response = error_response(error, request_id, "")
        head = b"HTTP/1.1 %d %b\r\n" % (error.kind.status, HTTPStatus(error.kind.status).phrase.encode())
        own = ((b"Date", self.date()), (b"X-Request-Id", request_id.encode()), (b"Connection", b"close"))
        fields = [*response.fields.raw, *own]
        lines = b"".join(b"%b: %b\r\n" % pair for pair in fields)
        body = response.body if isinstance(response.body, bytes) else b""
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (head, lines, len(body), body)

    async def close(self) -> None:
        """Close clusters and plugins of every snapshot that is left, the oldest first, and the access log."""
        while self.older:
            self.close_oldest()
        self.snapshot.close()
        self.observer.access_log.close()

    def replace(self, snapshot: Snapshot) -> None:
        """Put another snapshot in force. The one before is kept, to be closed."""
        self.older.append(self.snapshot)
        self.snapshot = snapshot

    def close_oldest(self) -> None:
        """Close what the oldest snapshot used and the one after it does not."""
        oldest = self.older.popleft()
        oldest.close(self.older[0] if self.older else self.snapshot)

    def date(self) -> bytes:
        """Return the value of the Date field for now."""
        return self._date.at(time.time())  # noqa: TID251 - the wall clock itself is wanted


class Serving:
    """One exchange being served: from here every way out leads through `_end`."""

    _way = "reference"  # as metrics call it

    def __init__(self, gateway: Gateway, snapshot: Snapshot, incoming: Incoming) -> None:
        connection, head = incoming.connection, incoming.head
        self._gateway = gateway
        self._connection: Client = connection
        self._writer = AnswerWriter(
            connection,
            is_head=head.method == b"HEAD",
            version=head.version,
            is_kept=head.is_keep_alive and not gateway.is_draining,
        )
        self._writer.is_continue_due = head.expects_continue and head.has_body
        self._record = Record(time.perf_counter())
        self._media_type = ""
        payload = incoming.payload if head.has_body else None
        length = head.content_length if not head.is_chunked else None
        self._body: RequestBody = ClientBody(payload, length, self._writer, connection.settings.body_timeout_s)
        self._exchange, origin = new_exchange(incoming, self._body)
        self._exchange.models = snapshot.models
        told = (origin, connection.settings.forwarded)
        self._calls = TargetCalls(self._exchange, self._body, self._record, snapshot.clusters, told)
        self._calls.on_interim = self._writer.send_interim
        self._pipeline = Pipeline(self._exchange, self._body, self._record, snapshot)

    async def run(self, limit: AddressLimit | None) -> Answered:
        """Serve the exchange to its end."""
        self._connection.exchange_task = asyncio.current_task()
        return await self._guarded(self._run(limit))

    async def _guarded(self, work: Awaitable[None]) -> Answered:
        """Do what serves the exchange; whatever comes of it, it has one end."""
        try:
            await work
        except GatewayError as error:
            await self._fail(error)
        except asyncio.CancelledError:
            if not await self._cut_by_drain():
                raise
        except Exception as error:
            self._gateway.observer.crashed(error)
            await self._fail(GatewayError("internal", repr(error)))
        finally:
            await self._end()
        return Answered(self._writer.is_kept and self._body.is_read and not self._connection.is_last)

    async def _run(self, limit: AddressLimit | None) -> None:
        if limit is not None:
            limit.check(self._exchange.request.client, self._exchange.now())
        response = await self._pipeline.answer(self._calls)
        if isinstance(response, SharedAsk):
            await self._share(response)
            return
        dispatch, connection = self._calls.dispatched, self._connection
        upgraded = dispatch.upgraded if dispatch is not None else None
        if upgraded is not None and isinstance(connection, DownstreamConnection):
            if self._pipeline.program is not None:
                await self._change_head(self._pipeline.program, response)
            self._decorate(response)
            await run_tunnel(connection, upgraded, response, self._record)
            return
        await self._send_offered(response)

    async def _share(self, asked: SharedAsk) -> None:
        """Fetch and send an answer that others want, too: for them this goes on though the client leaves."""
        record = self._record
        client = SharedClient(self._connection, asked.companions, record.note_client_gone)
        self._writer.send_to(client)
        try:
            await outlive(self._send_asked(asked), client)
        finally:
            if client.has_left:
                self._writer.is_kept = False
                record.error = record.error or GatewayError("client_gone", "it was fetched to its end for others")

    async def _send_asked(self, asked: SharedAsk) -> None:
        await self._send_offered(await asked.ask())

    async def _send_offered(self, response: Response) -> None:
        self._record.offer(response)  # as it came: a hit passes the response-head stage again
        await self._send(response)

    async def _send(self, response: Response) -> None:
        program = self._pipeline.program
        if program is not None:
            await self._change_head(program, response)
        if response.status >= 400 and not self._body.is_read:
            self._writer.is_kept = False  # the rest of the body is not waited for (RFC 9112 §9.3)
        self._decorate(response)
        await self._relay(response)

    async def _relay(self, response: Response) -> None:
        """Send an answer that has all its fields."""
        program = self._pipeline.program
        events = program.chains["event"] if program is not None else _NO_EVENTS
        relay = Relay(self._exchange, self._record, self._writer, events)
        self._media_type = readable_type(response)
        try:
            await relay.send(response)
        except GatewayError as error:
            self._record.error = error
            self._record.is_client_gone |= error.kind.name == "client_gone"
            if self._writer.withdraw() or not self._writer.is_begun:
                raise
            await relay.cut(error, self._media_type)

    async def _change_head(self, program: RouteProgram, response: Response) -> None:
        if program.response_edits is not None:
            program.response_edits.apply(response.fields)
        if not program.chains["response_head"]:
            return
        try:
            await program.chains["response_head"].every(self._exchange, response)
        except BaseException:
            await close_body(response.body)
            raise

    def _decorate(self, response: Response) -> None:
        """Add what every answer carries."""
        fields, record, served = response.fields, self._record, self._record.served
        for name, value in record.added_fields:
            fields.set(name, value)
        if "date" not in fields:
            fields.raw.append((b"Date", self._gateway.date()))
        fields.set("x-request-id", self._exchange.request_id)
        if served.target is not None:
            fields.raw.append((b"X-Headgate-Target", served.target.name.encode("latin-1", "replace")))
        if served.num_attempts:
            fields.raw.append((b"X-Headgate-Attempts", b"%d" % served.num_attempts))
        if served.is_fallback:
            fields.raw.append((b"X-Headgate-Fallback", b"true"))
        if record.cache_status is not None:
            fields.raw.append((b"X-Headgate-Cache", record.cache_status.encode("latin-1", "replace")))

    async def _fail(self, error: GatewayError) -> None:
        """Answer with an error, where no answer has begun."""
        self._record.error = error
        if error.kind.name == "client_gone":
            self._record.is_client_gone = True
        self._record.drop_store()
        if self._writer.is_begun or self._record.is_client_gone:
            self._writer.cut()
            return
        if error.kind.is_closing:
            self._writer.is_kept = False
        response = error_response(error, self._exchange.request_id, self._exchange.request.path)
        try:
            await self._send(response)
        except GatewayError:  # gone meanwhile
            self._record.is_client_gone = True

    async def _cut_by_drain(self) -> bool:
        """Give a typed end to an exchange that outlived the grace of a drain; False if the client is gone instead."""
        task = asyncio.current_task()
        if not self._connection.is_cut or task is None:
            self._record.is_client_gone = True
            self._record.error = GatewayError("client_gone", "the connection closed")
            self._writer.is_kept = False
            return False
        task.uncancel()
        error = GatewayError("draining", "cut at the end of the grace")
        if self._record.status == 101:
            self._record.error = error  # the tunnel has closed both its ends
        elif self._writer.is_begun:
            self._record.error = error
            await Relay(self._exchange, self._record, self._writer, _NO_EVENTS).cut(error, self._media_type)
        else:
            await self._fail(error)
        return True

    async def _end(self) -> None:
        """Give everything back and log."""
        try:
            await self._calls.close()
        except asyncio.CancelledError:  # the client left at this very moment: nothing may be left over for that
            await self._calls.close()
            raise
        finally:
            await self._settle()

    async def _settle(self) -> None:
        """Settle what was reserved, and tell how the exchange ended."""
        self._record.received_bytes += self._body.received_bytes
        self._record.release()
        outcome = self._record.outcome(time.perf_counter(), self._exchange.model, self._exchange.extra)
        program = self._pipeline.program
        try:
            if program is not None and program.chains["log"]:
                await program.chains["log"].every_to_its_end(self._exchange, outcome)
        finally:
            self._gateway.observer.ended(self._exchange, outcome, self._way)
            self._exchange.call = no_call  # or it would hold itself, until the garbage collector comes
