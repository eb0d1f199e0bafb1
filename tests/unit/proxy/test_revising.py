"""The last word of a cache on what the targets said."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from headgate.proxy.errors import GatewayError
from headgate.proxy.exchange.message import Response
from headgate.proxy.record import Record
from headgate.proxy.revising import Revise, revised
from headgate.proxy.verdicts import Hit, Miss


class Body:
    """A body that tells what became of it."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces: Iterator[bytes] = iter(pieces)
        self.is_ended = self.is_closed = False

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        self.is_ended = True
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.is_closed = True


def asking(*found: Response | GatewayError) -> Callable[[], Awaitable[Response]]:
    """Return what brings these, one after the other."""
    left = iter(found)

    async def ask() -> Response:
        answer = next(left)
        if isinstance(answer, GatewayError):
            raise answer
        return answer

    return ask


def revise_all(revise: Revise, *found: Response | GatewayError) -> tuple[Response, Record]:
    record = Record(0.0)
    record.cache_status = "miss"
    return asyncio.run(revised(record, revise, asking(*found))), record


def test_silence_lets_an_answer_be() -> None:
    body = Body(b"x")
    answer = Response(200, body=body)
    given, record = revise_all(lambda found: None, answer)
    assert given is answer
    assert (record.cache_status, body.is_closed) == ("miss", False)


def test_silence_lets_an_error_be() -> None:
    with pytest.raises(GatewayError) as raised:
        revise_all(lambda found: None, GatewayError("reset"))
    assert raised.value.kind.name == "reset"


@pytest.mark.parametrize(("status", "is_ended"), [(304, True), (503, False)])
def test_hit_is_given_in_place_of_an_answer(status: int, is_ended: bool) -> None:
    body = Body(*[b"sorry"] if status == 503 else [])
    stored = Response(200, body=b"stored")
    given, record = revise_all(lambda found: Hit(stored, "stale"), Response(status, body=body))
    assert given is stored
    # A connection whose answer was read to its end can be used again.
    assert (record.cache_status, body.is_ended, body.is_closed) == ("stale", is_ended, True)


def test_hit_is_given_in_place_of_an_error() -> None:
    stored = Response(200, body=b"stored")
    given, record = revise_all(lambda found: Hit(stored, "stale"), GatewayError("silent"))
    assert given is stored
    assert record.is_hit  # nobody is charged for what a cache gave


def test_miss_asks_once_more_and_only_once() -> None:
    first, second = Response(304, body=Body()), Response(304, body=Body())
    given, _ = revise_all(lambda found: Miss(), first, second)
    assert given is second


def test_cache_that_fails_has_no_say() -> None:
    def failing(found: Response | GatewayError) -> Hit:
        raise ZeroDivisionError

    answer = Response(200)
    assert revise_all(failing, answer)[0] is answer
