"""The addresses of an endpoint."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import Any

from ..errors import GatewayError
from .endpoint import Endpoint

MAX_ADDRESSES = 8

Address = tuple[socket.AddressFamily, tuple[Any, ...] | str]


class Resolver:
    """Looks an endpoint's name up, one look-up at a time; a failed one leaves the last good addresses."""

    __slots__ = ("_endpoint", "_known", "_lookup")

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._known: list[Address] = _literal(endpoint)
        self._lookup: asyncio.Future[Any] | None = None

    async def addresses(self, timeout_s: float) -> list[Address]:
        """Return at least one and at most `MAX_ADDRESSES` addresses.

        Where good addresses are known, a slow look-up gets half of the time, then they are used.
        Raises: GatewayError `connect_failed`, `connect_timeout`.
        """
        if _literal(self._endpoint):
            return self._known
        if self._lookup is None:
            self._lookup = self._start()
        lookup = self._lookup
        await asyncio.wait([lookup], timeout=timeout_s / 2 if self._known else timeout_s)
        if self._known:
            return self._known
        if not lookup.done():
            raise GatewayError("connect_timeout", f"no answer to the look-up of {self._endpoint.host!r} in time")
        raise GatewayError(
            "connect_failed", f"look-up of {self._endpoint.host!r}: {lookup.exception() or 'no address'}"
        )

    def _start(self) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        endpoint = self._endpoint
        lookup: asyncio.Future[Any] = asyncio.ensure_future(
            loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
        )
        lookup.add_done_callback(self._looked_up)
        return lookup

    def _looked_up(self, lookup: asyncio.Future[Any]) -> None:
        self._lookup = None
        if not lookup.cancelled() and lookup.exception() is None:
            found: list[Address] = [(family, address) for family, _, _, _, address in lookup.result()]
            self._known = found[:MAX_ADDRESSES] or self._known


def _literal(endpoint: Endpoint) -> list[Address]:
    """The address of an endpoint that needs no look-up; else nothing."""
    if endpoint.unix_path:
        return [(socket.AF_UNIX, endpoint.unix_path)]
    try:
        address = ip_address(endpoint.host)
    except ValueError:
        return []
    if address.version == 4:
        return [(socket.AF_INET, (endpoint.host, endpoint.port))]
    return [(socket.AF_INET6, (endpoint.host, endpoint.port, 0, 0))]
