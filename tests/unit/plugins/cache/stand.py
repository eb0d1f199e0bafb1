"""The cache plugin on a stand: asked as the pipeline asks it, in front of a scripted origin, on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from headgate.plugins.cache import Cache
from headgate.proxy.exchange.exchange import Exchange, RouteView
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Request, Response
from headgate.proxy.verdicts import Hit, Identity, Miss, Store, Target

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


@dataclass(frozen=True)
class Seen:
    """What the client got, and when; `body` is None where it was cut."""

    response: Response
    body: bytes | None
    verdict: str
    is_forwarded: bool
    began_at: float
    ended_at: float

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

    @staticmethod
    def wall() -> float:
        return EPOCH + asyncio.get_running_loop().time()

    async def ask(self, ask: Ask, origin: Origin | None = None) -> Seen:
        """Lead one request through the plugin, and on to the origin where it has to."""
        exchange = exchange_for(ask)
        began_at = exchange.now()
        verdict = await look_up(self.cache, exchange)
        if isinstance(verdict, Hit):
            self.cache.headgate_response_head(exchange, verdict.response)
            body = verdict.response.body
            assert isinstance(body, bytes)
            return Seen(verdict.response, body, verdict.status, False, began_at, exchange.now())
        return await self._forward(exchange, verdict, origin or Origin(), began_at)

    async def _forward(self, exchange: Exchange, verdict: Miss | None, origin: Origin, began_at: float) -> Seen:
        self.num_forwarded += 1
        self._num_open += 1
        self.max_at_once = max(self.max_at_once, self._num_open)
        store = verdict.store if verdict is not None else None
        is_good = False
        try:
            await asyncio.sleep(origin.delay_s)
            response = _response(exchange, origin)
            if origin.end == "error" and store is not None:  # no answer came: the core makes its own
                store.discard()
                store = None
            self.cache.headgate_response_head(exchange, response)
            body = await self._relay(response, store)
            is_good = origin.end == "whole"
            return Seen(response, body, verdict.status if verdict else "", True, began_at, exchange.now())
        except ConnectionResetError:
            return Seen(response, None, verdict.status if verdict else "", True, began_at, exchange.now())
        finally:
            self._num_open -= 1
            if store is not None:
                (store.commit if is_good else store.discard)()

    async def _relay(self, response: Response, store: Store | None) -> bytes:
        is_wanted = store is not None and store.begin(response)
        received = b""
        assert not isinstance(response.body, bytes)
        async for piece in response.body:
            is_wanted = is_wanted and store is not None and store.write(piece)
            received += piece
        return received


def _response(exchange: Exchange, origin: Origin) -> Response:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in origin.fields]
    is_head = exchange.request.method == "HEAD"
    length = sum(map(len, origin.pieces)) if origin.is_length_told else None
    return Response(origin.status, Fields(raw), _body(origin, () if is_head else origin.pieces), length)


async def _body(origin: Origin, pieces: tuple[bytes, ...]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(origin.gap_s)
    if origin.end == "cut":
        raise ConnectionResetError("the origin went away")
