"""What the relay shows to others, and lets them change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from headgate.plugins.testing import make_exchange
from headgate.proxy.downstream.writer import AnswerWriter
from headgate.proxy.exchange.exchange import Exchange, RouteView
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.record import Record
from headgate.proxy.relay import Relay
from headgate.proxy.stages import Chain, Hook

from ..plugins.completion_cache.answers import stream
from ..plugins.completion_cache.stand import Reader

EVENTS = (b"data: one\n\n", b"data: two\n\n")


def upper(exchange: Exchange, event: bytes) -> bytes:
    return event.replace(b"o", b"O")


async def sent(body: bytes | AsyncIterator[bytes], record: Record, *hooks: Hook, coding: bytes = b"") -> Reader:
    """Send a stream of a route of completions; return who read it."""
    reader, exchange = Reader(), make_exchange()
    exchange.route = RouteView("chat", (), {}, True, 0)
    writer = AnswerWriter(reader, is_head=False, version=(1, 1), is_kept=True)
    relay = Relay(exchange, record, writer, Chain("event", hooks))
    coded = [(b"Content-Encoding", coding)] if coding else []
    await relay.send(Response(200, Fields([(b"Content-Type", b"text/event-stream"), *coded]), body))
    return reader


@pytest.mark.parametrize("is_whole", [True, False])
def test_every_event_is_shown_to_who_may_change_it(is_whole: bool) -> None:
    """However the stream is kept: as one piece, as that of a cache, or as it comes."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"".join(EVENTS)[:5]
        yield b"".join(EVENTS)[5:]

    body = b"".join(EVENTS) if is_whole else pieces()
    reader = asyncio.run(sent(body, Record(0.0), Hook("upper", upper, False)))
    assert reader.body == b"data: One\n\ndata: twO\n\n"


@pytest.mark.parametrize(("is_hit", "tokens"), [(False, 2), (True, None)])
def test_tokens_are_counted_but_not_of_what_a_cache_gave(is_hit: bool, tokens: int | None) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in stream(has_usage=True):
            yield piece

    record = Record(0.0)
    record.is_hit = is_hit
    asyncio.run(sent(pieces(), record))
    assert record.completion_tokens == tokens


@pytest.mark.parametrize(("coding", "body"), [(b"", b"data: One\n\n"), (b"gzip", b"data: one\n\n")])
def test_a_coded_stream_is_one_though_nobody_reads_it(coding: bytes, body: bytes) -> None:
    record = Record(0.0)
    reader = asyncio.run(sent(EVENTS[0], record, Hook("upper", upper, False), coding=coding))
    assert reader.body == body
    assert record.is_streamed
