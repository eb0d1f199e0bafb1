"""Turns a request as it arrived into an exchange."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from ..ext.http1 import RequestHead
from .downstream.body import ClientBody
from .downstream.incoming import Incoming
from .exchange.exchange import Exchange
from .exchange.fields import Fields
from .exchange.message import Request
from .exchange.priority import DEFAULT, capped
from .forwarded import Origin, origin_of
from .http1.fields import get_members
from .observe.tracing import continue_trace, new_request_id


def new_exchange(incoming: Incoming, body: ClientBody) -> tuple[Exchange, Origin]:
    """Return the exchange of a request, and where the request came from."""
    fields = Fields(incoming.head.fields)
    origin = _origin(incoming, fields)
    request = _request(incoming.head, origin, fields, body)
    exchange = Exchange(request, new_request_id(fields.get("x-request-id")), asyncio.get_running_loop().time)
    exchange.traceparent, exchange.trace_id = continue_trace(fields.get("traceparent"))
    read_wishes(exchange, fields)
    return exchange, origin


def _origin(incoming: Incoming, fields: Fields) -> Origin:
    connection, settings = incoming.connection, incoming.connection.settings
    return origin_of(connection.peer_address, settings.is_tls, incoming.head.host, fields, settings.trusted_proxies)


def _request(head: RequestHead, origin: Origin, fields: Fields, body: ClientBody) -> Request:
    target = _origin_form(head.target.decode("latin-1"), head.method)
    path, _, query = target.partition("?")
    return Request(
        method=head.method.decode("latin-1"),
        target=target,
        path="/" if path == "*" else path,  # OPTIONS of the server as a whole (RFC 9112 §3.2.4)
        query=query,
        host=origin.host,
        scheme=origin.scheme,
        peer=origin.peer,
        client=origin.client,
        fields=fields,
        body=body,
        version=head.version,
        is_upgrade=_asks_websocket(head),
    )


def _origin_form(target: str, method: bytes) -> str:
    """Return the target as it came, or, of one in absolute form, its path and query (RFC 9112 §3.2.1, §3.2.4)."""
    if target.startswith("/") or "://" not in target:
        return target
    rest = target.partition("://")[2]
    slash = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    path = rest[slash:]
    if not path and method == b"OPTIONS":
        return "*"
    return path if path.startswith("/") else f"/{path}"


def _asks_websocket(head: RequestHead) -> bool:
    """Whether the client wants to switch to WebSocket, and may (RFC 9110 §7.8, RFC 6455 §4.1)."""
    if head.method != b"GET" or head.version < (1, 1) or head.has_body:
        return False
    upgrades = [token.lower() for token in get_members(head.fields, b"upgrade")]
    return upgrades == [b"websocket"] and b"upgrade" in get_members(head.fields, b"connection")


def read_wishes(exchange: Exchange, fields: Mapping[str, str]) -> None:
    """Read what a client may ask of the gateway: no fallback, a shorter deadline, a priority."""
    exchange.is_fallback_off = (fields.get("x-headgate-fallback") or "").strip().lower() == "off"
    said = (fields.get("x-headgate-deadline-ms") or "").strip()
    if said.isascii() and said.isdigit() and len(said) <= 12:
        exchange.deadline = exchange.now() + int(said) / 1000
    exchange.asked_priority = (fields.get("x-headgate-priority") or DEFAULT).strip().lower()
    exchange.priority = capped(exchange.asked_priority, DEFAULT)  # until an identity allows more
