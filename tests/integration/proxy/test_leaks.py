"""Nothing that an exchange takes outlives it, whenever and however it ends."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest

from headgate.proxy.upstream.health.breaker import Admission, BreakerState
from headgate.proxy.upstream.watchdog import Watchdog

from ...http_client import Client
from ...upstream import Call
from .inside import MORTAL, alive, run, young_objects
from .moments import FLOWS, MOMENTS, UPLOAD
from .scene import Moment, Scene, clients_of, scene_of

NUM = 3
OURS = ("client_gone", "draining")
BY_US = ("leave", "drain")
NO_LINGER = b"\x01\x00\x00\x00\x00\x00\x00\x00"


@pytest.fixture(autouse=True, scope="module")
def only_young_objects() -> Iterator[None]:
    with young_objects():
        yield


def reset(client: Client) -> None:
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    client.writer.transport.abort()


async def leave(scene: Scene, clients: list[Client]) -> None:
    """Leave in three ways: by a close, by a reset, by closing the sending side alone."""
    await scene.until_there()
    closing, resetting, half_closing = clients
    closing.close()
    reset(resetting)
    half_closing.writer.write_eof()


async def go_on(scene: Scene, clients: list[Client]) -> None:
    """Let everything come to its good end."""
    for each in clients:
        each.writer.write(scene.moment.rest)
    scene.go.set()
    answers = [await each.answer() for each in clients]
    assert all(answer.is_whole and answer.status in (200, 101) for answer in answers)


async def whole(scene: Scene, clients: list[Client]) -> None:
    await scene.until_there()
    await go_on(scene, clients)


async def reload(scene: Scene, clients: list[Client]) -> None:
    await scene.until_there()
    scene.gate.config["clusters"]["t0"]["timeouts"]["idle"] = "59s"  # a new cluster; the old one is still in use
    await scene.gate.reload()
    assert scene.gate.snapshots[0].num_exchanges == scene.num
    await go_on(scene, clients)


async def upstream_reset(scene: Scene, clients: list[Client]) -> None:
    await scene.until_there()
    scene.is_breaking = True
    scene.go.set()


async def by_itself(scene: Scene, clients: list[Client]) -> None:
    """A timer ends it."""


async def drain(scene: Scene, clients: list[Client]) -> None:
    await scene.until_there()
    draining = asyncio.ensure_future(scene.gate.drain())
    await ended(scene)
    for each in clients:
        each.close()
    await draining


async def ended(scene: Scene) -> None:
    await scene.gate.until(lambda: len(scene.gate.ledger.outcomes) == scene.num)


ENDS: dict[str, Callable[[Scene, list[Client]], Awaitable[None]]] = {
    "leave": leave,
    "whole": whole,
    "reload": reload,
    "upstream reset": upstream_reset,
    "stall": by_itself,
    "deadline": by_itself,
    "drain": drain,
}
STALL = dict.fromkeys(("connect", "head", "first_event", "idle"), "40ms")


def errors_of(moment: Moment, end: str) -> tuple[str | None, ...]:
    """What may be told of an exchange that ends there so; nothing where it cannot."""
    goes_on: tuple[str | None, ...] = (None,) if moment.can_go_on else ()
    return {
        "whole": goes_on,
        "reload": goes_on,
        "upstream reset": (moment.broken,) if moment.broken else (),
        "stall": (moment.stalled,) if moment.stalled else (),
        "deadline": moment.late,
        "leave": ("client_gone",),
        "drain": ("draining",),
    }[end]


def told(moment: Moment, end: str) -> Moment:
    """Give the exchange a short deadline, where that is its end. Its timers are early by a part of a millisecond."""
    return replace(moment, route={**moment.route, "deadline": "90.4ms"}) if end == "deadline" else moment


@pytest.mark.parametrize(
    ("name", "end"), [(name, end) for name in MOMENTS for end in ENDS if errors_of(MOMENTS[name], end)]
)
def test_nothing_is_left(name: str, end: str) -> None:
    moment = MOMENTS[name]

    async def main() -> None:
        async with scene_of(told(moment, end), NUM, STALL if end == "stall" else {}) as scene:
            outcomes = scene.gate.ledger.outcomes
            async with clients_of(scene) as clients:
                await ENDS[end](scene, clients)
                await ended(scene)
            await scene.gate.until_empty()
            errors = errors_of(moment, end)
            assert all(outcome.error in errors for outcome in outcomes), outcomes
            assert scene.num_counted == sum(outcome.attempts for outcome in outcomes)
            if end in BY_US:  # is told of nobody's health
                assert scene.num_failures == NUM * moment.num_failures

    run(main())


STEPS = (*range(30), *(int(30 * 1.8**power) for power in range(6)))


@pytest.mark.parametrize("is_cut", [False, True])
@pytest.mark.parametrize("name", FLOWS)
def test_nothing_is_left_at_whatever_step_the_client_leaves(name: str, is_cut: bool) -> None:
    """With `is_cut` the exchange is cut first, as by a drain, and the client leaves up to two steps later."""
    flow = replace(FLOWS[name], pool={"max_idle": 0})

    async def main() -> None:
        async with scene_of(flow, 1, {"connect": "50ms"} if flow.hole else None) as scene:
            gate, outcomes = scene.gate, scene.gate.ledger.outcomes
            scene.go.set()
            for step in STEPS:
                async with clients_of(scene) as (leaving,):
                    await steps(step)
                    if is_cut:
                        gate.cut()
                        await steps(step % 3)
                    reset(leaving)
                await steps(3)  # until it was accepted, at least
                await gate.until(lambda: gate.held() == gate.empty)
                if len(outcomes) > 2 and not any(outcome.error in OURS for outcome in outcomes[-3:]):
                    break  # from here on it is over before
            await gate.until_empty()
            assert sum(outcome.error in OURS for outcome in outcomes) > 5

    run(main())


async def steps(num: int) -> None:
    """Let the loop turn so often."""
    for _ in range(num):
        await asyncio.sleep(0)


def test_what_is_held_is_seen_while_it_is_held() -> None:
    """The counting itself: a test that finds nothing left must be able to find something."""

    async def main() -> tuple[Counter[str], Counter[str]]:
        async with scene_of(MOMENTS["uploading, answer begun"], 2) as scene, clients_of(scene) as clients:
            await asyncio.gather(*(each.reader.readuntil(b"first") for each in clients))
            return scene.gate.held() - scene.gate.empty, alive()

    held, living = run(main())
    wanted = {"exchanges under way", "exchanges of version 1", "client connections", "reservations and stores"}
    wanted |= {"attempts at t0", "connections to t0", "guarded tasks", "timer Watchdog._fire"}
    assert {name: held[name] for name in wanted} == dict.fromkeys(wanted, 2) | {"reservations and stores": 4}
    assert held["descriptors"] == 8  # both ends of both connections
    assert set(living) == {each.__name__ for each in MORTAL}


def test_the_loser_of_a_hedge_is_left_at_once_though_the_winner_is_held_back() -> None:
    async def main() -> None:
        async with scene_of(MOMENTS["hedged and holding"], NUM) as scene, clients_of(scene):
            await scene.until_there()
            await scene.gate.until(lambda: len(scene.gone) == NUM, 2)
            assert scene.pool["busy"] == NUM

    run(main())


def test_a_client_that_takes_nothing_while_it_uploads_is_given_up() -> None:
    """Its write timeout ends the exchange and, at the same time, the connection."""

    async def flooding(scene: Scene, call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
        while not call.writer.transport.is_closing():
            await call.send(bytes(65536))
        raise ConnectionError("the gateway left")

    listeners = [{"address": "127.0.0.1:0", "timeouts": {"write": "50ms"}}]
    moment = Moment(flooding, request=UPLOAD, config={"listeners": listeners})

    async def main() -> None:
        async with scene_of(moment, NUM) as scene:
            async with clients_of(scene) as clients:
                for each in clients:
                    each.writer.transport.pause_reading()  # type: ignore[attr-defined]
                await ended(scene)
            await scene.gate.until_empty()
            assert [outcome.error for outcome in scene.gate.ledger.outcomes] == ["client_gone"] * NUM

    run(main())


@pytest.mark.parametrize("end", ["leave", "deadline", "drain"])
def test_a_probe_that_tells_nothing_is_given_back(end: str) -> None:
    moment = told(replace(MOMENTS["no head"], breaker={"failures": 1, "probes": ["1ms"]}), end)

    async def main() -> None:
        async with scene_of(moment, NUM) as scene:
            breaker, now = scene.gate.clusters["t0"].breaker(None), asyncio.get_running_loop().time
            breaker.failed(now())
            await scene.gate.until(lambda: breaker.peek(now()) is Admission.PROBE)
            async with clients_of(scene) as clients:
                await scene.until_there()
                assert breaker.state(now()) is BreakerState.HALF_OPEN
                await ENDS[end](scene, clients)
                await ended(scene)
            await scene.gate.until_empty()
            assert breaker.peek(now()) is Admission.PROBE  # the next one

    run(main())


def test_a_timer_that_is_as_good_as_due_can_be_looked_at_again() -> None:
    """The exchange failed: the loop's handle for such a timer does not know its instant."""

    async def main() -> None:
        loop, bitten = asyncio.get_running_loop(), asyncio.Event()
        due = [loop.time() + 0.0001]
        watchdog = Watchdog(loop, lambda: (due[0], "stalled"), bitten.set)
        watchdog.look()
        watchdog.look()
        due[0] = loop.time() - 1
        watchdog.look()
        await asyncio.wait_for(bitten.wait(), 5)
        assert watchdog.expired == "stalled"

    run(main())
