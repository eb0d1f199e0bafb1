"""Exchanges as the pipeline hands them to a plugin."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headgate.proxy.exchange.exchange import Exchange, RouteView
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Request
from headgate.proxy.verdicts import Identity


class NoBody:
    """The body of a request that has none."""

    length = 0
    is_empty = True

    async def read(self, limit_bytes: int) -> bytes:
        return b""

    def arrived(self, limit_bytes: int) -> bytes:
        return b""

    def replace(self, data: bytes) -> None:
        raise AssertionError("a stage replaced a body that is not there")


def make_exchange(
    *fields: tuple[str, str],
    route: str = "chat",
    options: Mapping[str, object] | None = None,
    client: str = "192.0.2.1",
    identity: Identity | None = None,
    model: str | None = None,
    now: Callable[[], float] = lambda: 1000.0,
) -> Exchange:
    """Return the exchange of a GET with `fields`, matched to `route`."""
    request = Request(
        method="GET",
        target="/v1/models",
        path="/v1/models",
        query="",
        host="gate.example",
        scheme="http",
        peer=client,
        client=client,
        fields=Fields((name.encode("latin-1"), value.encode("latin-1")) for name, value in fields),
        body=NoBody(),
    )
    exchange = Exchange(request, "request-1", now)
    exchange.route = RouteView(route, (), options or {}, False, 0)
    exchange.identity = identity
    exchange.model = model
    return exchange
