"""The body of an answer that is read along while another request fetches it."""

from __future__ import annotations

from ...proxy.errors import GatewayError
from .flight import Flight, Landing


class ReadingAlong:
    """Yields what a flight has brought, and what comes, to its end. It leaves the flight when it is closed.

    `deadline` is an instant of the loop's clock.
    """

    __slots__ = ("_at", "_deadline", "_flight", "_has_left")

    def __init__(self, flight: Flight, deadline: float) -> None:
        """`flight` has been joined for it."""
        self._flight = flight
        self._deadline = deadline
        self._at = 0
        self._has_left = False

    def __aiter__(self) -> ReadingAlong:
        return self

    async def __anext__(self) -> bytes:
        """Raises: GatewayError `truncated` where the fetch broke off or the client fell behind, and `deadline`."""
        flight = self._flight
        while not self._has_left:
            if piece := self._next():
                return piece
            if flight.landing is Landing.WHOLE:
                break
            if flight.landing is not None:
                raise GatewayError("truncated", "the fetch that was read along broke off")
            if not await flight.changed(self._deadline):
                raise GatewayError("deadline", "the fetch that is read along goes on")
        raise StopAsyncIteration

    def _next(self) -> bytes:
        piece = self._flight.since(self._at)
        if piece is None:
            raise GatewayError("truncated", f"the client is more than {self._flight.max_bytes // 2} bytes behind")
        self._at += len(piece)
        return piece

    async def aclose(self) -> None:
        """Leave the flight."""
        if not self._has_left:
            self._has_left = True
            self._flight.leave()
