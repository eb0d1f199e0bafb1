"""The moments of an exchange, and how one comes there."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from ...upstream import Call
from .completions import DONE, ROLE, begin, chunks, end, events
from .scene import Moment, Scene, Script

LONG = "8000h"  # a random share of it that is short is too unlikely to be met
UPLOAD = b"POST /up HTTP/1.1\r\nHost: gate.test\r\n%bTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
STUCK = b"GET /stuck HTTP/1.1\r\nHost: gate.test\r\n%b\r\n"
FETCH = b"GET /file HTTP/1.1\r\nHost: gate.test\r\n%b\r\n"
SWITCH = (
    b"GET /ws HTTP/1.1\r\nHost: gate.test\r\n%bConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n"
)


def all_held_twice(scene: Scene) -> bool:
    return scene.num_held == 2 * scene.num


def all_under_way(scene: Scene) -> bool:
    return scene.gate.gateway.observer.num_inflight == scene.num


def all_paused(scene: Scene) -> bool:
    return len(scene.served.calls) == scene.num and not scene.pool["busy"] and not any_attempt(scene)


def any_attempt(scene: Scene) -> bool:
    return any(member.num_active for cluster in scene.gate.clusters.values() for member in cluster.members)


async def answer_all(call: Call, first: int = 0, *, is_marked: bool = False) -> None:
    await chunks(call, [*events(is_marked=is_marked)[first:], DONE])
    await end(call)


async def no_head(scene: Scene, call: Call) -> None:
    await scene.hold(call)
    await begin(call)
    await answer_all(call)


async def no_event(scene: Scene, call: Call) -> None:
    await begin(call)
    await chunks(call, [ROLE])
    await scene.hold(call)
    await answer_all(call)


async def streaming(scene: Scene, call: Call) -> None:
    await begin(call)
    await chunks(call, events()[:2])
    await scene.hold(call)
    await answer_all(call, 2)


async def slow_first(scene: Scene, call: Call) -> None:
    """The first call of each exchange has no head, its hedge streams."""
    await (no_head if scene.is_first(call) else streaming)(scene, call)


async def bad_first(scene: Scene, call: Call) -> None:
    """The first call of each exchange fails, the next one streams."""
    await (bad_gateway if scene.is_first(call) else streaming)(scene, call)


def resuming(then: Callable[[Scene, Call], Awaitable[None]]) -> Script:
    """Break off after two events; what asks for the rest is for `then`."""

    async def script(scene: Scene, call: Call) -> None:
        if "headgate_resume" in json.loads(call.body):
            await then(scene, call)
            return
        await begin(call, "x-headgate-numerics: n1")
        await chunks(call, events(is_marked=True)[:2])
        call.reset()
        raise ConnectionError("cut")

    return script


async def resumed_later(scene: Scene, call: Call) -> None:
    await scene.hold(call)
    await begin(call, "x-headgate-numerics: n1")
    await answer_all(call, 2, is_marked=True)


async def resumed_and_held(scene: Scene, call: Call) -> None:
    await begin(call, "x-headgate-numerics: n1")
    await chunks(call, events(is_marked=True)[2:3])
    await scene.hold(call)
    await answer_all(call, 3, is_marked=True)


async def bad_gateway(scene: Scene, call: Call) -> None:
    await call.answer(b"", "502 Bad Gateway")


async def busy(scene: Scene, call: Call) -> None:
    await call.answer(b"", "429 Too Many Requests", "Retry-After: 3600")


async def uploaded(scene: Scene, call: Call) -> None:
    await scene.hold(call)
    await call.answer(b"taken")
    raise ConnectionError("the rest of the body was read by whoever waited")


async def echoing(scene: Scene, call: Call) -> None:
    """Answer while the body still comes."""
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
    await scene.hold(call)
    await call.send(b"later")
    raise ConnectionError("the rest of the body was read by whoever waited")


async def storable(scene: Scene, call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nfirst")
    await scene.hold(call)
    await call.send(b"later")


async def switching(scene: Scene, call: Call) -> None:
    await call.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
    await scene.hold(call)
    raise ConnectionError("the tunnel ends")


def one_flight(scene: Scene) -> bool:
    shelf = scene.gate.gateway.snapshot.instances["cache"].shelf
    return sum(len(flight.waiting) for flight in shelf.flights._by_key.values()) == scene.num - 1 and all_seen(scene)


def all_seen(scene: Scene) -> bool:
    return scene.num_held >= 1


INFERENCE = {"kind": "inference", "read_model": False}
HEDGED = {"kind": "inference", "hedge": {"after": "30ms"}}
MOMENTS: dict[str, Moment] = {
    "connecting": Moment(
        no_head,
        INFERENCE,
        is_there=lambda scene: scene.num_hanging == scene.num,
        hole="only",
        can_go_on=False,
        stalled="connect_timeout",
    ),
    "no slot": Moment(
        no_head,
        INFERENCE,
        {"max_connections": 1},
        is_there=lambda scene: scene.num_held == 1 and scene.pool["waiting"] == scene.num - 1,
        broken="reset",
    ),
    "in a plugin": Moment(no_head, request=STUCK, is_there=all_under_way, can_go_on=False),
    "reading the body": Moment(
        no_head,
        {"kind": "inference"},
        request=UPLOAD,
        is_there=all_under_way,
        can_go_on=False,
    ),
    # It is the client that keeps the target waiting: its silence is none.
    "uploading": Moment(uploaded, request=UPLOAD, rest=b"0\r\n\r\n", broken="reset"),
    "uploading, answer begun": Moment(
        echoing, request=UPLOAD, rest=b"0\r\n\r\n", broken="truncated", stalled="stalled"
    ),
    "no head": Moment(no_head, INFERENCE, broken="reset", stalled="silent"),
    "no event": Moment(no_event, INFERENCE, broken="reset", stalled="first_event_timeout"),
    "streaming": Moment(streaming, INFERENCE, broken="truncated", stalled="stalled"),
    "holding all": Moment(streaming, {**INFERENCE, "hold_back": "complete"}, broken="reset", stalled="stalled"),
    "holding tokens": Moment(streaming, {**INFERENCE, "hold_back": "4 tokens"}, broken="reset", stalled="stalled"),
    "holding a while": Moment(streaming, {**INFERENCE, "hold_back": "1h"}, broken="reset", stalled="stalled"),
    "before the hedge": Moment(no_head, {**HEDGED, "hedge": {"after": "1h"}}, broken="reset", stalled="silent"),
    "hedging": Moment(no_head, HEDGED, is_there=all_held_twice, broken="reset", stalled="silent"),
    "hedged and holding": Moment(
        slow_first,
        {**HEDGED, "hold_back": "complete"},
        is_there=all_held_twice,
        broken="reset",
        stalled="stalled",
    ),
    "resume connecting": Moment(
        resuming(resumed_later),
        INFERENCE,
        is_there=lambda scene: scene.num_hanging == scene.num,
        hole="second",
        can_go_on=False,
        stalled="truncated",
        late=("deadline", "truncated"),  # each of several tries has its share of the time
        num_failures=1,
    ),
    "resume without head": Moment(
        resuming(resumed_later),
        INFERENCE,
        broken="truncated",
        stalled="truncated",
        late=("deadline", "truncated"),
        num_failures=1,
    ),
    "resume streaming": Moment(
        resuming(resumed_and_held), INFERENCE, broken="truncated", stalled="stalled", num_failures=1
    ),
    "pausing": Moment(
        bad_gateway,
        {**INFERENCE, "retry": {"backoff": LONG, "max_backoff": LONG}, "deadline": "8700h"},
        is_there=all_paused,
        can_go_on=False,
        late=(),
        num_failures=1,
    ),
    "busy wait": Moment(
        busy, {**INFERENCE, "busy_wait": "2h", "deadline": "4h"}, is_there=all_paused, can_go_on=False, late=()
    ),
    "collected by a cache": Moment(
        storable,
        config={"plugins": {"ledger": {}, "cache": {}}, "stages": {"cache": ["cache"], "response_head": ["cache"]}},
        request=FETCH,
        is_there=one_flight,
    ),
    "tunnelling": Moment(switching, request=SWITCH, late=()),
}


FLOWS: dict[str, Moment] = {
    "uploading": Moment(uploaded, request=UPLOAD),  # and never to its end
    "uploading, answer begun": MOMENTS["uploading, answer begun"],
    "streaming": MOMENTS["streaming"],
    "holding": MOMENTS["holding all"],
    "hedging": Moment(slow_first, {**HEDGED, "hedge": {"after": "1ms"}, "hold_back": "4 tokens"}),
    "resuming": MOMENTS["resume streaming"],
    "retrying": Moment(bad_first, {**INFERENCE, "retry": {"backoff": 0}}),
    "tunnelling": MOMENTS["tunnelling"],
    "connecting": MOMENTS["connecting"],
    "asking on the side": Moment(no_head, HEDGED, config={"stages": {"aggregate": ["ledger"]}}),
    "collecting": MOMENTS["collected by a cache"],
}
