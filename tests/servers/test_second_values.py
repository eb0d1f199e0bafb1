"""Whatever stands in the Redis, or is lost there, nothing is given that is not an answer to the request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from ..unit.plugins.cache.stand import Ask, Origin
from .running_redis import RunningRedis, running_redis
from .sharing import instance

OTHER = Origin((("Cache-Control", "max-age=60"),), pieces=(b"other",))
NEVER = Origin(end="error")
PLAIN = Ask()
LOGGER = "headgate.plugins.cache"


@pytest.fixture
def shared() -> Iterator[RunningRedis]:
    with running_redis() as running:
        yield running


@pytest.mark.parametrize(
    "change", ["cut", "flipped", "foreign", "other layout", "empty", "huge", "a list", "of another"]
)
def test_a_value_that_is_not_right_is_a_miss(shared: RunningRedis, change: str) -> None:
    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url, second_max_entry="64KiB") as other:
            await one.ask(PLAIN)
            await one.ask(Ask(target="/b"))
            await one.until("keep", "kept", 2)
            with shared.client() as client:
                names = client.keys("*:key:*")
                values = [client.get(name) for name in names]
                assert len(values) == 2
                for name, value, another in zip(names, values, reversed(values), strict=True):
                    left_ms = client.pttl(name)
                    client.delete(name)
                    if change == "a list":
                        client.lpush(name, value)
                    else:
                        client.set(name, another if change == "of another" else changed(value, change), px=left_ms)
            for target in ("/a", "/b"):
                assert (await other.ask(Ask(target=target), OTHER)).body == b"other"
            assert other.results["look", "hit"] == 0
            if change in ("cut", "flipped", "foreign", "other layout"):
                assert other.results["look", "damaged"] == 2
            assert (await other.ask(Ask(target="/c"), OTHER)).body == b"other"
            assert other.results["look", "paused"] == 0  # the server is well
            if change != "a list":
                await other.until("keep", "kept", 3)  # in place of what was there

    asyncio.run(main())


def changed(value: bytes, change: str) -> bytes:
    return {
        "cut": value[:-1],
        "flipped": value[:-1] + bytes([value[-1] ^ 1]),
        "foreign": b'{"status": 200}',
        "other layout": value[:3] + b"\x02" + value[4:],
        "empty": b"",
        "huge": value + bytes(50 << 20),
    }[change]


def test_a_huge_value_is_not_read_whole(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url, second_max_entry="64KiB") as other:
            await one.ask(PLAIN)
            await one.until("keep", "kept")
            with shared.client() as client:
                (name,) = client.keys("*:key:*")
                client.append(name, bytes(20 << 20))
                before = client.info("stats")["total_net_output_bytes"]
                await other.ask(PLAIN, OTHER)
                assert other.results["look", "too_large"] == 1
                await other.until("keep", "kept")
                assert client.info("stats")["total_net_output_bytes"] - before < 200_000

    asyncio.run(main())


def test_a_full_server_that_keeps_nothing_still_answers(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with running_redis() as full:
            async with instance(full.url) as one, instance(full.url) as other:
                await one.ask(PLAIN)
                await one.until("keep", "kept")
                with full.client() as client:
                    client.config_set("maxmemory", "1mb")  # less than it has already
                await one.ask(Ask(target="/b"))
                await one.until("keep", "refused")
                assert (await other.ask(PLAIN, NEVER)).body == b"hello"

    with caplog.at_level(logging.INFO, LOGGER):
        asyncio.run(main())
    assert len(caplog.messages) == 1 and "refuses to keep: " in caplog.messages[0]


@pytest.mark.parametrize("lost", ["all", "uri", "key", "vary", "list"])
def test_whatever_the_server_evicts_only_costs_a_fetch(shared: RunningRedis, lost: str) -> None:
    """What bears a generation that is gone counts no more, and a new one is never the old one."""
    varying = Origin((("Cache-Control", "max-age=60"), ("Vary", "X-Own")))
    newer = Origin((("Cache-Control", "max-age=60"), ("Vary", "X-Own")), pieces=(b"newer",))
    asked = Ask((("X-Own", "1"),))

    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url) as other, instance(shared.url) as third:
            await one.ask(asked, varying)
            await one.until("keep", "kept")
            with shared.client() as client:
                assert client.delete(*client.keys(f"*:{lost}*")) == 1
            if lost == "list":
                assert (await other.ask(asked, NEVER)).body == b"hello"
                return
            assert (await other.ask(asked, newer)).body == b"newer"
            await other.until("keep", "kept")
            assert (await third.ask(asked, NEVER)).body == b"newer"

    asyncio.run(main())
