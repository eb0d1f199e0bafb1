"""A cache's last word on what the targets said: a stored answer that was confirmed, or one in place of a failure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from .errors import GatewayError
from .exchange.message import Response
from .record import Record
from .relay import close_body
from .verdicts import Hit, Miss

Revise = Callable[[Response | GatewayError], Hit | Miss | None]


async def revised(record: Record, revise: Revise, ask: Callable[[], Awaitable[Response]]) -> Response:
    """Return what `ask` brings, or what a cache gives in its place; `ask` is called twice at most.

    Raises: GatewayError as `ask` does, where the cache has nothing better.
    """
    found = await _found(ask)
    verdict = record.decided(revise, found)
    if verdict is None:
        return _given(found)
    if isinstance(found, Response):
        await _let_go(found)
    if isinstance(verdict, Miss):
        return await ask()
    record.cache_status = verdict.status
    record.is_hit = True
    return verdict.response


async def _found(ask: Callable[[], Awaitable[Response]]) -> Response | GatewayError:
    try:
        return await ask()
    except GatewayError as error:
        return error


def _given(found: Response | GatewayError) -> Response:
    if isinstance(found, GatewayError):
        raise found
    return found


async def _let_go(answer: Response) -> None:
    """Give back where an answer comes from. What has no body is read to its end: its connection can be used again."""
    if answer.status == 304 and not isinstance(answer.body, bytes):
        async for _ in answer.body:
            break
    await close_body(answer.body)
