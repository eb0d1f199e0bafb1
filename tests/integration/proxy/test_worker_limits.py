"""Limits over several workers: each is one number, whoever is asked, and also after a worker was killed."""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import re
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from headgate.plugins.api_key import digest
from headgate.proxy.counting import listener_key
from headgate.proxy.observe.arena import ARENA_BYTES, Arena

from ...http_client import Client, client, fetch
from ...running import RunningGateway, plain
from ...upstream import Call, Upstream, upstream
from ..ext.test_slot_processes import Compiled
from .test_workers import NUM, READY_S, ok, replaced, serving, workers_of

PEPPER = "secret-of-the-test"  # what TOKEN holds


def with_listener(config: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {**config, "listeners": [{**config["listeners"][0], **settings}]}


async def kill_one(gate: RunningGateway) -> None:
    """Kill a worker, and wait until another has taken its place."""
    before = workers_of(gate)
    os.kill(min(before), signal.SIGKILL)
    await replaced(gate, before)


# -- requests of one address


def test_the_limit_by_address_is_one_over_all_workers_and_those_to_come(tmp_path: Path) -> None:
    async def main() -> list[int]:
        async with upstream(ok) as service:
            config = with_listener(plain(service.url), rate_limit={"rate": "1/h", "burst": 40})
            async with serving(tmp_path, config) as gate:
                statuses = [(await fetch(gate.port)).status for _ in range(25)]
                await kill_one(gate)
                return statuses + [(await fetch(gate.port)).status for _ in range(35)]

    assert asyncio.run(main()) == [200] * 40 + [429] * 20


# -- open connections


async def opened(gate: RunningGateway, number: int, stack: AsyncExitStack) -> list[Client]:
    """Open so many connections; return those that are served. All stay open until the end."""
    connections = [await stack.enter_async_context(client(gate.port)) for _ in range(number)]
    statuses = [(await connection.request("GET", "/")).status for connection in connections]
    assert set(statuses) <= {200, 503}
    return [connection for connection, status in zip(connections, statuses, strict=True) if status == 200]


async def is_open(connection: Client) -> bool:
    try:
        return (await connection.request("GET", "/")).status == 200
    except (ConnectionError, asyncio.IncompleteReadError):
        return False


def test_the_number_of_connections_is_one_over_all_workers_and_the_dead_have_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack, upstream(ok) as service:
            config = with_listener(plain(service.url), limits={"connections": 7})
            async with serving(tmp_path, config) as gate:
                # One by one: of those that come at once, who takes a place first is not settled.
                served = [each for _ in range(7) for each in await opened(gate, 1, stack)]
                assert len(served) == 7
                assert not await opened(gate, 12, stack)
                await kill_one(gate)
                left = [connection for connection in served if await is_open(connection)]
                assert 3 <= len(left) <= 4  # each worker had its share
                assert len(await opened(gate, 12, stack)) == 7 - len(left)
                assert all([await is_open(connection) for connection in left])

    asyncio.run(main())


# -- requests of one key under way


def with_key(url: str) -> dict[str, Any]:
    entry = {"id": "a", "tenant": "t", "digests": [{"digest": digest("key", PEPPER)}], "max_parallel": 5}
    plugins = {"api_key": {"pepper": "env:TOKEN", "inline": [entry]}}
    return {**plain(url), "plugins": plugins, "stages": {"auth": ["api_key"], "ratelimit": ["api_key"]}}


def test_parallel_requests_of_a_key_are_one_number_and_the_dead_have_none(tmp_path: Path) -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def slow(call: Call) -> None:
            await go.wait()
            await call.answer(b"late")

        async with upstream(slow) as service, serving(tmp_path, with_key(service.url)) as gate:
            running = await ask_for_all(gate, service)
            assert len(running) == 5
            for worker in sorted(workers_of(gate)):
                before = workers_of(gate)
                os.kill(worker, signal.SIGKILL)
                await replaced(gate, before)
                lost = [task for task in running if task.done()]
                assert {task.result() for task in lost} <= {0}
                again = await ask_for_all(gate, service)
                assert len(again) == len(lost)
                running = [task for task in running if not task.done()] + again
            assert len(service.calls) >= 10  # all of the first five were lost
            go.set()
            assert await asyncio.gather(*running) == [200] * 5

    asyncio.run(main())


async def ask_for_all(gate: RunningGateway, service: Upstream) -> list[asyncio.Task[int]]:
    """Ask more than there is room for. Return what is under way; all others are refused."""
    before = len(service.calls)
    asked = [asyncio.create_task(ask(gate)) for _ in range(12)]
    async with asyncio.timeout(READY_S):
        # Only by asking can one see it.
        while sum(task.done() for task in asked) + len(service.calls) - before < 12:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert {task.result() for task in asked if task.done()} == {429}
    return [task for task in asked if not task.done()]


async def ask(gate: RunningGateway) -> int:
    try:
        async with client(gate.port) as connected:
            await connected.send("GET", "/", None, "x-api-key: key")
            return (await connected.head())[0]
    except (ConnectionError, asyncio.IncompleteReadError):
        return 0  # its worker was killed


# -- shares


def memory_of(gate: RunningGateway, name: str) -> int:
    """Open the memory of that name which the parent has."""
    folder = f"/proc/{gate.process.pid}/fd"
    found = (each for each in os.listdir(folder) if f"memfd:{name}" in os.readlink(f"{folder}/{each}"))
    return os.open(f"{folder}/{next(found)}", os.O_RDWR)


def served_by_each(gate: RunningGateway) -> Iterator[float]:
    """Yield how many requests each worker has counted."""
    fd = memory_of(gate, "headgate-metrics")
    memory = memoryview(mmap.mmap(fd, NUM * ARENA_BYTES))
    os.close(fd)
    for number in range(NUM):
        rows = Arena(memory[number * ARENA_BYTES : (number + 1) * ARENA_BYTES]).rows()
        yield sum(row[0] for key, row in rows if json.loads(key)[0] == "headgate_requests")


async def all_served(gate: RunningGateway, number: float) -> list[float]:
    """Wait until so many requests are counted; return how many each worker has."""
    async with asyncio.timeout(READY_S):
        while sum(served := list(served_by_each(gate))) < number:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return served


def test_each_worker_has_its_share_of_the_requests_also_of_few_connections(tmp_path: Path) -> None:
    """Where each connection has as many requests. By the kernel's hash alone every tenth run of 32 would fail."""

    async def main() -> None:
        async with upstream(ok) as service, serving(tmp_path, plain(service.url)) as gate:
            fd = memory_of(gate, "headgate-slots")
            slots = Compiled.attach(fd, 0)
            os.close(fd)
            for num_connections in (2, 8, 32, 64):
                before = list(served_by_each(gate))
                async with AsyncExitStack() as stack:
                    dialled = (stack.enter_async_context(client(gate.port)) for _ in range(num_connections))
                    connections = await asyncio.gather(*dialled)
                    for _ in range(3):
                        answers = await asyncio.gather(*(connection.request("GET", "/") for connection in connections))
                        assert {answer.status for answer in answers} == {200}
                    assert sum(slots.shares(listener_key(0))) == num_connections
                served = await all_served(gate, sum(before) + 3 * num_connections)
                async with asyncio.timeout(READY_S):
                    while slots.count(listener_key(0)):  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                shares = [(now - then) / (3 * num_connections) for now, then in zip(served, before, strict=True)]
                assert 0.35 <= min(shares) <= max(shares) <= 0.65, (num_connections, shares)

    asyncio.run(main())


def test_connections_that_come_and_go_are_all_served(tmp_path: Path) -> None:
    async def main() -> None:
        async with upstream(ok) as service, serving(tmp_path, plain(service.url)) as gate:

            async def visit(number: int) -> None:
                for _ in range(10):
                    async with client(gate.port) as connection:
                        for _ in range(number % 3):
                            assert (await connection.request("GET", "/")).status == 200

            await asyncio.gather(*map(visit, range(30)))
            assert not [line for line in gate.complaints if re.search("error|task", line, re.IGNORECASE)]

    asyncio.run(main())
