"""What one instance invalidates, the memory of the others forgets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from headgate.plugins.cache.second.names import Names
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.verdicts import Miss

from ..unit.plugins.cache.stand import Ask, Origin, exchange_for, look_up
from .running_redis import RunningRedis, running_redis
from .sharing import Instance, instance, turns_until

OTHER = Origin((("Cache-Control", "max-age=60"),), pieces=(b"other",))
NEVER = Origin(end="error")
DONE = Origin(status=204, pieces=())
PLAIN = Ask()
CHANNEL = Names("headgate", ("tenant", "accept", "accept-encoding", "accept-language")).channel


@pytest.fixture
def shared() -> Iterator[RunningRedis]:
    with running_redis() as running:
        yield running


async def until_listening(shared: RunningRedis, number: int) -> None:
    """Wait until so many listen."""
    with shared.client() as client:
        await turns_until(lambda: client.pubsub_numsub(CHANNEL)[0][1] == number)


def is_kept(one: Instance, target: str = "/a") -> bool:
    return any(entry.key.uri.target == target for entry in one.cache.shelf.memory)


def test_an_unsafe_request_reaches_every_memory(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url) as other:
            await until_listening(shared, 2)
            await one.ask(PLAIN)
            await one.ask(Ask(target="/b"))
            await one.ask(Ask(tenant="t"))
            await other.ask(Ask(method="PUT"), DONE)
            await one.until("hear", "forgotten")
            assert not is_kept(one)
            assert is_kept(one, "/b")
            assert other.results["hear", "forgotten"] == 0  # it knows
            assert (await one.ask(PLAIN, OTHER)).body == b"other"

    asyncio.run(main())


def test_an_answer_on_its_way_is_not_stored(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url) as other:
            await until_listening(shared, 2)
            miss = await look_up(one.cache, exchange_for(PLAIN))
            assert isinstance(miss, Miss) and miss.store is not None
            await other.ask(Ask(method="DELETE"), DONE)
            await one.until("hear", "forgotten")
            assert not miss.store.begin(Response(200, Fields([(b"Cache-Control", b"max-age=60")]), b"hello", 5))
            miss.store.discard()
            assert not is_kept(one)

    asyncio.run(main())


def test_what_is_not_one_url_empties_every_memory(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url) as other:
            await until_listening(shared, 2)
            await one.ask(PLAIN)
            await other.ask(Ask(target="/b"))
            await other.ask(Ask(target="/c"))
            other.cache.operate("evict", {"prefix": "/b"})
            await one.until("hear", "forgotten")
            assert not is_kept(one)
            assert (is_kept(other, "/b"), is_kept(other, "/c")) == (False, True)

    asyncio.run(main())


def test_it_listens_again_once_the_server_is_back(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url) as other:
            await until_listening(shared, 2)
            shared.kill()
            shared.start_again()
            await until_listening(shared, 2)
            await one.ask(PLAIN)
            await other.ask(Ask(method="POST"), DONE)
            await one.until("hear", "forgotten")
            assert not is_kept(one)

    asyncio.run(main())


def test_what_cannot_be_read_is_ignored(shared: RunningRedis) -> None:
    strange = [b"", b"\xff", b"[" * 100_000, b"{}", b"[1, null]", b'["x"]', b'["x", ["https", "origin.test"]]']

    async def main() -> None:
        async with instance(shared.url) as one:
            await until_listening(shared, 1)
            await one.ask(PLAIN)
            with shared.client() as client:
                for message in strange:
                    assert client.publish(CHANNEL, message) == 1
                client.publish(CHANNEL, json.dumps(["x", ["https", "origin.test", "/b"]]))
            await one.until("hear", "forgotten")  # the last of them
            assert is_kept(one)
            assert one.results["hear", "forgotten"] == 1

    asyncio.run(main())


def test_nobody_listens_once_it_is_closed(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url):
            await until_listening(shared, 1)
        await until_listening(shared, 0)

    asyncio.run(main())
