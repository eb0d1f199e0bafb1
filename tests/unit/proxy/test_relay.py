"""What the relay shows to others, and lets them change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from headgate.plugins.testing import make_exchange
from headgate.proxy.downstream.writer import AnswerWriter
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.record import Record
from headgate.proxy.relay import Relay
from headgate.proxy.stages import Chain, Hook

from ..plugins.completion_cache.stand import Reader

EVENTS = (b"data: one\n\n", b"data: two\n\n")


def upper(exchange: Exchange, event: bytes) -> bytes:
    return event.replace(b"o", b"O")


@pytest.mark.parametrize("is_whole", [True, False])
def test_every_event_is_shown_to_who_may_change_it(is_whole: bool) -> None:
    """However the stream is kept: as one piece, as that of a cache, or as it comes."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"".join(EVENTS)[:5]
        yield b"".join(EVENTS)[5:]

    async def main() -> bytes:
        reader = Reader()
        writer = AnswerWriter(reader, is_head=False, version=(1, 1), is_kept=True)
        relay = Relay(make_exchange(), Record(0.0), writer, Chain("event", (Hook("upper", upper, False),)))
        body = b"".join(EVENTS) if is_whole else pieces()
        await relay.send(Response(200, Fields([(b"Content-Type", b"text/event-stream")]), body))
        return reader.body

    assert asyncio.run(main()) == b"data: One\n\ndata: twO\n\n"
