"""Asks every target of a route at once, and answers with the first or with all."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from ..proxy.errors import GatewayError
from ..proxy.exchange.exchange import Exchange
from ..proxy.exchange.fields import Fields
from ..proxy.exchange.message import Response
from ..proxy.hookspecs import hookimpl
from ..proxy.verdicts import Reject, Target

NAME = "aggregate"


class Aggregate:
    """Fans a request out to the route's targets. Losers are cancelled; no branch outlives the exchange.

    `first`: the first good answer (below 400), streamed as it comes; if none is good, the least bad one.
    `all`: one JSON answer with every branch's outcome: ok, error or timeout.
    """

    class RouteOptions(BaseModel):
        """What a route sets."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        strategy: Literal["first", "all"] = Field(default="first", description="Which answers the client gets.")
        max_branch_bytes: int = Field(
            default=1 << 20, ge=1, le=1 << 26, description="Largest answer of a branch under `all`, in bytes."
        )
        max_body_bytes: int = Field(
            default=1 << 20, ge=0, le=1 << 26, description="Largest request body that is sent to several targets."
        )
        margin_ms: int = Field(
            default=50,
            ge=0,
            le=10_000,
            description="How long before the deadline `all` stops waiting, in milliseconds.",
        )

    @hookimpl
    async def headgate_aggregate(self, exchange: Exchange) -> Response | Reject | None:
        """Ask the targets; None where the route has fewer than one."""
        targets = [target for group in exchange.groups for target in group]
        if not targets:
            return None
        options = exchange.route.options.get(NAME) or Aggregate.RouteOptions()
        # Read once, before the branches begin: no two of them may wait for the client's body.
        await exchange.request.body.read(options.max_body_bytes)
        if options.strategy == "first":
            return await _first(exchange, targets)
        return await _all(exchange, targets, options)


async def _first(exchange: Exchange, targets: list[Target]) -> Response | Reject:
    """Return the first answer below 400, else the least bad, else the last error."""
    race = {asyncio.ensure_future(exchange.call(target)): target for target in targets}
    pending = set(race)
    spare: Response | None = None
    error = GatewayError("connect_failed")
    try:
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                try:
                    answer = task.result()
                except GatewayError as failure:
                    error = failure
                    continue
                if answer.status < 400:
                    return await _won(answer, race[task], spare, done - {task})
                spare = await _less_bad(spare, answer)
    finally:
        await _cancel(pending)
    return spare if spare is not None else Reject(error.kind.name, detail=error.detail)


async def _won(
    answer: Response, target: Target, spare: Response | None, others: set[asyncio.Task[Response]]
) -> Response:
    """Take one answer and close what else has come."""
    if spare is not None:
        await _close(spare)
    for task in others:
        if task.exception() is None:
            await _close(task.result())
    answer.fields.set("x-headgate-target", target.name)
    return answer


async def _less_bad(one: Response | None, other: Response) -> Response:
    if one is None:
        return other
    worse, better = (one, other) if other.status < one.status else (other, one)
    await _close(worse)
    return better


async def _cancel(tasks: set[asyncio.Task[Response]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and task.exception() is None:
            await _close(task.result())


@dataclass(slots=True)
class Branch:
    """What became of one target's answer."""

    target: str
    outcome: Literal["ok", "error", "timeout"] = "timeout"
    status: int | None = None
    error: str | None = None
    body: Any = None

    def shown(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {
            "target": self.target,
            "outcome": self.outcome,
            "status": self.status,
            "error": self.error,
            "body": self.body,
        }


async def _all(exchange: Exchange, targets: list[Target], options: Aggregate.RouteOptions) -> Response:
    """Gather every branch until shortly before the deadline. Raises: GatewayError for what the client did."""
    branches = [Branch(target.name) for target in targets]
    tasks = [
        asyncio.ensure_future(_fill(branch, exchange, target, options.max_branch_bytes))
        for branch, target in zip(branches, targets, strict=True)
    ]
    left_s = exchange.deadline - exchange.now() - options.margin_ms / 1000
    try:
        await asyncio.wait(tasks, timeout=max(0.0, left_s) if left_s != float("inf") else None)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()
    is_whole = all(branch.outcome == "ok" for branch in branches)
    value = {"object": "aggregate", "is_partial": not is_whole, "branches": [branch.shown() for branch in branches]}
    body = orjson.dumps(value)
    is_any = any(branch.outcome == "ok" for branch in branches)
    return Response(200 if is_any else 502, Fields([(b"Content-Type", b"application/json")]), body, len(body))


async def _fill(branch: Branch, exchange: Exchange, target: Target, max_bytes: int) -> None:
    try:
        answer = await exchange.call(target)
        try:
            body = await _read(answer.body, max_bytes)
        finally:
            await _close(answer)
    except GatewayError as error:
        if error.kind.source == "downstream":
            raise
        branch.outcome, branch.error = "error", error.kind.name
        return
    branch.status = answer.status
    branch.body = _shown(body, answer.fields.get("content-type") or "")
    branch.outcome = "ok" if answer.status < 400 else "error"


async def _read(body: bytes | AsyncIterator[bytes], max_bytes: int) -> bytes:
    if isinstance(body, bytes):
        return body
    kept = bytearray()
    async for piece in body:
        kept += piece
        if len(kept) > max_bytes:
            raise GatewayError("answer_too_large", f"expected a branch of at most {max_bytes} bytes")
    return bytes(kept)


def _shown(body: bytes, content_type: str) -> Any:
    """Return JSON as it came, text as text, anything else in base 64."""
    if content_type.partition(";")[0].strip().lower() == "application/json":
        try:
            orjson.loads(body)
            return orjson.Fragment(body)  # parsed and written again, large numbers and equal names would be lost
        except orjson.JSONDecodeError:
            pass
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


async def _close(answer: Response) -> None:
    close: Callable[[], Awaitable[None]] | None = getattr(answer.body, "aclose", None)
    if close is not None:
        await close()
