"""The answers as an event stream: the first good one as it comes, the others as they end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from ...ext.sse import Event, EventScanner
from ...proxy.exchange.fields import Fields
from ...proxy.exchange.message import Response
from ...proxy.relay import close_body
from .branch import Branch
from .choosing import best_of, dumped, merged_value
from .reading import read
from .report import shown, summary, told_whole
from .rule import Verdict

if TYPE_CHECKING:
    from .asking import Asking

DONE = b"data: [DONE]\n\n"


class Parts:
    """The body of such a stream.

    The branch whose event stream begins first is the lead: its events pass as they came, one portion at a time, so that
    no more is read of it than the client takes. Every other branch that ends is one event `headgate.part`, and at the
    end one event `headgate.end` says what became of all. The lead's `[DONE]` waits for that.
    """

    __slots__ = ("_asking", "_begun", "_gathering", "_is_done_due", "_queue", "_room", "_task")

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._gathering = asking.gathering(self)
        self._queue: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue()  # whole parts, and one portion of the lead
        self._room = asyncio.Semaphore(1)
        self._begun = asyncio.Event()
        self._is_done_due = False
        self._task: asyncio.Task[Response | None] | None = None

    async def open(self) -> Response:
        """Return the stream once an answer is good; where none is, what `made_of` says. Raises: GatewayError."""
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: self._queue.put_nowait((b"", False)))
        beginning = asyncio.create_task(self._begun.wait())
        try:
            await asyncio.wait((self._task, beginning), return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            await self.aclose()
            raise
        finally:
            beginning.cancel()
        if not self._begun.is_set() and (answer := self._task.result()) is not None:
            return answer
        fields = Fields([(b"Content-Type", b"text/event-stream; charset=utf-8"), (b"Cache-Control", b"no-store")])
        lead = self._gathering.lead
        if lead is not None:
            fields.set("x-headgate-target", lead.target.name)
        return Response(200, fields, self, is_whole_events=True)

    # -- what the branches do

    async def take(self, branch: Branch, answer: Response) -> None:
        """Pass the first event stream on, and read any other answer whole."""
        if self._gathering.lead is not None or not _is_event_stream(answer):
            branch.body = await read(answer, self._asking.allowance)
            return
        self._gathering.lead_by(branch)
        self._begun.set()
        try:
            await self._pass_on(branch, answer)
        finally:
            await close_body(answer.body)

    def ended(self, branch: Branch) -> None:
        """Show what became of a branch."""
        if branch is not self._gathering.lead:
            self._put(_event(b"headgate.part", {"part": told_whole(branch)}))
            if branch.is_ok:
                self._begun.set()

    async def _pass_on(self, branch: Branch, answer: Response) -> None:
        scanner, allowance = EventScanner(), self._asking.allowance
        is_kept = self._asking.options.strategy != "all"
        assert not isinstance(answer.body, bytes)
        kept = bytearray()
        async for piece in answer.body:
            if is_kept:
                allowance.take(len(kept), len(piece))
                kept += piece
            await self._pass(scanner.feed(piece))
        await self._pass(scanner.finish())
        branch.body = bytes(kept)

    async def _pass(self, events: list[Event]) -> None:
        is_done = [event.data is not None and event.data.strip() == b"[DONE]" for event in events]
        self._is_done_due = self._is_done_due or any(is_done)
        portion = b"".join(event.raw for event, is_last in zip(events, is_done, strict=True) if not is_last)
        if portion:
            await self._room.acquire()
            self._queue.put_nowait((portion, True))

    def _put(self, event: bytes) -> None:
        self._queue.put_nowait((event, False))

    # -- what comes of them

    async def _run(self) -> Response | None:
        """Gather to the end. Returns another answer where there is nothing to stream. Raises: GatewayError."""
        asking, gathering = self._asking, self._gathering
        try:
            verdict = await gathering.run()
            lead = gathering.lead
            if lead is not None and not lead.is_ok:
                raise lead.error or gathering.rule.failure()
            if not self._begun.is_set():
                return await asking.made_of(gathering, verdict)
            if verdict is Verdict.LOST:
                raise gathering.rule.failure()
            self._put(_event(b"headgate.end", {"end": await self._end()}))
            if self._is_done_due:
                self._put(DONE)
        finally:
            asking.note()
        return None

    async def _end(self) -> dict[str, Any]:
        """Return what is told at the end: which part is the answer, or the answer where it is none of them."""
        asking = self._asking
        branches, strategy = asking.branches, asking.options.strategy
        if strategy == "judge":
            said = await asking.ask_judge()
            told = asking.told()
            return told if said.answer is None else {**told, "answer": shown(said.body, "application/json")}
        if strategy == "merge":
            return summary(branches, answer=orjson.Fragment(dumped(merged_value(branches))))
        if strategy == "best_of":
            return summary(branches, chosen=best_of(branches, asking.options.scorer).name)
        if strategy == "quorum" and asking.options.agree_on is not None:
            return summary(branches, chosen=self._gathering.rule.agreed().name)
        return summary(branches)

    # -- the body

    def __aiter__(self) -> Parts:
        return self

    async def __anext__(self) -> bytes:
        data, is_leads = await self._queue.get()
        if is_leads:
            self._room.release()
        if data:
            return data
        if self._task is not None:
            self._task.result()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End what is under way."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait((self._task,))
        if self._task is not None and not self._task.cancelled():
            self._task.exception()


def _is_event_stream(answer: Response) -> bool:
    media_type = (answer.fields.get("content-type") or "").partition(";")[0].strip().lower()
    is_plain = answer.fields.get("content-encoding", "identity") == "identity" and not isinstance(answer.body, bytes)
    return answer.status < 400 and media_type == "text/event-stream" and is_plain


def _event(name: bytes, value: dict[str, Any]) -> bytes:
    """Write an event of ours. Clients of completions take it for a chunk without choices."""
    data = orjson.dumps({"object": name.decode(), "choices": [], **value})
    # JSON that was given may have line ends between its values; in JSON they stand nowhere else.
    return b"event: %b\ndata: %b\n\n" % (name, data.replace(b"\r", b" ").replace(b"\n", b" "))
