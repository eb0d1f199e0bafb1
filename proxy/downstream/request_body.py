"""What serves a request needs of its body, however it comes."""

from __future__ import annotations

from typing import Protocol

from ..exchange.replay import ReplayBuffer


class RequestBody(Protocol):
    """The body of one request. `deadline`: nothing is waited for from that instant on."""

    deadline: float

    @property
    def length(self) -> int | None:
        """The declared length in bytes; None for a chunked body."""

    @property
    def replay(self) -> ReplayBuffer:
        """What was kept of it, to be sent."""

    @property
    def is_empty(self) -> bool:
        """Whether the request has no body at all."""

    @property
    def is_read(self) -> bool:
        """Whether nothing more will come from the client."""

    @property
    def is_replaced(self) -> bool:
        """Whether a stage has put another one in its place."""

    @property
    def received_bytes(self) -> int:
        """How much of it has come."""

    def limit(self, replay_bytes: int, limit_bytes: int) -> None:
        """Apply the route's limits. Raises: GatewayError `body_too_large`."""

    def take_arrived(self) -> None:
        """Take what is whole already, without waiting. Raises: GatewayError `body_too_large`."""

    async def more(self) -> bool:
        """Take one more piece; False once the body is whole. Raises: GatewayError."""

    async def read(self, limit_bytes: int) -> bytes:
        """Return the whole body, and keep it for dispatch. Raises: GatewayError."""

    def arrived(self, limit_bytes: int) -> bytes | None:
        """Return the whole body where nothing of it has to be waited for; else None. Raises: GatewayError."""

    def replace(self, data: bytes) -> None:
        """Send `data` upstream in place of the client's body."""
