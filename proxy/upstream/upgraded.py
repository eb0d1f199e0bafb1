"""A connection after its upgrade."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import GatewayError
from .wire import Wire


class UpgradedStream:
    """Bytes both ways. One task may read while another one writes."""

    __slots__ = ("_first", "_on_closed", "_wire")

    def __init__(self, wire: Wire, first: bytes, on_closed: Callable[[], None]) -> None:
        self._wire = wire
        self._first = first
        self._on_closed = on_closed

    async def read(self) -> bytes:
        """Return the next bytes; b"" is the end of the stream. Raises: GatewayError `reset`."""
        if self._first:
            first, self._first = self._first, b""
            return first
        try:
            return await self._wire.read()
        except ConnectionError as error:
            raise GatewayError("reset", f"inside the tunnel: {error}") from error

    async def write(self, data: bytes) -> None:
        """Send bytes, and wait while the upstream does not take them. Raises: GatewayError `reset`."""
        self._wire.write(data)
        if self._wire.is_write_paused:
            await self._wire.drain()
        if self._wire.is_lost:
            raise GatewayError("reset", f"inside the tunnel: {self._wire.error or 'closed'}")

    def close(self) -> None:
        """Close once everything written is sent, within some seconds."""
        self._wire.close()
        self._on_closed()

    def abort(self) -> None:
        """Close now."""
        self._wire.abort()
        self._on_closed()
