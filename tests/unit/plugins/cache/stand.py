"""The cache plugin on a stand: asked as the pipeline asks it, in front of a scripted origin, on a virtual clock."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from headgate.plugins.cache import Cache
from headgate.proxy.error_answer import error_response
from headgate.proxy.errors import GatewayError
from headgate.proxy.exchange.exchange import Exchange, RouteView
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Request, Response
from headgate.proxy.record import Record
from headgate.proxy.revising import revised
from headgate.proxy.verdicts import Hit, Identity, Miss, Target

EPOCH = 1_800_000_000  # the wall clock when the loop's clock is 0
GROUPS = ((Target("main"),),)

Lines = Sequence[tuple[str, str]]


def http_date(offset_s: float) -> str:
    """Write the instant `offset_s` after EPOCH as an HTTP date."""
    return formatdate(EPOCH + offset_s, usegmt=True)


class SentBody:
    """A request body that is there already."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def length(self) -> int | None:
        return len(self.data)

    @property
    def is_empty(self) -> bool:
        return not self.data

    async def read(self, limit_bytes: int) -> bytes:
        assert len(self.data) <= limit_bytes
        return self.data

    def arrived(self, limit_bytes: int) -> bytes | None:
        return b""

    def replace(self, data: bytes) -> None:
        self.data = data


@dataclass(frozen=True)
class Ask:
    """One request."""

    fields: Lines = ()
    method: str = "GET"
    target: str = "/a"
    host: str = "origin.test"
    scheme: str = "https"
    tenant: str | None = None
    body: bytes = b""
    route: str = "main"
    groups: tuple[tuple[Target, ...], ...] = GROUPS
    options: Mapping[str, Any] = field(default_factory=dict)
    deadline_s: float = float("inf")


@dataclass(frozen=True)
class Origin:
    """What the origin answers: after `delay_s`, with `gap_s` after each piece of the body.

    `end`: "whole"; "cut" inside the body; "fallback", whole but of another target; "error", no answer at all.
    """

    fields: Lines = (("Cache-Control", "max-age=60"),)
    status: int = 200
    pieces: tuple[bytes, ...] = (b"hello",)
    is_length_told: bool = True
    delay_s: float = 0.0
    gap_s: float = 0.0
    end: str = "whole"


Answering = Origin | Callable[[Fields], Origin]  # by what the request's fields are


@dataclass(frozen=True)
class Seen:
    """What the client got, and when; `body` is None where it was cut.

    `sent`: the fields that reached the origin, each time it was asked.
    """

    response: Response
    body: bytes | None
    verdict: str
    is_forwarded: bool
    began_at: float
    ended_at: float
    sent: tuple[Fields, ...] = ()

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def fields(self) -> Fields:
        return self.response.fields

    @property
    def cache_status(self) -> str:
        return self.fields.get("cache-status") or ""


def exchange_for(ask: Ask) -> Exchange:
    """Make the exchange of a request, as the core would."""
    loop = asyncio.get_running_loop()
    path, _, query = ask.target.partition("?")
    fields = Fields((name.encode("latin-1"), value.encode("latin-1")) for name, value in ask.fields)
    request = Request(
        ask.method, ask.target, path, query, ask.host, ask.scheme, "127.0.0.1", "127.0.0.1", fields, SentBody(ask.body)
    )
    exchange = Exchange(request, "request-1", loop.time)
    exchange.route = RouteView(ask.route, GROUPS, ask.options, False, 1 << 20)
    exchange.groups = ask.groups
    exchange.deadline = loop.time() + ask.deadline_s
    if ask.tenant is not None:
        exchange.identity = Identity(f"key-of-{ask.tenant}", ask.tenant)
    return exchange


async def look_up(cache: Cache, exchange: Exchange) -> Hit | Miss | None:
    """Return what the cache answers, at once or when it has waited."""
    verdict = cache.headgate_cache(exchange)
    return await verdict if isinstance(verdict, Awaitable) else verdict


class Stand:
    """A cache and what it did. To be used in a running loop."""

    def __init__(self, cache: Cache | None = None, **config: Any) -> None:
        self.cache = cache or Cache(Cache.Config(**config), wall=self.wall)
        self.num_forwarded = 0
        self.max_at_once = 0
        self._num_open = 0
        self.behind: set[asyncio.Task[Seen]] = set()  # what is fetched for the cache alone

    @staticmethod
    def wall() -> float:
        return EPOCH + asyncio.get_running_loop().time()

    async def ask(self, ask: Ask, *origins: Answering) -> Seen:
        """Lead one request through the plugin, and on to the origin where it has to.

        The last of `origins` is what it answers, however often it is asked; those before it each answer once.
        """
        exchange = exchange_for(ask)
        began_at = exchange.now()
        verdict = await look_up(self.cache, exchange)
        if isinstance(verdict, Hit):
            self.cache.headgate_response_head(exchange, verdict.response)
            if verdict.behind is not None:
                self._begin_behind(ask, verdict.behind, list(origins))
            body = verdict.response.body
            assert isinstance(body, bytes)
            return Seen(verdict.response, body, verdict.status, False, began_at, exchange.now())
        return await self._forward(exchange, verdict, list(origins or (Origin(),)), began_at)

    def _begin_behind(self, ask: Ask, behind: Callable[[Exchange], Miss | None], origins: list[Answering]) -> None:
        own = exchange_for(ask)
        miss = behind(own)
        if miss is not None:
            task = asyncio.ensure_future(self._forward(own, miss, origins, own.now()))
            self.behind.add(task)
            task.add_done_callback(self.behind.discard)

    async def _forward(
        self, exchange: Exchange, verdict: Miss | None, origins: list[Answering], began_at: float
    ) -> Seen:
        self.num_forwarded += 1
        self._num_open += 1
        self.max_at_once = max(self.max_at_once, self._num_open)
        sent: list[Fields] = []
        origin = Origin()

        async def ask() -> Response:
            nonlocal origin
            answering = origins.pop(0) if len(origins) > 1 else origins[0]
            origin = answering if isinstance(answering, Origin) else answering(exchange.request.fields)
            sent.append(exchange.request.fields.copy())
            await asyncio.sleep(origin.delay_s)
            if origin.end == "error":
                raise GatewayError("reset", "the origin gave no answer")
            return _response(exchange, origin)

        record = Record(began_at)
        record.keep_store(verdict.store if verdict is not None else None)
        record.cache_status = verdict.status if verdict is not None else ""
        is_good, body = False, None
        try:
            response = await self._answer(exchange, record, verdict, ask)
            record.offer(response)
            self.cache.headgate_response_head(exchange, response)
            with contextlib.suppress(ConnectionResetError):
                body = await self._relay(response, record)
                is_good = origin.end == "whole"
            return Seen(response, body, record.cache_status or "", True, began_at, exchange.now(), tuple(sent))
        finally:
            self._num_open -= 1
            record.is_complete, record.served.is_fallback = is_good, origin.end == "fallback"
            record.release()

    async def _answer(
        self, exchange: Exchange, record: Record, verdict: Miss | None, ask: Callable[[], Awaitable[Response]]
    ) -> Response:
        """Return what the core would give: of a failure it makes an answer of its own."""
        try:
            if verdict is None or verdict.revise is None:
                return await ask()
            return await revised(record, verdict.revise, ask)
        except GatewayError as error:
            record.drop_store()
            return error_response(error, exchange.request_id, exchange.request.path)

    async def _relay(self, response: Response, record: Record) -> bytes:
        if isinstance(response.body, bytes):
            record.feed(response.body)
            return response.body
        received = b""
        async for piece in response.body:
            record.feed(piece)
            received += piece
        return received


def _response(exchange: Exchange, origin: Origin) -> Response:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in origin.fields]
    is_head = exchange.request.method == "HEAD" or origin.status == 304
    length = sum(map(len, origin.pieces)) if origin.is_length_told else None
    return Response(origin.status, Fields(raw), _body(origin, () if is_head else origin.pieces), length)


async def _body(origin: Origin, pieces: tuple[bytes, ...]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(origin.gap_s)
    if origin.end == "cut":
        raise ConnectionResetError("the origin went away")
