"""The pool's bounds: slots, waiting callers, deadlines, cancellation."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from headgate.proxy.errors import GatewayError
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.upstream.cluster import Cluster, ClusterSettings
from headgate.proxy.upstream.endpoint import Endpoint
from headgate.proxy.upstream.gauges import register_gauges
from headgate.proxy.upstream.pool import ConnectionPool, PoolLimits

from .exchanges import OK, Run, exchange, kind_of, pool_for, read_all, send, soon, until
from .script_server import Peer, ScriptServer

Serve = Callable[..., ScriptServer]


def always_ok(peer: Peer) -> None:
    while peer.read_request():
        peer.send_while_taken(OK)


def test_a_waiter_gets_the_connection_that_becomes_free(run: Run, serve: Serve) -> None:
    server = serve(always_ok)

    async def main() -> None:
        with pool_for(server.port, max_connections=2) as pool:
            connections = [await pool.acquire(soon()) for _ in range(2)]
            waiting = [asyncio.ensure_future(exchange(pool)) for _ in range(6)]
            await until(lambda: pool.num_waiting == 6)
            assert (pool.num_idle, pool.num_busy) == (0, 2)
            for connection in connections:
                send(connection)
                await connection.read_head()
                await read_all(connection)
                connection.release()
            assert [(await task)[1] for task in waiting] == [b"ok"] * 6
            assert (pool.num_idle, pool.num_busy, pool.num_waiting) == (2, 0, 0)

    run(main())
    assert server.num_connections == 2


def test_the_gauges_tell_what_a_pool_has_and_who_waits(run: Run, serve: Serve) -> None:
    server = serve(always_ok)
    endpoints = (Endpoint("127.0.0.1", server.port),)
    cluster = Cluster(ClusterSettings("c", endpoints, pool=PoolLimits(max_connections=2)), random.random)
    registry = Registry()
    register_gauges(registry, lambda: {"c": cluster}, lambda: 0.0)

    def shown() -> list[str]:
        lines = registry.render().decode().splitlines()
        return [line.rpartition(" ")[2] for line in lines if line.startswith("headgate_pool_")]

    async def main() -> None:
        pool = cluster.members[0].pool
        connections = [await pool.acquire(soon()) for _ in range(2)]
        waiting = [asyncio.ensure_future(exchange(pool)) for _ in range(3)]
        await until(lambda: pool.num_waiting == 3)
        assert shown() == ["2", "2", "3"], "connections, busy, waiting"
        for connection in connections:
            send(connection)
            await connection.read_head()
            await read_all(connection)
            connection.release()
        await asyncio.gather(*waiting)
        assert shown() == ["2", "0", "0"]
        cluster.close()

    run(main())


def test_an_idle_connection_is_taken_at_once_and_given_back(run: Run, serve: Serve) -> None:
    server = serve(always_ok)

    async def main() -> None:
        now = asyncio.get_running_loop().time
        with pool_for(server.port, max_connections=1) as pool:
            assert pool.take_idle(now()) is None, "none is opened for this"
            assert (await exchange(pool))[1] == b"ok"
            wire = pool.take_idle(now())
            assert wire is not None
            assert (pool.num_idle, pool.num_busy) == (0, 1)
            assert pool.take_idle(now()) is None
            waiting = asyncio.ensure_future(exchange(pool))
            await until(lambda: pool.num_waiting == 1)
            pool.give_back(wire, True)
            assert (await waiting)[1] == b"ok"
            assert pool.take_idle(now()) is wire
            wire.abort()
            pool.give_back(wire, False)
            assert (pool.num_idle, pool.num_busy) == (0, 0)

    run(main())
    assert server.num_connections == 1


def test_what_is_taken_at_once_is_neither_too_old_nor_spoken_on(run: Run, serve: Serve) -> None:
    def talks(peer: Peer) -> None:
        if peer.read_request():
            peer.send_while_taken(OK)
        peer.send_while_taken(b"HTTP/1.1 408 Request Timeout\r\n\r\n")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pool_for(serve(always_ok).port, idle_timeout_s=5.0) as pool:
            await exchange(pool)
            assert pool.take_idle(loop.time() + 5.0) is None
            assert (pool.num_idle, pool.num_busy) == (0, 0)
        with pool_for(serve(talks).port) as pool:
            await exchange(pool)
            await until(lambda: is_refused(pool, loop.time()))
            assert (pool.num_idle, pool.num_busy) == (0, 0)

    def is_refused(pool: ConnectionPool, now: float) -> bool:
        wire = pool.take_idle(now)  # quiet for as long as the word has not come
        if wire is not None:
            pool.give_back(wire, True)
        return wire is None

    run(main())


@pytest.mark.parametrize("is_fresh", [True, False])
def test_an_aborted_connection_leaves_its_slot_to_a_waiter(run: Run, serve: Serve, is_fresh: bool) -> None:
    async def main() -> None:
        with pool_for(serve(always_ok).port, max_connections=1) as pool:
            connection = await pool.acquire(soon())
            waiting = asyncio.ensure_future(exchange(pool, fresh=is_fresh))
            await until(lambda: pool.num_waiting == 1)
            connection.abort()
            assert (await waiting)[1] == b"ok"
            assert (pool.num_idle, pool.num_busy) == (1, 0)

    run(main())


def test_a_waiter_that_wants_a_fresh_connection_gets_one(run: Run, serve: Serve) -> None:
    server = serve(always_ok)

    async def main() -> None:
        with pool_for(server.port, max_connections=1) as pool:
            connection = await pool.acquire(soon())
            waiting = asyncio.ensure_future(pool.acquire(soon(), fresh=True))
            await until(lambda: pool.num_waiting == 1)
            send(connection)
            await connection.read_head()
            await read_all(connection)
            connection.release()
            fresh = await waiting
            assert not fresh.is_reused
            assert (pool.num_idle, pool.num_busy) == (0, 1)
            await until(lambda: server.num_connections == 2)  # the server's thread may come to it later
            fresh.abort()

    run(main())


def test_the_waiting_list_is_bounded(run: Run, serve: Serve) -> None:
    async def main() -> None:
        with pool_for(serve(always_ok).port, max_connections=1, max_waiting=3) as pool:
            connection = await pool.acquire(soon())
            waiting = [asyncio.ensure_future(exchange(pool)) for _ in range(3)]
            await until(lambda: pool.num_waiting == 3)
            assert await kind_of(pool.acquire(soon())) == "pool_full"
            connection.abort()
            await asyncio.gather(*waiting)

    run(main())


def test_no_waiting_list_at_all(run: Run, serve: Serve) -> None:
    async def main() -> None:
        with pool_for(serve(always_ok).port, max_connections=1, max_waiting=0) as pool:
            connection = await pool.acquire(soon())
            assert await kind_of(pool.acquire(soon())) == "pool_full"
            connection.abort()

    run(main())


def test_the_deadline_ends_waiting(run: Run, serve: Serve) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pool_for(serve(always_ok).port, max_connections=1) as pool:
            assert await kind_of(pool.acquire(loop.time())) == "deadline"
            connection = await pool.acquire(soon())
            assert await kind_of(pool.acquire(loop.time() + 0.02)) == "deadline"
            assert (pool.num_waiting, pool.num_busy) == (0, 1)
            connection.abort()
            assert pool.num_busy == 0

    run(main())


def test_a_slot_given_to_a_waiter_that_is_cancelled_goes_on_to_the_next(run: Run, serve: Serve) -> None:
    async def main() -> None:
        with pool_for(serve(always_ok).port, max_connections=1) as pool:
            connection = await pool.acquire(soon())
            first, second = (asyncio.ensure_future(pool.acquire(soon())) for _ in range(2))
            await until(lambda: pool.num_waiting == 2)
            send(connection)
            await connection.read_head()
            await read_all(connection)
            connection.release()  # gives the connection to the first, which has not run yet
            first.cancel()
            given = await second
            assert first.cancelled()
            assert given.is_reused
            given.abort()
            assert (pool.num_idle, pool.num_busy, pool.num_waiting) == (0, 0, 0)

    run(main())


def test_a_cancelled_opening_gives_its_slot_back(run: Run, serve: Serve) -> None:
    async def main() -> None:
        with pool_for(serve(always_ok).port, max_connections=1) as pool:
            for _ in range(20):
                task = asyncio.ensure_future(pool.acquire(soon()))
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():
                    task.result().abort()
                assert pool.num_busy == 0

    run(main())


@pytest.mark.parametrize("seed", range(25))
def test_no_slot_is_lost_whatever_callers_do(run: Run, serve: Serve, seed: int) -> None:
    chance = random.Random(seed)
    server = serve(always_ok)

    async def caller(pool: ConnectionPool) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + chance.choice([0.0005, 0.002, 5.0])
        try:
            connection = await pool.acquire(deadline, fresh=chance.random() < 0.2)
        except GatewayError as error:
            assert error.kind.name in ("deadline", "pool_full")
            return
        try:
            assert pool.num_busy <= 3
            assert not (pool.num_idle and pool.num_waiting)
            if chance.random() < 0.2:
                return
            send(connection)
            await connection.read_head()
            if chance.random() < 0.2:
                return
            assert await read_all(connection) == b"ok"
        finally:
            connection.release()

    async def main() -> None:
        with pool_for(server.port, max_connections=3, max_waiting=8, max_idle=2) as pool:
            tasks = []
            for _ in range(60):
                tasks.append(asyncio.ensure_future(caller(pool)))
                if chance.random() < 0.4:
                    chance.choice(tasks).cancel()
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                assert result is None or isinstance(result, asyncio.CancelledError), result
            assert (pool.num_busy, pool.num_waiting) == (0, 0)
            assert pool.num_idle <= 2
            kept = [await pool.acquire(soon()) for _ in range(3)]
            assert pool.num_busy == 3
            for connection in kept:
                connection.abort()
            assert pool.num_busy == 0

    run(main())


def test_nothing_is_left_on_the_loop_after_close(serve: Serve) -> None:
    server = serve(always_ok)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pool_for(server.port) as pool:
            await exchange(pool)
            await exchange(pool)
        await asyncio.sleep(0)
        timers = [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        assert timers == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
