"""An answer that is passed on as it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...ext.http1 import ChunkScanner, LengthScanner
from ...ext.lane import joined
from ...ext.sse import EventScanner
from ..errors import GatewayError
from ..exchange.attempt import Attempt
from ..exchange.fields import Fields
from ..exchange.message import Response
from ..exchange.progress import Progress
from ..relay import is_event_stream
from ..upstream.reader import MAX_EVENT_BYTES
from ..usage import JSON, UsageTap, usage_in
from .coming import COMING
from .takeover import TakenOver

if TYPE_CHECKING:
    from ...ext.lane import AnswerHead
    from .call import InlineCall

_END_S = 1.0  # a stream that is whole waits no longer for its end
BUFFERED_BYTES = 16 * 1024  # a larger body is not copied behind its head, but written by itself
_EVENT_END = b"\n\n\r\n"  # and with it that of its chunk
_LINE_END = b"\r\n\n\r\n"  # behind a size: of a line that was sent before
_NO_BYTES = b""


class InlineAnswer:
    """The body behind a head, whole events at a time where it is a stream of them.

    `scanner` knows where the body ends; `held` are portions before the commit point, `unread` is what was not looked at
    before it. `is_over`: every event was taken. `is_ending`: the stream is whole, and only its formal end is waited
    for, until the instant `ends_at`. `is_splitting`: nobody looks into the events, they are only passed on whole.
    """

    __slots__ = (
        "_attempt",
        "_call",
        "_machine",
        "_see_plain",
        "_serving",
        "_usage",
        "ends_at",
        "error",
        "events",
        "has_excess",
        "head",
        "held",
        "is_ending",
        "is_over",
        "is_splitting",
        "progress",
        "scanner",
        "unread",
    )

    def __init__(
        self, call: InlineCall, attempt: Attempt, head: AnswerHead, scanner: ChunkScanner | LengthScanner
    ) -> None:
        self._call = call
        self._attempt = attempt
        self._machine = call.machine
        self._serving = call.serving
        self.head = head
        self.scanner = scanner
        self.has_excess = self.is_ending = self.is_over = False
        self.ends_at = 0.0
        self.error: GatewayError | None = None  # behind what was taken
        self.unread = _NO_BYTES
        self.held: list[bytes] = []
        self._usage: UsageTap | None = None  # made for the first piece that is not all
        self.progress: Progress | None = None
        self.events: EventScanner | None = None
        self._see_plain: Callable[[bytes], tuple[int, int] | None] | None = None  # while `upstream_data` may be for us
        self.is_splitting = head.is_event_stream and not call.is_followed(head)
        if self.is_splitting:
            self.events = self._serving.record.splitter = EventScanner()
        elif head.is_event_stream:
            self._follow()

    def _follow(self) -> None:
        """Look into the events from now on."""
        program, scan = self._serving.program, self._serving.pipeline.body_scan
        is_strict, is_skipping = program.view.is_inference, program.is_skipping_malformed
        num_choices = scan.num_choices if scan is not None else 1
        self.progress = Progress(num_choices, is_strict=is_strict, is_skipping=is_skipping)
        self.events = self.progress.scanner = EventScanner(MAX_EVENT_BYTES)

    def take(self, data: bytes) -> None:
        """Take bytes of the body. Raises: GatewayError, ChunkError where it breaks off."""
        piece, size = self.scanner.decode(data)
        if size < len(data):
            self.has_excess = True
        self.took(piece, _NO_BYTES)

    def took(self, piece: bytes, head: bytes) -> None:
        """A piece of the body is there; the head, if given, has not been written yet."""
        if self.progress is not None:
            self._take_events(piece, head, self.scanner.is_complete)
            return
        if piece:
            self._machine.progressed(self._attempt, self._serving.exchange.now())
        self._pass(self._whole_events(piece) if self.is_splitting else piece, head, self.scanner.is_complete)
        if self._see_plain is None or self.is_splitting:
            self._look_for_chunks()

    def _whole_events(self, piece: bytes) -> bytes:
        """Return the events that a piece ends; behind the last one also what is none."""
        scanner = self.events
        assert scanner is not None
        found, rest = scanner.feed(piece), _NO_BYTES
        if self.scanner.is_complete:
            found += scanner.finish()
            rest = scanner.rest()
        return b"".join([event.raw for event in found]) + rest

    def _take_events(self, piece: bytes, head: bytes, is_last: bool) -> None:
        progress, scanner = self.progress, self.events
        assert progress is not None and scanner is not None
        found = scanner.feed(piece) if piece else []
        if is_last:
            found += scanner.finish()
        if found:
            self._machine.progressed(self._attempt, self._serving.exchange.now())
        passed, error = progress.take(found)
        if error is None and is_last:
            end, error = self._end(progress, scanner)
            passed += end
        if error is not None and head and not passed:
            self._serving.unsent = head  # it may still be withdrawn
            raise error
        self.error = error
        self._pass(passed, head, is_last and error is None)
        if self._call.wire is None:  # all is written, or a task goes on with it
            return
        if error is not None:
            raise error
        self._look_at_resume(progress)
        if progress.is_whole and not is_last and not self.is_ending:
            self._await_end()

    def _end(self, progress: Progress, scanner: EventScanner) -> tuple[bytes, GatewayError | None]:
        """Return what is still to be passed on of a stream that has ended, or why that is no end."""
        try:
            rest = progress.end(scanner.rest())
        except GatewayError as error:
            return _NO_BYTES, error
        self.is_over = True
        return rest, None

    def _await_end(self) -> None:
        self.is_ending = True
        self.ends_at = self._serving.exchange.now() + _END_S
        self._serving.connection.call_serving_at(self.ends_at)

    def _look_for_chunks(self) -> None:
        """Listen to the wire as long as whole chunks may come into which nobody looks: the call hears of the rest."""
        serving, chunks, wire, events = self._serving, self.scanner, self._call.wire, self.events
        if wire is None or not isinstance(chunks, ChunkScanner) or not serving.is_begun:
            return
        is_seen = serving.record.is_fed or serving.program.view.is_inference
        # What was sent has shown the scanner whether the stream begins with a byte order mark.
        is_even = chunks.is_between_chunks and serving.record.sent_bytes > 0
        if not is_seen and (events is None or (is_even and not events.held_bytes)):
            self._see_plain = chunks.see_plain
            wire.receiver = self
        else:
            wire.receiver = self._call

    def _look_for_plain(self, progress: Progress) -> None:
        """Listen to the wire as long as what comes may be plain: the call hears of the rest."""
        call, chunks, events = self._call, self.scanner, self.events
        if call.wire is None or events is None or not progress.is_steady:
            return
        is_even = isinstance(chunks, ChunkScanner) and chunks.is_between_chunks and not events.held_bytes
        if is_even and self._serving.is_begun and not self._serving.record.is_fed:
            self._see_plain = progress.state.see_plain
            call.wire.receiver = self
        else:
            call.wire.receiver = call

    def upstream_data(self, data: bytes) -> None:
        """Bytes came where whole chunks, of whole events, ended: if they are more of those, they go on as they came.

        No code of a plugin runs here: what follows needs no context.
        """
        assert self._see_plain is not None
        is_cut = self.is_splitting and (not data.endswith(_EVENT_END) or data.endswith(_LINE_END))
        found = None if is_cut else self._see_plain(data)
        if found is None:
            self._call.upstream_data(data)
            return
        try:
            self._pass_plain(data, *found)
        except Exception as error:
            self._serving.context.run(self._serving.crash, error)

    def _pass_plain(self, data: bytes, num: int, size: int) -> None:
        serving, connection = self._serving, self._serving.connection
        self._machine.progressed(self._attempt, serving.exchange.now())
        if self.progress is not None:
            self.progress.passed(num)
        serving.record.sent_bytes += size
        connection.transport.write(data)
        if connection.writing_paused:
            self._call.pause()

    def upstream_moved(self) -> None:
        """The connection was closed, from whatever side."""
        self._call.upstream_moved()

    def upstream_writable(self) -> None:
        """The target takes what it is sent."""
        self._call.upstream_writable()

    def _look_at_resume(self, progress: Progress) -> None:
        """The answer may be one that could go on after a break, or no longer one: then its pauses are shorter."""
        self._look_for_plain(progress)
        machine = self._machine
        is_resumable = self.head.numerics is not None and progress.is_resumable
        if is_resumable is not machine.is_resumable and self._serving.is_begun:
            machine.is_resumable = is_resumable
            self._serving.connection.call_serving_at(machine.timer_of(self._attempt)[0])

    def _pass(self, piece: bytes, head: bytes, is_last: bool) -> None:
        """Pass a piece on; before the commit point look whether the answer has begun."""
        if not self._serving.is_begun:
            if piece:
                self.held.append(piece)
            has_begun = is_last or (bool(piece) if self.progress is None else self.progress.has_begun)
            if not has_begun:
                return
            self._machine.began(self._attempt, self._serving.exchange.now())
            committed = self.commit(_NO_BYTES)
            if committed is None:
                return
            head, piece = committed, b"".join(self.held)
            self.held.clear()
        self._write(head, piece, is_last)

    def commit(self, unread: bytes) -> bytes | None:
        """The client gets this answer, and no other. Returns its head; None where a task passes it on.

        `unread`: what has come of the body, and is to be looked at.
        """
        serving, record, target, head = self._serving, self._serving.record, self._call.targets[0], self.head
        record.served.ends[1] = (target.name, "answered")
        record.served.target = target
        record.served.progress = self.progress
        fields = Fields()
        fields.raw = head.raw
        length = head.length if self.progress is None else None
        is_followed = self.progress is not None
        response = Response(head.status, fields, COMING, length, head.reason.decode("latin-1"), is_followed)
        record.offer(response)
        written = serving.begin(response, length)
        if written is None or (self.events is not None and not is_event_stream(response)):
            self.unread = unread
            serving.is_begun = False
            TakenOver.relay(serving, response)
            return None
        record.is_streamed = head.is_event_stream
        return written

    def _write(self, head: bytes, piece: bytes, is_last: bool) -> None:
        serving, record = self._serving, self._serving.record
        if piece:
            record.feed(piece)
            record.sent_bytes += len(piece)
        if piece or is_last:
            self._note_usage(piece, is_last)
        transport = serving.connection.transport
        if len(piece) > BUFFERED_BYTES and not serving.is_chunked:
            if head:
                transport.write(head)
            transport.write(piece)
        elif head or piece or (is_last and serving.is_chunked):
            transport.write(joined(head, piece, serving.is_chunked, is_last))
        if is_last:
            self._machine.finished(self._attempt, serving.exchange.now())
            self._call.let_go(is_reusable=self.head.is_keep_alive and not self.has_excess)
            serving.finish()
            return
        if head:
            serving.connection.call_serving_at(self._machine.timer_of(self._attempt)[0])
        if serving.connection.writing_paused:
            self._call.pause()

    def _note_usage(self, piece: bytes, is_last: bool) -> None:
        record, head = self._serving.record, self.head
        if self.progress is not None:
            state = self.progress.state
            record.prompt_tokens, record.completion_tokens = state.prompt_tokens, state.completion_tokens
        elif not self._serving.program.view.is_inference:
            return
        elif is_last and self._usage is None and head.media_type == JSON:  # all of it: nothing has to be kept
            record.prompt_tokens, record.completion_tokens = usage_in(piece)
        elif (usage := self.tap()) is not None:
            usage.feed(piece)
            if is_last:
                usage.finish()
            record.prompt_tokens, record.completion_tokens = usage.prompt_tokens, usage.completion_tokens
            record.num_events = usage.num_events

    def tap(self) -> UsageTap | None:
        """Return what has seen all pieces so far, to read the usage of them; None where nobody asks for it."""
        if self._usage is None and self.progress is None and self._serving.program.view.is_inference:
            self._usage = UsageTap(self.head.media_type.decode("latin-1"))
        return self._usage

    def end_early(self) -> None:
        """A stream that is whole is ended here, whatever becomes of its connection."""
        progress, scanner = self.progress, self.events
        assert progress is not None and scanner is not None
        self.has_excess = True  # the connection is not kept
        self._write(_NO_BYTES, progress.end(scanner.rest()), True)
