"""Passes an answer on to the client."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from ..ext.sse import Event, EventScanner, StreamState
from .downstream.writer import AnswerWriter
from .error_answer import error_event
from .errors import GatewayError
from .exchange.exchange import Exchange
from .exchange.message import Response
from .metering import Metering
from .record import Record
from .stages import Chain
from .usage import UsageTap

_EVENTS = "text/event-stream"
_LAST_EVENT_S = 1.0


class Relay:
    """One answer on its way to the client, seen by the cache's store and the usage tap."""

    __slots__ = ("_events", "_exchange", "_metering", "_record", "_writer", "usage")

    def __init__(self, exchange: Exchange, record: Record, writer: AnswerWriter, events: Chain) -> None:
        self._exchange = exchange
        self._record = record
        self._writer = writer
        self._events = events
        self._metering: Metering | None = None
        self.usage: UsageTap | None = None

    async def send(self, response: Response) -> None:
        """Send the whole answer. Raises: GatewayError once the head is out and the rest will not come."""
        try:
            self._begin(response)
        except BaseException:
            await close_body(response.body)
            raise
        await self.go_on(response)

    async def go_on(self, response: Response) -> None:
        """Send the body behind the head, or the rest of it. Raises: as `send`."""
        body = response.body
        try:
            if isinstance(body, bytes):
                self._see(body)
                await self._write(self._edited_whole(body) if self._is_editing(response) else body)
            else:
                await self._stream(response, body)
            self._record.completed()
            await self._writer.finish()
            self._record.is_complete = True
        finally:
            await close_body(body)

    def _begin(self, response: Response) -> None:
        record, exchange = self._record, self._exchange
        if record.meters and record.served.progress is not None and not record.usages:
            self._metering = Metering(record.meters)
        # What an aggregate's calls have cost was seen as they were read.
        is_counted = record.served.target is None and bool(record.usages)
        is_free = is_counted or record.is_hit
        if exchange.route.is_inference and record.served.progress is None and not is_free:
            self.usage = UsageTap(readable_type(response))
        record.splitter = None  # of an answer that was withdrawn
        record.status = response.status
        record.is_streamed = _media_type(response).startswith(_EVENTS)  # in whatever coding
        record.first_byte_at = time.perf_counter()  # the loop's clock is too coarse to measure with
        length = None if self._is_editing(response) else self._length(response)
        self._writer.begin(response.status, response.reason, response.fields.raw, length)

    def _is_editing(self, response: Response) -> bool:
        return bool(self._events) and is_event_stream(response)

    def _length(self, response: Response) -> int | None:
        """Return the length to declare; without a body it is that of the answer to a GET (RFC 9110 §8.6)."""
        if response.status == 304 or (self._exchange.request.method == "HEAD" and response.length is not None):
            return response.length
        return len(response.body) if isinstance(response.body, bytes) else response.length

    async def _stream(self, response: Response, body: AsyncIterator[bytes]) -> None:
        # Only whole events are passed on: an error told after half of one could not be read.
        is_whole = response.is_whole_events and not self._events and self._metering is None
        is_split = is_event_stream(response) and not is_whole
        scanner = None
        if is_split:
            scanner = self._record.splitter = self._record.splitter or EventScanner()
        async for piece in body:
            self._see(piece)
            if scanner is None:
                await self._write(piece)
            else:
                await self._write_events(scanner.feed(piece))
        if scanner is not None:
            await self._write_events(scanner.finish(), scanner.rest())
        if self.usage is not None:
            self.usage.finish()
            self._note_usage(self.usage)

    async def _write_events(self, found: Sequence[Event], rest: bytes = b"") -> None:
        """Pass events on, as far as they are allowed. Raises: GatewayError where one is not."""
        error: GatewayError | None = None
        if self._metering is not None:
            found, error = self._metering.allowed(found)
        await self._write(self._edited(found) + (rest if error is None else b""))
        if error is not None:
            raise error

    def _edited_whole(self, body: bytes) -> bytes:
        scanner = EventScanner()
        return self._edited(scanner.feed(body) + scanner.finish()) + scanner.rest()

    def _edited(self, found: Sequence[Event]) -> bytes:
        events = [event.raw for event in found]
        if self._events:
            events = [self._events.events(self._exchange, event) for event in events]
        return events[0] if len(events) == 1 else b"".join(events)

    def _see(self, piece: bytes) -> None:
        """Show a piece, as it came, to the cache and the usage tap."""
        self._record.feed(piece)
        if self.usage is not None:
            self.usage.feed(piece)
            self._note_usage(self.usage)
        elif (progress := self._record.served.progress) is not None:
            self._note_usage(progress.state)

    async def _write(self, piece: bytes) -> None:
        await self._writer.write(piece)
        if not self._record.is_client_gone:
            self._record.sent_bytes = self._writer.sent_bytes

    def _note_usage(self, usage: UsageTap | StreamState) -> None:
        self._record.prompt_tokens = usage.prompt_tokens
        self._record.completion_tokens = usage.completion_tokens
        self._record.num_events = usage.num_events

    async def cut(self, error: GatewayError, content_type: str) -> None:
        """End an answer whose head is out: an event stream by one in-band error, anything else by a reset.

        `content_type`: of what can be read, see `readable_type`.
        """
        is_told = content_type.startswith(_EVENTS) and not self._record.is_inside_event
        if is_told and self._writer.has_body and not self._writer.has_length:
            # A service that told its failure itself is not spoken over.
            await self._writer.end_with(error.event or error_event(error, self._exchange.request_id), _LAST_EVENT_S)
        else:
            self._writer.cut()


async def close_body(body: bytes | AsyncIterator[bytes]) -> None:
    """Give a streamed body's source back, read to its end or not."""
    close: Callable[[], Awaitable[None]] | None = getattr(body, "aclose", None)
    if close is not None:
        await close()


def readable_type(response: Response) -> str:
    """Return the media type of what can be read; of what is in a content coding nobody here can say anything."""
    is_coded = (response.fields.get("content-encoding") or "identity").lower() != "identity"
    return "" if is_coded else _media_type(response)


def is_event_stream(response: Response) -> bool:
    """Whether there are events to be read in an answer."""
    return readable_type(response).startswith(_EVENTS)


def _media_type(response: Response) -> str:
    return (response.fields.get("content-type") or "").lower()
