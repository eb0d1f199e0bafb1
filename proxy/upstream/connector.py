"""Opening a connection to an endpoint."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from ..errors import GatewayError
from .endpoint import Endpoint
from .resolver import Address, Resolver
from .wire import Wire

_SHUTDOWN_S = 1.0  # how long a TLS connection may take to say goodbye
_SPARE_S = 0.1


class Connector:
    """Opens connections to one endpoint."""

    __slots__ = ("_endpoint", "_resolver")

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._resolver = Resolver(endpoint)

    async def connect(self, timeout_s: float) -> Wire:
        """Return an open connection, with TLS where the endpoint has it.

        Every address is tried, each with its share of the time that is left.
        Raises: GatewayError `connect_failed`, `connect_timeout`, `tls_failed`.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        addresses = await self._resolver.addresses(timeout_s)
        sock = await self._connect_any(addresses, until)
        return await self._open(Wire(loop, sock), sock, until)

    async def _connect_any(self, addresses: list[Address], until: float) -> socket.socket:
        loop = asyncio.get_running_loop()
        failures: list[OSError] = []
        for index, (family, address) in enumerate(addresses):
            share_s = (until - loop.time()) / (len(addresses) - index)
            try:
                async with asyncio.timeout(share_s):
                    return await _connect_socket(loop, family, address)
            except OSError as error:  # a TimeoutError is one
                failures.append(error)
        is_timeout = all(isinstance(error, TimeoutError) for error in failures)
        why = "; ".join(str(error) or "no answer in time" for error in failures)
        raise GatewayError("connect_timeout" if is_timeout else "connect_failed", f"{self._endpoint.authority}: {why}")

    async def _open(self, wire: Wire, sock: socket.socket, until: float) -> Wire:
        """Put a transport on a connected socket, after the TLS handshake if there is one."""
        loop, endpoint = asyncio.get_running_loop(), self._endpoint
        create = loop.create_unix_connection if endpoint.unix_path else loop.create_connection
        options: dict[str, Any] = {}
        if endpoint.tls is not None:
            options = {
                "ssl": endpoint.tls,
                "server_hostname": endpoint.server_name,
                # Ours ends it before. Cancelled in its first steps, a handshake is kept until this timer ends.
                "ssl_handshake_timeout": max(0.0, until - loop.time()) + _SPARE_S,
                "ssl_shutdown_timeout": _SHUTDOWN_S,
            }
        try:
            async with asyncio.timeout_at(until):
                await create(lambda: wire, sock=sock, **options)
        except TimeoutError:
            why = "no answer in time" if endpoint.tls is None else "the TLS handshake took too long"
            raise GatewayError("connect_timeout", f"{endpoint.authority}: {why}") from None
        except OSError as error:  # every ssl.SSLError is one
            kind = "connect_failed" if endpoint.tls is None else "tls_failed"
            raise GatewayError(kind, f"{endpoint.authority}: {error or type(error).__name__}") from error
        return wire


async def _connect_socket(
    loop: asyncio.AbstractEventLoop, family: socket.AddressFamily, address: tuple[Any, ...] | str
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
