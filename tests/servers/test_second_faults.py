"""Whatever is wrong with the Redis, clients get their answers, and nothing that is not one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from headgate.plugins.cache.second.link import MAX_WAITING
from headgate.plugins.cache.second.outbox import MAX_FORGOTTEN
from headgate.proxy.hookspecs import Setup

from ..unit.plugins.cache.stand import Ask, Origin, Seen
from .running_redis import RunningRedis, running_redis
from .sharing import BOUND_S, Instance, Watched, instance, turns_until

OTHER = Origin((("Cache-Control", "max-age=60"),), pieces=(b"other",))
NEVER = Origin(end="error")
PLAIN = Ask()
POST = Ask(method="POST")
DONE = Origin(status=204, pieces=())
LOGGER = "headgate.plugins.cache"


@pytest.fixture
def shared() -> Iterator[RunningRedis]:
    with running_redis() as running:
        yield running


async def ask_for(one: Instance, number: int, first: int = 0) -> list[Seen]:
    """Ask for so many different things, one after the other."""
    return [await one.ask(Ask(target=f"/{place}"), OTHER) for place in range(first, first + number)]


async def until_asked_again(one: Instance, result: str) -> None:
    """Ask for new things until the second level is asked again, and says so."""
    async with asyncio.timeout(BOUND_S):
        before, place = one.results["look", result], 1000
        while one.results["look", result] == before:
            await ask_for(one, 1, place)
            place += 1
            await asyncio.sleep(0.05)  # the breaker goes by the clock


def test_a_server_that_was_never_there_costs_nobody_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with running_redis() as gone:
            url = gone.url
        async with instance(url) as one:
            assert {seen.body for seen in await ask_for(one, 20)} == {b"other"}
            assert one.results["look", "error"] == 3
            assert one.results["look", "paused"] == 17  # not asked for a while
            assert (await one.ask(Ask(target="/3"), NEVER)).verdict == "hit"  # the first level works

    with caplog.at_level(logging.INFO, LOGGER):
        asyncio.run(main())
    assert len(caplog.messages) == 1
    assert "is out" in caplog.messages[0] and "the first goes on alone" in caplog.messages[0]


def test_a_server_that_is_killed_and_comes_back_is_used_again(
    shared: RunningRedis, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url) as other:
            await one.ask(PLAIN)
            await one.until("keep", "kept")
            shared.kill()
            assert {seen.body for seen in await ask_for(other, 10)} == {b"other"}
            shared.start_again()
            await until_asked_again(other, "miss")
            await other.until("keep", "kept")

    with caplog.at_level(logging.INFO, LOGGER):
        asyncio.run(main())
    assert [message.partition("second level")[0] for message in caplog.messages] == ["cache: the "] * 2
    assert "answers again" in caplog.messages[1]


def test_a_server_that_stands_still_costs_a_few_requests_the_timeout(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url, second_timeout="100ms", max_wait="50ms") as one:
            await ask_for(one, 1)
            shared.freeze()
            all_seen = await ask_for(one, 30, 1)
            assert {seen.body for seen in all_seen} == {b"other"}
            assert one.results["look", "timeout"] <= 4  # three, and a probe where the machine is slow
            waits_s = [seen.ended_at - seen.began_at for seen in all_seen]
            assert sum(wait_s >= 0.1 for wait_s in waits_s) >= 3
            shared.thaw()
            await until_asked_again(one, "miss")

    asyncio.run(main())


def test_a_request_in_a_hurry_neither_waits_long_nor_keeps_others_from_asking(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url, second_timeout="5s") as one:
            await ask_for(one, 1)
            shared.freeze()
            hurried = [Ask(target=f"/hurry{place}", deadline_s=0.02) for place in range(10)]
            assert {(await one.ask(ask, OTHER)).body for ask in hurried} == {b"other"}
            assert one.results["look", "timeout"] == 10
            shared.thaw()
            await ask_for(one, 1, 1)
            assert one.results["look", "miss"] == 2
            assert one.results["look", "paused"] == 0

    asyncio.run(main())


def test_a_password_that_is_refused_is_said_once_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with running_redis("--requirepass", "right") as guarded:
            async with instance(guarded.url) as one, instance(guarded.url, second_password="env:PATH") as other:
                for each in (one, other):
                    assert {seen.body for seen in await ask_for(each, 10)} == {b"other"}
                    assert each.results["look", "hit"] == each.results["look", "miss"] == 0
                    assert each.results["keep", "kept"] == 0
            assert other.results["look", "paused"] == 7

    with caplog.at_level(logging.INFO, LOGGER):
        asyncio.run(main())
    assert any("NOAUTH" in message or "Authentication required" in message for message in caplog.messages)
    assert any("invalid" in message.lower() for message in caplog.messages)
    assert len(caplog.messages) == 2


def test_what_redis_could_not_be_told_is_told_when_it_is_back(shared: RunningRedis) -> None:
    """An unsafe request while it stands still: the old answer is there yet, and is given to nobody by this instance."""

    async def main() -> None:
        async with instance(shared.url, second_timeout="100ms") as one, instance(shared.url) as other:
            await one.ask(PLAIN)
            await one.until("keep", "kept")
            shared.freeze()
            await one.ask(POST, DONE)
            assert (await one.ask(PLAIN, OTHER)).body == b"other"
            assert one.results["look", "invalidated"] == 1
            one.cache.shelf.memory.evict(lambda key: True)  # so that it would look again
            shared.thaw()
            await one.until("forget", "forgotten")
            assert (await other.ask(PLAIN, OTHER)).body == b"other"
            assert (await one.ask(PLAIN, OTHER)).body == b"other"

    asyncio.run(main())


def test_more_than_can_be_remembered_to_be_told_empties_it(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url) as other:
            await one.ask(PLAIN)
            await one.until("keep", "kept")
            shared.freeze()
            for place in range(MAX_FORGOTTEN + 1):
                await one.ask(Ask(method="POST", target=f"/{place}"), DONE)
            shared.thaw()
            second = one.cache._second
            assert second is not None
            await turns_until(lambda: not second._outbox.forgotten)
            assert (await other.ask(PLAIN, OTHER)).body == b"other"

    asyncio.run(main())


def test_a_client_that_leaves_while_it_is_asked_leaves_nothing_behind(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one:
            await ask_for(one, 1)
            shared.freeze()
            tasks = [asyncio.create_task(one.ask(PLAIN, OTHER)) for _ in range(5)]
            await asyncio.sleep(0)  # each has begun to look, or to follow
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert all(task.cancelled() for task in tasks)
            assert not one.cache.shelf.open and not len(one.cache.shelf.flights)
            shared.thaw()
            assert (await one.ask(PLAIN, OTHER)).body == b"other"
            assert one.results["look", "miss"] == 2

    asyncio.run(main())


def test_answers_that_wait_to_be_written_are_bounded(shared: RunningRedis) -> None:
    body = Origin((("Cache-Control", "max-age=60"),), pieces=(b"x" * 5000,))

    async def main() -> None:
        async with instance(shared.url, second_max_queued="20KiB") as one:
            await one.ask(Ask(target="/first"), body)
            await one.until("keep", "kept")
            seen = [await one.ask(Ask(target=f"/{place}"), body) for place in range(3)]
            assert {each.status for each in seen} == {200}
            shared.freeze()
            misses = [await one.ask(Ask(target=f"/{place}", deadline_s=0.02), body) for place in range(3, 6)]
            assert {each.status for each in misses} == {200}
            second = one.cache._second
            assert second is not None and second.queued_bytes <= 20 * 1024
            shared.thaw()

    asyncio.run(main())


def test_what_is_found_while_the_uri_changes_here_is_not_given(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one, instance(shared.url) as other:
            await one.ask(PLAIN)
            await one.until("keep", "kept")
            shared.freeze()
            looking = asyncio.create_task(other.ask(PLAIN, OTHER))
            await asyncio.sleep(0)  # it has asked
            await asyncio.sleep(0)
            await other.ask(POST, DONE)
            shared.thaw()
            assert (await looking).body == b"other"
            assert other.results["look", "hit"] == 1  # it was found all the same
            assert (await other.ask(PLAIN, NEVER)).body == b"other"  # fetched after the change

    asyncio.run(main())


def test_questions_that_wait_are_bounded(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one:
            await ask_for(one, 1)
            shared.freeze()
            asks = [Ask(target=f"/many{place}") for place in range(MAX_WAITING + 50)]
            tasks = [asyncio.create_task(one.ask(ask, OTHER)) for ask in asks]
            await one.until("look", "busy", 50)
            shared.thaw()
            assert {seen.body for seen in await asyncio.gather(*tasks)} == {b"other"}
            assert one.results["look", "miss"] >= MAX_WAITING - 1

    asyncio.run(main())


def test_a_connection_on_which_nothing_is_said_is_given_up(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url, second_timeout="100ms") as one:
            await ask_for(one, 1)
            await one.until("keep", "kept")
            second = one.cache._second
            assert second is not None
            wire = second._link._wire
            assert wire is not None and not wire.is_over
            shared.freeze()
            await ask_for(one, 3, 1)
            assert not wire.is_over  # it may be slow
            await until_asked_again(one, "timeout")
            assert wire.is_over
            shared.thaw()
            await until_asked_again(one, "miss")

    asyncio.run(main())


def test_what_memory_got_meanwhile_is_not_said_to_be_from_there(shared: RunningRedis) -> None:
    conditional = Ask((("If-None-Match", '"mine"'),))

    async def main() -> None:
        async with instance(shared.url) as one:
            await ask_for(one, 1)
            await one.until("keep", "kept")
            shared.freeze()
            looking = asyncio.create_task(one.ask(conditional, NEVER))
            await asyncio.sleep(0)  # it has asked
            await one.ask(Ask(deadline_s=0.02), OTHER)  # goes on without
            shared.thaw()
            seen = await looking
            assert (seen.body, seen.verdict) == (b"other", "hit")
            assert "second" not in seen.cache_status

    asyncio.run(main())


def test_what_redis_could_not_be_told_is_handed_over_on_a_reload(shared: RunningRedis) -> None:
    async def main() -> None:
        async with instance(shared.url) as one:
            await one.ask(PLAIN)
            await one.until("keep", "kept")
            shared.freeze()
            await one.ask(POST, DONE)
            settings = one.cache._config
            assert settings.second is not None
            changed = settings.model_copy(update={"second": settings.second.model_copy(update={"timeout": 4.0})})
            newer = Watched(changed, wall=one.wall)
            newer.headgate_configure(Setup("cache", one.cache, {}))
            assert newer._second is not one.cache._second
            old, one.cache = one.cache, newer
            old.close()  # what it had to tell is not told by it any more
            assert (await one.ask(PLAIN, OTHER)).body == b"other"
            assert one.results["look", "invalidated"] == 1
            shared.thaw()
            await one.until("forget", "forgotten")

    asyncio.run(main())
