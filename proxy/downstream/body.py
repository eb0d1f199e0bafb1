"""The request body, as it comes from the client."""

from __future__ import annotations

import asyncio
from typing import Protocol

from aiohttp import StreamReader
from aiohttp.client_exceptions import ClientError
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_exceptions import HTTPException
from aiohttp.web_protocol import RequestPayloadError

from ..errors import GatewayError
from ..exchange.replay import ReplayBuffer

# What aiohttp raises from a body: a broken transfer coding, or a connection that is gone.
_BROKEN = (RequestPayloadError, HttpProcessingError, ClientError, HTTPException, ValueError)


class Continue(Protocol):
    """Who can tell the client that its body is wanted."""

    def send_continue(self) -> None:
        """Send `100 Continue`, once, where the client waits for it (RFC 9110 §10.1.1)."""

    def skip_continue(self) -> None:
        """The body came without it."""


class ClientBody:
    """The body of one request, read on demand and kept for further attempts.

    `length` is None for a chunked body. Nothing is read, and no `100 Continue` sent, before somebody asks. From the
    instant `deadline` on nothing more is waited for.
    """

    __slots__ = (
        "_continue",
        "_limit_bytes",
        "_payload",
        "_timeout_s",
        "deadline",
        "is_replaced",
        "length",
        "received_bytes",
        "replay",
    )

    def __init__(self, payload: StreamReader | None, length: int | None, sender: Continue, timeout_s: float) -> None:
        self._payload = payload
        self._continue = sender
        self._timeout_s = timeout_s
        self._limit_bytes = 0
        self.deadline = float("inf")
        self.length = length
        self.received_bytes = 0
        self.is_replaced = False
        self.replay = ReplayBuffer(0)
        self._set_up(0, 0)

    def _set_up(self, replay_bytes: int, limit_bytes: int) -> None:
        self.replay = ReplayBuffer(replay_bytes)
        self._limit_bytes = limit_bytes
        if self._payload is None:
            self.length = 0
            self.replay.finish()

    def limit(self, replay_bytes: int, limit_bytes: int) -> None:
        """Apply the route's limits, before anything is read. 0 for `limit_bytes` means none.

        Raises: GatewayError `body_too_large` where the declared length says so already.
        """
        self._set_up(replay_bytes, limit_bytes)
        if limit_bytes and self.length is not None and self.length > limit_bytes:
            raise GatewayError("body_too_large", f"expected at most {limit_bytes} bytes, {self.length} are declared")

    @property
    def is_empty(self) -> bool:
        """Whether the request has no body at all."""
        return self._payload is None and not self.is_replaced

    @property
    def is_read(self) -> bool:
        """Whether nothing more will come from the client."""
        return self._payload is None or self._payload.is_eof()

    def take_arrived(self) -> None:
        """Take the body at once where all of it has come already: then nothing has to wait.

        Raises: GatewayError `body_too_large`.
        """
        payload = self._payload
        if payload is None or self.replay.is_complete or not payload.is_eof() or payload.exception() is not None:
            return
        self._continue.skip_continue()
        self._take(payload.read_nowait())
        self.replay.finish()

    def _take(self, piece: bytes) -> None:
        if not piece:
            return
        self.received_bytes += len(piece)
        if self._limit_bytes and self.received_bytes > self._limit_bytes:
            raise GatewayError("body_too_large", f"expected at most {self._limit_bytes} bytes")
        self.replay.append(piece)

    async def more(self) -> bool:
        """Take the next piece from the client into the replay buffer; False once the body is whole.

        Raises: GatewayError `body_too_large`, `body_timeout`, `deadline`, `bad_request`, `client_gone`.
        """
        if self.replay.is_complete or self._payload is None:
            return False
        piece = await self._read_piece(self._payload)
        if not piece:
            self.replay.finish()
            return False
        self._take(piece)
        return True

    async def _read_piece(self, payload: StreamReader) -> bytes:
        self._continue.send_continue()
        until = asyncio.get_running_loop().time() + self._timeout_s
        try:
            async with asyncio.timeout_at(min(until, self.deadline)):
                return await payload.readany()
        except TimeoutError:
            if self.deadline < until:
                raise GatewayError("deadline", "the body was not there in time") from None
            raise GatewayError("body_timeout", f"no byte of the body for {self._timeout_s:g} s") from None
        except (ConnectionError, asyncio.IncompleteReadError):
            raise GatewayError("client_gone", "the connection closed inside the body") from None
        except _BROKEN as error:
            raise GatewayError("bad_request", f"the transfer coding of the body is broken: {error}") from None

    def arrived(self, limit_bytes: int) -> bytes | None:
        """Return the whole body where nothing of it has to be waited for; else None.

        Raises: GatewayError `body_too_large`.
        """
        self.take_arrived()
        return self._whole(limit_bytes) if self.replay.is_complete else None

    async def read(self, limit_bytes: int) -> bytes:
        """Return the whole body, and keep it for dispatch. Raises: as `more`."""
        self.take_arrived()
        while await self.more():
            if self.replay.size_bytes > limit_bytes:
                raise GatewayError("body_too_large", f"expected at most {limit_bytes} bytes to inspect")
        return self._whole(limit_bytes)

    def _whole(self, limit_bytes: int) -> bytes:
        if self.replay.size_bytes > limit_bytes:
            raise GatewayError("body_too_large", f"expected at most {limit_bytes} bytes to inspect")
        return self.replay.joined()

    def replace(self, data: bytes) -> None:
        """Send `data` upstream in place of the client's body, which must have been read whole (or be empty)."""
        if not self.replay.is_complete:
            raise RuntimeError("expected the body to be read whole before it is replaced: await body.read(limit) first")
        self.replay.replace(data)
        self.length = len(data)
        self.is_replaced = True
