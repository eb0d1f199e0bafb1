"""A client whose answer others want, too."""

from __future__ import annotations

from collections.abc import Callable

from ..verdicts import Companions
from .client import Client
from .settings import ListenerSettings


class SharedClient:
    """Stands for a client's connection to the writer of its answer: for the others' sake the client is not waited for.

    Once it `has_left`, which `note_left` is told of, what is written goes nowhere. `stop` ends the exchange.
    """

    __slots__ = ("_client", "_companions", "_note_left", "has_left", "stop")

    def __init__(self, client: Client, companions: Companions, note_left: Callable[[], None]) -> None:
        self._client = client
        self._companions = companions
        self._note_left = note_left
        self.has_left = False
        self.stop: Callable[[], object] | None = None

    def leave(self) -> bool:
        """The client is gone, or given up. Returns whether the exchange goes on without it."""
        if self._client.is_cut or not self._companions.are_waiting:
            return False
        if not self.has_left:
            self.has_left = True
            self._note_left()
            self._companions.left(self._end)
        return True

    def _end(self) -> None:
        if self.stop is not None:
            self.stop()

    # -- what it is written to

    def write(self, data: bytes) -> None:
        """Send `data`; a client that is too far behind is given up."""
        transport = self._client.transport
        if self.has_left or transport is None:
            return
        transport.write(data)
        if not self._client.writing_paused or not self._companions.are_waiting:
            return
        if transport.get_write_buffer_size() > self._companions.max_behind_bytes and self.leave():
            self._client.reset()

    def is_closing(self) -> bool:
        """Whether nothing more is sent: never, as what is for nobody is dropped."""
        return False

    # -- what the writer needs of a connection

    @property
    def transport(self) -> SharedClient | None:
        """What bytes are written to; None once it is gone and nobody else wants the answer."""
        transport = self._client.transport
        is_gone = transport is None or transport.is_closing()
        return None if is_gone and not self.leave() else self

    @property
    def writing_paused(self) -> bool:
        """Whether the client is to be waited for."""
        return not self.has_left and self._client.writing_paused and not self._companions.is_hurried

    async def drained(self) -> None:
        """Wait until the client has read enough. Raises: ConnectionError once it is gone, and nobody else is there."""
        try:
            if not self.has_left:
                await self._client.drained()
        except ConnectionError:
            if not self.leave():
                raise

    @property
    def is_last(self) -> bool:
        """Whether nothing follows the answer under way."""
        return self.has_left or self._client.is_last

    @property
    def settings(self) -> ListenerSettings:
        """The listener's settings."""
        return self._client.settings

    def flush_soon(self) -> None:
        """From now on `drained` waits until every byte has left."""
        self._client.flush_soon()

    def linger(self) -> None:
        """Close once the client has read."""
        self._client.linger()

    def reset(self) -> None:
        """Abort the client's connection."""
        self._client.reset()
