"""The completion cache on a stand: as the pipeline asks it, with the core's own relay, on a virtual clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headgate.plugins.completion_cache import CompletionCache
from headgate.plugins.testing import make_exchange
from headgate.proxy.downstream.settings import ListenerSettings
from headgate.proxy.downstream.shared_client import SharedClient
from headgate.proxy.downstream.writer import AnswerWriter
from headgate.proxy.errors import GatewayError
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.outliving import outlive
from headgate.proxy.record import Record
from headgate.proxy.relay import Relay
from headgate.proxy.revising import revised
from headgate.proxy.stages import Chain
from headgate.proxy.verdicts import Hit, Identity, Miss, Target

from .answers import JSON, STREAM, chat, stream

GROUPS = ((Target("main"),),)
CHAT = "/v1/chat/completions"
PAUSED_BYTES = 65536
_NO_EVENTS = Chain("event", ())


@dataclass(frozen=True)
class Ask:
    """One request: `body` over what every one of them has."""

    body: Mapping[str, Any] = field(default_factory=dict)
    is_stream: bool = False
    tenant: str | None = None
    fields: Sequence[tuple[str, str]] = ()
    route: str = "main"
    target: str = CHAT
    model: str | None = None
    groups: tuple[tuple[Target, ...], ...] = GROUPS
    options: Mapping[str, Any] = field(default_factory=dict)
    deadline_s: float = float("inf")
    is_hurried: bool = False

    def exchange(self) -> Exchange:
        told = {"model": "m", "temperature": 0, "messages": [{"role": "user", "content": "hi"}], **self.body}
        if self.is_stream:
            told["stream"] = True
        options = CompletionCache.RouteOptions(enabled=True, **self.options)
        exchange = make_exchange(
            "POST",
            self.target,
            self.fields,
            json.dumps(told).encode(),
            route=self.route,
            options={"completion_cache": options},
            identity=Identity(f"key-of-{self.tenant}", self.tenant) if self.tenant is not None else None,
            model=self.model,
            groups=self.groups,
            deadline_s=self.deadline_s,
        )
        exchange.is_hurried = self.is_hurried
        return exchange


@dataclass(frozen=True)
class Origin:
    """What the targets answer: after `delay_s`, with `gap_s` before each piece of the body but the first.

    `end`: "whole"; "cut" inside the body; "fallback", whole but of another target; "error", no answer at all.
    """

    pieces: Sequence[bytes] = (chat(),)
    fields: Sequence[tuple[str, str]] = (JSON,)
    status: int = 200
    delay_s: float = 0.0
    gap_s: float = 0.0
    end: str = "whole"


def streamed(*pieces: bytes, **more: Any) -> Origin:
    """An origin that answers with a stream."""
    return Origin(pieces or stream(), (STREAM,), **more)


@dataclass
class Seen:
    """What the client got. `error` is the kind that ended it otherwise than well."""

    verdict: str | None = None
    response: Response | None = None
    body: bytes = b""
    error: str = ""
    ended_at: float = 0.0
    is_forwarded: bool = False

    @property
    def cache_status(self) -> str:
        return (self.response.fields.get("cache-status") or "") if self.response is not None else ""


class Reader:
    """A client that reads at once, or not while `is_slow`; it knows which task answers it."""

    def __init__(self, *, is_slow: bool = False) -> None:
        self.is_slow = is_slow
        self.data = bytearray()  # of the answer, as written
        self.num_unread = 0
        self.is_gone = False
        self.is_cut = self.is_last = False
        self.exchange_task: asyncio.Task[Any] | None = None
        self.settings = ListenerSettings()
        self.peer_address, self.is_idle = "192.0.2.1", False
        self._read = asyncio.Event()

    def leave(self) -> None:
        """Close the connection, as a client does."""
        self.is_gone = True
        self._read.set()
        if self.exchange_task is not None:
            self.exchange_task.cancel()

    def read_on(self) -> None:
        self.is_slow = False
        self.num_unread = 0
        self._read.set()

    @property
    def body(self) -> bytes:
        """What came behind the head, out of its framing."""
        _, _, rest = bytes(self.data).partition(b"\r\n\r\n")
        if b"Transfer-Encoding: chunked" not in self.data:
            return rest
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body += rest[: int(size, 16)]
            rest = rest[int(size, 16) + 2 :]
        return body

    # -- the transport

    @property
    def transport(self) -> Any:
        return self

    def is_closing(self) -> bool:
        return self.is_gone

    def write(self, data: bytes) -> None:
        assert not self.is_gone, "expected nothing to be written to who is gone"
        self.data += data
        self.num_unread += len(data) if self.is_slow else 0

    def get_write_buffer_size(self) -> int:
        return self.num_unread

    @property
    def writing_paused(self) -> bool:
        return self.num_unread > PAUSED_BYTES

    async def drained(self) -> None:
        while self.writing_paused and not self.is_gone:
            self._read.clear()
            await self._read.wait()
        if self.is_gone:
            raise ConnectionResetError("gone")

    def flush_soon(self) -> None: ...

    def linger(self) -> None: ...

    def drain(self) -> None: ...

    def force_close(self) -> None: ...

    def reset(self) -> None:
        self.leave()


async def look_up(cache: CompletionCache, exchange: Exchange) -> Hit | Miss | None:
    """Return what the cache answers, at once or when it has waited."""
    verdict = cache.headgate_cache(exchange)
    return await verdict if isinstance(verdict, Awaitable) else verdict


class Stand:
    """A cache and what it did. To be used in a running loop."""

    def __init__(self, **config: Any) -> None:
        self.cache = CompletionCache(CompletionCache.Config(**config))
        self.num_forwarded = 0
        self.num_open = 0
        self.num_aborted = 0

    async def ask(self, ask: Ask, origin: Origin | None = None, reader: Reader | None = None) -> Seen:
        """Lead one request through the plugin, and on to the origin where it has to; it may be cancelled."""
        reader = reader or Reader()
        reader.exchange_task = asyncio.current_task()
        exchange, record, seen = ask.exchange(), Record(0.0), Seen()
        writer = AnswerWriter(reader, is_head=False, version=(1, 1), is_kept=True)
        relay = Relay(exchange, record, writer, _NO_EVENTS)
        try:
            async with asyncio.timeout_at(exchange.deadline if exchange.deadline < float("inf") else None):
                verdict = await look_up(self.cache, exchange)
            await self._answer(verdict, (exchange, record, seen, relay, writer, reader), origin or self._origin(ask))
        except GatewayError as error:
            record.error = error
            record.drop_store()
            seen.error = error.kind.name
        finally:
            record.release()
            seen.ended_at = exchange.now()
            seen.verdict = record.cache_status
            seen.body = reader.body
        return seen

    @staticmethod
    def _origin(ask: Ask) -> Origin:
        return streamed() if ask.is_stream else Origin()

    async def _answer(self, verdict: Hit | Miss | None, about: Any, origin: Origin) -> None:
        exchange, record, seen, relay, writer, reader = about

        async def send(response: Response) -> None:
            record.offer(response)
            self.cache.headgate_response_head(exchange, response)
            seen.response = response
            await relay.send(response)

        async def fetch() -> Response:
            seen.is_forwarded = True
            return await self._fetch(record, origin)

        if isinstance(verdict, Hit):
            record.cache_status, record.is_hit = verdict.status, True
            await send(verdict.response)
            return
        companions = None
        if verdict is not None:
            record.cache_status, companions = verdict.status, verdict.companions
            record.keep_store(verdict.store, companions)
        revise = verdict.revise if verdict is not None else None

        async def all_of_it() -> None:
            await send(await (fetch() if revise is None else revised(record, revise, fetch)))

        if companions is None:
            await all_of_it()
            return
        client = SharedClient(reader, companions, record.note_client_gone)
        writer.send_to(client)
        await outlive(all_of_it(), client)

    async def _fetch(self, record: Record, origin: Origin) -> Response:
        self.num_forwarded += 1
        self.num_open += 1
        try:
            await asyncio.sleep(origin.delay_s)
            if origin.end == "error":
                raise GatewayError("reset", "the origin gave no answer")
        except asyncio.CancelledError:
            self.num_aborted += 1
            raise
        finally:
            self.num_open -= 1
        record.served.is_fallback = origin.end == "fallback"
        raw = [(name.encode(), value.encode()) for name, value in origin.fields]
        return Response(origin.status, Fields(raw), self._body(origin), is_whole_events=True)

    async def _body(self, origin: Origin) -> AsyncIterator[bytes]:
        is_over = False
        self.num_open += 1
        try:
            for number, piece in enumerate(origin.pieces):
                if number:
                    await asyncio.sleep(origin.gap_s)
                yield piece
            is_over = True
            if origin.end == "cut":
                raise GatewayError("reset", "the origin went away")
        finally:
            self.num_open -= 1
            self.num_aborted += not is_over
