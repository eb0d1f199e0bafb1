"""A task that takes an exchange over which is no longer plain, and goes on with it as it stands."""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any

from ...ext.http1 import Framing, ResponseHead
from ..downstream.writer import AnswerWriter
from ..errors import GatewayError
from ..exchange.command import Command
from ..exchange.fields import Fields
from ..exchange.message import Response
from ..gateway import Serving
from ..outliving import SharedAsk
from ..relay import Relay
from ..stages import Waiting
from ..tasks import spawn
from ..upstream.adopted import AdoptedDispatch
from ..upstream.answer_body import AnswerBody
from ..upstream.attempt import UpstreamAttempt
from ..upstream.cluster import Member
from ..upstream.continuation import FIELD
from ..upstream.opened import Opened
from ..upstream.reader import BrokenReader, EventReader, PieceReader, Reader
from .coming import Coming

if TYPE_CHECKING:
    from ...ext.lane import AnswerHead
    from .answer import InlineAnswer
    from .call import InlineCall
    from .serving import InlineServing


@types.coroutine
def _until_task() -> Generator[None, None, None]:
    """Wait until a task goes on with the coroutine that was begun by hand."""
    yield


class TakenOver(Serving):
    """The reference path's way to serve an exchange, from the middle on."""

    _way = "taken_over"

    def __init__(self, inline: InlineServing) -> None:
        connection = inline.connection
        self._inline = inline
        self._gateway = inline.acceptor.gateway
        self._connection = connection
        self._writer = AnswerWriter(connection, is_head=False, version=(1, 1), is_kept=inline.is_kept)
        self._record = inline.record
        self._media_type = ""
        self._body = inline.body
        self._exchange = inline.exchange
        self._calls = inline.calls
        self._calls.on_interim = self._writer.send_interim
        self._pipeline = inline.pipeline

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        serving = self._serve(work)
        # Into its `try`: a task that is cancelled before its first step would never come there.
        serving.send(None)
        self._inline.connection.taken_over(spawn(serving, "exchange", self._inline.context))

    async def _serve(self, work: Coroutine[Any, Any, None]) -> None:
        answered = False
        try:
            answered = (await self._guarded(work)).keep_alive
        finally:
            self._inline.left()
            self._inline.untie()
            self._loop_soon(answered)

    def _loop_soon(self, is_kept: bool) -> None:
        # Not here: what comes next on the connection is not this task's.
        self._inline.acceptor.loop.call_soon(self._inline.connection.handled, is_kept)

    # -- how an exchange is taken over

    @classmethod
    def wait(cls, inline: InlineServing, waiting: Waiting) -> None:
        """A stage has to wait before it answers."""
        taken = cls(inline)
        taken._begin(taken._answer_later(waiting))

    @classmethod
    def answer(cls, inline: InlineServing, response: Response) -> None:
        """An answer is there that is not written in one piece."""
        taken = cls(inline)
        taken._begin(taken._give(response))

    @classmethod
    def dispatch(cls, inline: InlineServing, call: InlineCall, command: Command) -> None:
        """The first attempt is not one to be made at once."""
        taken = cls(inline)
        taken._begin(taken._dispatch(taken._adopt(call), command))

    @classmethod
    def unconnected(cls, inline: InlineServing, call: InlineCall, member: Member, error: GatewayError) -> None:
        """No connection for the first attempt could be had."""
        taken = cls(inline)
        taken._begin(taken._unconnected(taken._adopt(call), call, member, error))

    @classmethod
    def go_on(cls, inline: InlineServing, call: InlineCall, error: GatewayError | None = None) -> None:
        """An attempt is under way; with an error that is how its answer breaks off."""
        taken = cls(inline)
        dispatch, upstream = taken._adopt(call), call.adopted()
        answer = call.answer
        opened = _opened(answer, upstream, error) if answer is not None else None
        if answer is not None and opened is not None and inline.is_begun:
            taken._go_on_with(opened, is_event_stream=answer.events is not None)
            taken._begin(taken._relay_rest(answer, opened, dispatch.join(upstream, opened)))
        else:
            dispatch.adopt(upstream)
            taken._begin(taken._go_on(dispatch, upstream, opened))

    @classmethod
    def relay(cls, inline: InlineServing, response: Response) -> None:
        """An answer has all its fields, and a stage has made it one that is not passed on at once."""
        taken, call = cls(inline), inline.call
        if call is not None and call.answer is not None and isinstance(response.body, Coming):
            dispatch, upstream = taken._adopt(call), call.adopted()
            response.body = dispatch.join(upstream, _opened(call.answer, upstream, call.answer.error))
        elif call is not None:
            call.abandon()  # its body is not wanted
        taken._begin(taken._relay_later(response))

    # -- what the task does

    async def _relay_later(self, response: Response) -> None:
        await _until_task()
        await self._relay(response)

    async def _answer_later(self, waiting: Waiting) -> None:
        try:
            await _until_task()
        except BaseException:  # the client has left before anybody waited
            waiting.close()
            raise
        response = await self._pipeline.answer_later(waiting, self._calls)  # type: ignore[attr-defined]
        await (self._share(response) if isinstance(response, SharedAsk) else self._send_offered(response))

    async def _give(self, response: Response) -> None:
        await _until_task()
        await self._send_offered(response)

    async def _dispatch(self, dispatch: AdoptedDispatch, command: Command) -> None:
        await _until_task()
        await self._send_offered(await dispatch.open_from(command))

    async def _unconnected(
        self, dispatch: AdoptedDispatch, call: InlineCall, member: Member, error: GatewayError
    ) -> None:
        await _until_task()
        assert call.attempt is not None
        await self._send_offered(await dispatch.unconnected(call.attempt, member, error))

    async def _go_on(self, dispatch: AdoptedDispatch, upstream: UpstreamAttempt, opened: Opened | None) -> None:
        await _until_task()
        await self._send_offered(await dispatch.go_on(upstream, opened))

    def _adopt(self, call: InlineCall) -> AdoptedDispatch:
        if not self._calls.is_prepared:
            self._calls.prepare(self._inline.program, self._inline.pipeline.body_scan)
        return self._calls.adopt(call.plan, call.targets, (call.gate, call.machine))

    def _go_on_with(self, opened: Opened, *, is_event_stream: bool) -> None:
        """Let the writer go on with an answer. Before any wait: who is cancelled has to know what the client has."""
        sent_bytes = self._record.sent_bytes
        length = opened.head.content_length if not self._inline.is_chunked else None
        self._writer.go_on_from(None if length is None else length - sent_bytes, sent_bytes, self._inline.unsent)
        self._media_type = "text/event-stream" if is_event_stream else ""

    async def _relay_rest(self, answer: InlineAnswer, opened: Opened, body: AnswerBody) -> None:
        """Pass the rest of an answer on whose head, and some of it, the client has, or is about to be sent."""
        await _until_task()
        writer = self._writer
        writer.flush_soon()
        fields = Fields([(b"Content-Type", self._media_type.encode())])
        response = Response(opened.head.status, fields, body, is_whole_events=not answer.is_splitting)
        relay = Relay(self._exchange, self._record, writer, self._inline.program.chains["event"])
        relay.usage = answer.tap()
        try:
            await relay.go_on(response)
        except GatewayError as error:
            self._record.error = error
            if writer.withdraw():
                raise
            await relay.cut(error, self._media_type)


def _opened(answer: InlineAnswer, upstream: UpstreamAttempt, error: GatewayError | None) -> Opened:
    """Return an answer that was read so far."""
    reader: Reader = PieceReader(upstream)
    if answer.progress is not None and answer.events is not None:
        reader = EventReader.adopted(upstream, answer.progress, answer.events, error)
    elif error is not None:
        reader = BrokenReader(upstream, error)
    opened = Opened.adopted(upstream, response_head(answer.head), reader, answer.progress)
    opened.held, answer.held = answer.held, []
    opened.held_bytes = sum(map(len, opened.held))
    opened.is_ended = upstream.is_complete = answer.is_over
    return opened


def response_head(head: AnswerHead) -> ResponseHead:
    """Return the head of an answer as the reference path reads it, without what does not travel on."""
    told = [] if head.numerics is None else [(FIELD, head.numerics)]
    framing: Framing = "chunked" if head.length is None else "length"
    fields = (*head.raw, *told)
    return ResponseHead(head.status, head.reason, (1, 1), fields, framing, head.length, head.is_keep_alive)
