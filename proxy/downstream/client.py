"""What serves a client needs of its connection, whoever reads from it."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from .settings import ListenerSettings


class Outlet(Protocol):
    """What bytes for a client are written to."""

    def write(self, data: bytes) -> None:
        """Send `data`, after all that was given before."""

    def is_closing(self) -> bool:
        """Whether nothing more is sent."""


class Recipient(Protocol):
    """What the writer of an answer needs of the client's connection."""

    @property
    def is_last(self) -> bool:
        """Whether nothing follows the answer under way."""

    @property
    def settings(self) -> ListenerSettings:
        """The listener's settings."""

    @property
    def transport(self) -> Outlet | None:
        """What bytes are written to; None once it is gone."""

    @property
    def writing_paused(self) -> bool:
        """Whether the client does not read as fast as it is answered."""

    async def drained(self) -> None:
        """Wait until the client has read enough. Raises: ConnectionError once it is gone."""

    def flush_soon(self) -> None:
        """From now on `drained` waits until every byte has left."""

    def linger(self) -> None:
        """Close once the client has read."""

    def reset(self) -> None:
        """Abort, so that the client cannot take a cut answer for a whole one."""


class Client(Protocol):
    """A connection accepted on a listener: the reference path's, or the lane's.

    `is_last`: nothing follows the answer under way. `is_cut`: a drain whose grace has ended ends it. `exchange_task`
    serves the request under way, where a task does.
    """

    exchange_task: asyncio.Task[Any] | None
    is_last: bool
    is_cut: bool

    @property
    def settings(self) -> ListenerSettings:
        """The listener's settings."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """What bytes are written to; None once it is gone."""

    @property
    def writing_paused(self) -> bool:
        """Whether the client does not read as fast as it is answered."""

    @property
    def peer_address(self) -> str:
        """The address of the other end; "" for a Unix socket."""

    @property
    def is_idle(self) -> bool:
        """Whether no exchange runs here."""

    async def drained(self) -> None:
        """Wait until the client has read enough. Raises: ConnectionError once it is gone."""

    def flush_soon(self) -> None:
        """From now on `drained` waits until every byte has left."""

    def linger(self) -> None:
        """Close once the client has read."""

    def reset(self) -> None:
        """Abort, so that the client cannot take a cut answer for a whole one."""

    def drain(self) -> None:
        """Close now if no request is under way, else after its answer."""

    def force_close(self) -> None:
        """Close now."""
