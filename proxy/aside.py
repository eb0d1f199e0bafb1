"""Requests that are sent beside an exchange: whatever becomes of them, the exchange does not know it."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Collection
from dataclasses import dataclass

from .errors import GatewayError
from .exchange.exchange import Exchange
from .exchange.fields import Pair
from .exchange.message import Body
from .exchange.plan import IDEMPOTENT
from .exchange.replay import ReplayBuffer
from .forwarded import OWN, Origin, forwarded_fields, is_spoofable
from .http1.fields import end_to_end
from .upstream.cluster import Cluster, ClusterSettings
from .upstream.connection import UpstreamConnection

_MARK = (b"X-Headgate-Mirror", b"1")


@dataclass(frozen=True, slots=True)
class AsideRequest:
    """A copy of a request, without what frames and addresses it."""

    method: bytes
    target: bytes
    host: str
    fields: list[Pair]
    body: bytes

    @property
    def size_bytes(self) -> int:
        """What it takes, about."""
        return len(self.body) + len(self.target) + sum(len(name) + len(value) for name, value in self.fields)


@dataclass(frozen=True, slots=True)
class AsideAnswer:
    """What is known of an answer that nobody reads: its status, and a digest of its body."""

    status: int
    digest: bytes


def kept_body(body: Body) -> bytes | None:
    """Return the whole body of a request, where it was kept; nothing is waited for."""
    replay = getattr(body, "replay", None)
    if isinstance(replay, ReplayBuffer):
        return replay.joined() if replay.is_complete and replay.is_replayable else None
    return b"" if body.is_empty else None


def copied(exchange: Exchange, body: bytes, without: Collection[bytes]) -> AsideRequest:
    """Return a copy of an exchange's request, as targets get it but for the fields `without` (lower case)."""
    request = exchange.request
    fields = [
        pair
        for pair in end_to_end(request.fields.raw)
        if (name := pair[0].lower()) not in OWN and name not in without and not is_spoofable(name)
    ]
    fields += forwarded_fields(Origin(request.peer, request.client, request.scheme, request.host), "x-forwarded")
    vias = [value for name, value in request.fields.raw if name.lower() == b"via"]
    fields.append((b"X-Request-Id", exchange.request_id.encode()))
    fields.append((b"Traceparent", exchange.traceparent.encode()))
    fields.append((b"Via", b", ".join([*vias, b"1.1 headgate"])))
    fields.append(_MARK)
    if body or request.method in ("POST", "PUT", "PATCH"):
        fields.append((b"Content-Length", b"%d" % len(body)))
    return AsideRequest(request.method.encode("latin-1"), request.target.encode("latin-1"), request.host, fields, body)


class AsideTarget:
    """Endpoints that are asked beside exchanges, over connections of their own: no breaker or budget counts it."""

    __slots__ = ("_cluster",)

    def __init__(self, settings: ClusterSettings) -> None:
        self._cluster = Cluster(settings, random.random)

    async def ask(self, request: AsideRequest, deadline: float, max_answer_bytes: int) -> AsideAnswer:
        """Send a request and read its answer to the end.

        Sent once more where a kept connection turns out to be closed, and the method is idempotent; others get a
        connection of their own. Raises: GatewayError, `answer_too_large` for an answer above `max_answer_bytes`,
        `deadline` at that instant of the loop's clock. Cancel: the connection is closed.
        """
        is_repeatable = request.method.decode("latin-1") in IDEMPOTENT
        try:
            async with asyncio.timeout_at(deadline):
                try:
                    return await self._ask(request, deadline, max_answer_bytes, not is_repeatable)
                except GatewayError as error:
                    if error.kind.name != "stale_connection":
                        raise
                    return await self._ask(request, deadline, max_answer_bytes, True)
        except TimeoutError:
            raise GatewayError("deadline", "the answer was not there in time") from None

    async def _ask(self, request: AsideRequest, deadline: float, max_bytes: int, is_fresh: bool) -> AsideAnswer:
        member = self._cluster.pick((), asyncio.get_running_loop().time())
        connection: UpstreamConnection | None = None
        try:
            connection = await member.pool.acquire(deadline, fresh=is_fresh)
            authority = member.endpoint.authority
            connection.send_head(request.method, request.target, self._fields(request, authority))
            if request.body:
                await connection.send_body(request.body)
            connection.end_body()
            answer = await _read(connection, max_bytes)
            connection.release()
            return answer
        finally:
            member.num_active -= 1
            if connection is not None:
                connection.abort()  # nothing, once it is released

    def _fields(self, request: AsideRequest, authority: str) -> list[Pair]:
        settings = self._cluster.settings
        host = request.host if settings.is_host_preserved else authority
        own = [*([settings.credential] if settings.credential else []), *settings.set_fields]
        dropped = {name.lower().encode("latin-1") for name in (*settings.removed_fields, *(name for name, _ in own))}
        kept = [pair for pair in request.fields if pair[0].lower() not in dropped]
        return [
            (b"Host", host.encode("latin-1")),
            *kept,
            *((name.encode("latin-1"), value.encode("latin-1")) for name, value in own),
        ]

    def close(self) -> None:
        """Close the connections that are idle; those in use close with their request."""
        self._cluster.close()


async def _read(connection: UpstreamConnection, max_bytes: int) -> AsideAnswer:
    head = await connection.read_head()
    digest, size = hashlib.sha256(), 0
    while piece := await connection.read_body():
        size += len(piece)
        if size > max_bytes:
            raise GatewayError("answer_too_large", f"expected an answer of at most {max_bytes} bytes")
        digest.update(piece)
    return AsideAnswer(head.status, digest.digest())
