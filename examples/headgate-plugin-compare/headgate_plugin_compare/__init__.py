"""Asks two targets, answers with the first, tells whether the second agrees."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel, ConfigDict, Field

from headgate.proxy.errors import GatewayError
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.message import Response
from headgate.proxy.hookspecs import hookimpl
from headgate.proxy.verdicts import Target


class Compare:
    """Tries a new service beside the one in use: for requests that do nothing, GET and HEAD."""

    class Config(BaseModel):
        """Settings under `plugins.compare`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        wait_s: float = Field(default=1.0, gt=0, le=60, description="Seconds that the second has to answer in.")
        max_bytes: int = Field(default=1 << 20, ge=1, description="The largest body that is compared.")

    def __init__(self, config: Config) -> None:
        self._wait_s = config.wait_s
        self._max_bytes = config.max_bytes

    @hookimpl
    async def headgate_aggregate(self, exchange: Exchange) -> Response | None:
        """Ask the first two targets of the route; leave other routes and methods to dispatch."""
        targets = [target for group in exchange.groups for target in group]
        if exchange.request.method not in ("GET", "HEAD") or len(targets) < 2:
            return None
        first, second = await asyncio.gather(self._whole(exchange, targets[0]), self._second(exchange, targets[1]))
        is_same = second is not None and (first.status, first.body) == (second.status, second.body)
        first.fields.set("x-second", "unknown" if second is None else "same" if is_same else "different")
        return first

    async def _second(self, exchange: Exchange, target: Target) -> Response | None:
        """Return the second's answer; its failure is nobody's but its own."""
        try:
            async with asyncio.timeout(self._wait_s):
                return await self._whole(exchange, target)
        except (GatewayError, TimeoutError):
            return None

    async def _whole(self, exchange: Exchange, target: Target) -> Response:
        """Return an answer with all of its body. Raises: GatewayError where it fails, or is too large."""
        answer = await exchange.call(target)
        if isinstance(answer.body, bytes):
            return answer
        pieces, size_bytes = [], 0
        async for piece in answer.body:
            pieces.append(piece)
            size_bytes += len(piece)
            if size_bytes > self._max_bytes:
                raise GatewayError("answer_too_large", f"more than {self._max_bytes} bytes to compare")
        answer.body = b"".join(pieces)
        answer.length = len(answer.body)
        return answer
