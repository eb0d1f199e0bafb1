"""A request's body that comes as a whole, before anything is sent."""

from __future__ import annotations

from ..errors import GatewayError
from ..exchange.replay import ReplayBuffer


class WholeBody:
    """The body of one request: its length is known, and nothing of it is kept before the caller is known."""

    __slots__ = (
        "_limit_bytes",
        "_replay",
        "data",
        "deadline",
        "is_complete",
        "is_replaced",
        "length",
        "received_bytes",
    )

    def __init__(self, length: int) -> None:
        self.length = length
        self.data = b""
        self.is_complete = not length
        self.is_replaced = False
        self.received_bytes = 0
        self.deadline = float("inf")
        self._limit_bytes = 0
        self._replay: ReplayBuffer | None = None

    def limit(self, replay_bytes: int, limit_bytes: int) -> None:
        """Apply the route's limits. Raises: GatewayError `body_too_large`."""
        self._limit_bytes = replay_bytes
        if limit_bytes and self.length > limit_bytes:
            raise GatewayError("body_too_large", f"expected at most {limit_bytes} bytes, {self.length} are declared")

    def complete(self, data: bytes) -> None:
        """All of it has come."""
        self.data = data
        self.received_bytes = len(data)
        self.is_complete = True

    @property
    def is_empty(self) -> bool:
        """Whether the request has no body at all."""
        return not self.length and not self.is_replaced

    @property
    def is_read(self) -> bool:
        """Whether nothing more will come from the client."""
        return self.is_complete

    @property
    def replay(self) -> ReplayBuffer:
        """The body, to be sent as often as need be."""
        if self._replay is None:
            self._replay = ReplayBuffer(self._limit_bytes)
            self._replay.replace(self.data)
        return self._replay

    def take_arrived(self) -> None:
        """Everything is there."""

    async def more(self) -> bool:
        """Nothing more comes."""
        return False

    async def read(self, limit_bytes: int) -> bytes:
        """Return the whole body. Raises: GatewayError `body_too_large`."""
        return self.read_now(limit_bytes)

    def arrived(self, limit_bytes: int) -> bytes | None:
        """Return the whole body. Raises: GatewayError `body_too_large`."""
        return self.read_now(limit_bytes)

    def read_now(self, limit_bytes: int) -> bytes:
        """Return the whole body, which must have come. Raises: GatewayError `body_too_large`."""
        if len(self.data) > limit_bytes:
            raise GatewayError("body_too_large", f"expected at most {limit_bytes} bytes to inspect")
        return self.data

    def replace(self, data: bytes) -> None:
        """Send `data` upstream in place of the client's body, which must have come (or be empty)."""
        if not self.is_complete:
            raise RuntimeError("expected the body to be read whole before it is replaced: await body.read(limit) first")
        self.data = data
        self.length = len(data)
        self.is_replaced = True
        self._replay = None
