"""Exchanges as the gateway hands them to a plugin."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypedDict, Unpack

from ...proxy.errors import GatewayError
from ...proxy.exchange.exchange import Call, Exchange, RouteView
from ...proxy.exchange.fields import Fields
from ...proxy.exchange.message import Request
from ...proxy.targets import no_call
from ...proxy.verdicts import Identity, Target

Groups = tuple[tuple[Target, ...], ...]
_BODY_LIMIT_BYTES = 1 << 30


class HeldBody:
    """The body of a request, there already. `data` is what would be sent upstream."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data
        self.is_replaced = False

    @property
    def length(self) -> int | None:
        """Its length in bytes."""
        return len(self.data)

    @property
    def is_empty(self) -> bool:
        """Whether the request has no body at all."""
        return not self.data

    async def read(self, limit_bytes: int) -> bytes:
        """Return the whole of it. Raises: GatewayError `body_too_large`, as the gateway's does."""
        return self.arrived(limit_bytes)

    def arrived(self, limit_bytes: int) -> bytes:
        """Return the whole of it, as `read` does: there is nothing to wait for."""
        if len(self.data) > limit_bytes:
            raise GatewayError("body_too_large", f"{len(self.data)} bytes, at most {limit_bytes} are read here")
        return self.data

    def replace(self, data: bytes) -> None:
        """Put `data` in its place."""
        self.data = data
        self.is_replaced = True


class About(TypedDict, total=False):
    """What else an exchange may be told to be. `options` are checked `RouteOptions` by the plugin's name.

    `deadline_s` counts from now. `now` is the clock; without it that of the running loop. `call` answers the targets
    that an aggregate asks.
    """

    route: str
    options: Mapping[str, object]
    identity: Identity | None
    model: str | None
    groups: Groups
    params: Mapping[str, str]
    client: str
    host: str
    scheme: str
    deadline_s: float
    now: Callable[[], float]
    call: Call


def make_exchange(
    method: str = "GET",
    target: str = "/",
    fields: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    **about: Unpack[About],
) -> Exchange:
    """Return the exchange of one request, as if the stages before had run. `target` is path and query."""
    path, _, query = target.partition("?")
    client = about.get("client", "192.0.2.1")
    request = Request(
        method=method,
        target=target,
        path=path,
        query=query,
        host=about.get("host", "gate.example"),
        scheme=about.get("scheme", "https"),
        peer=client,
        client=client,
        fields=Fields((name.encode("latin-1"), value.encode("latin-1")) for name, value in fields),
        body=HeldBody(body),
    )
    exchange = Exchange(request, "request-1", about.get("now", loop_now))
    exchange.groups = about.get("groups", ())
    exchange.route = RouteView(
        about.get("route", "main"), exchange.groups, about.get("options", {}), False, _BODY_LIMIT_BYTES
    )
    exchange.params = about.get("params", {})
    exchange.identity = about.get("identity")
    exchange.model = about.get("model")
    exchange.deadline = exchange.now() + about.get("deadline_s", float("inf"))
    exchange.call = about.get("call", no_call)
    return exchange


def loop_now() -> float:
    """Read the clock of the running loop; outside of one, the clock that loops read."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()
