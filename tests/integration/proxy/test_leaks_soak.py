"""Many exchanges at once over upstreams that fail, for clients that leave: at the end nothing of them is left."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from ...http_client import client
from ...running import plain
from ...upstream import Call, upstream
from .completions import DONE, ROLE, begin, chunks, end, events
from .inside import Inside, inside, run, young_objects

NUM = 150
NUM_CLIENTS = 24
SEEDS = (int(os.environ["HEADGATE_LEAK_SEED"]),) if "HEADGATE_LEAK_SEED" in os.environ else (1, 2)
ROUTES: dict[str, dict[str, Any]] = {
    "bare": {},
    "chat": {"kind": "inference"},
    "hedged": {"kind": "inference", "hedge": {"after": "5ms"}},
    "tokens": {"kind": "inference", "hold_back": "3 tokens"},
    "whole": {"kind": "inference", "hold_back": "complete", "hedge": {"after": "20ms"}},
}
FAULTS = ("none",) * 5 + ("reset", "silent", "502", "503", "busy", "no event", "stall", "cut", "cut", "malformed")
FLOOR, WINDOW_S = 1000, 0.25
SHORT = dict.fromkeys(("head", "first_event", "idle"), "60ms")
HEALTH: dict[str, Any] = {
    "breaker": {"failures": 3, "probes": ["20ms"], "ramp": [0.5], "ramp_step": "20ms"},
    "outlier": {"base": "20ms", "max": "20ms"},
    "retry_budget": {"floor": FLOOR, "window": f"{WINDOW_S}s"},
}


@pytest.fixture(autouse=True, scope="module")
def only_young_objects() -> Iterator[None]:
    with young_objects():
        yield


def failing(chance: Random) -> Any:
    """An upstream each of whose calls draws its own fault."""

    async def script(call: Call) -> None:
        fault = chance.choice(FAULTS)
        try:
            await (unanswered if fault in ("reset", "silent", "502", "503", "busy") else streamed)(call, fault)
        except RuntimeError as error:
            if call.writer.transport.is_closing():  # so the event loop says that nothing can be written any more
                raise ConnectionError("the gateway left") from error
            raise

    return script


async def unanswered(call: Call, fault: str) -> None:
    if fault == "502":
        await call.answer(b"", "502 Bad Gateway")
    elif fault == "503":
        await call.answer(b"", "503 Service Unavailable")
    elif fault == "busy":
        await call.answer(b"", "429 Too Many Requests", "Retry-After: 0")
    else:
        await leave(call, fault)


async def leave(call: Call, fault: str) -> None:
    if fault in ("silent", "no event", "stall"):
        await call.gone()
    call.reset()
    raise ConnectionError(fault)


async def streamed(call: Call, fault: str) -> None:
    known = json.loads(call.body).get("headgate_resume", []) if call.body else []
    await begin(call, "x-headgate-numerics: n1")
    left = events(is_marked=True)[len(known) :]
    if fault == "no event":
        await chunks(call, [ROLE])
    elif fault == "malformed":
        await chunks(call, [*left[:1], b"id: cursor-1\ndata: {\n\n"])
    elif fault == "none":
        await chunks(call, [*left, DONE])
        await end(call)
        return
    else:
        await chunks(call, left[:2])
    await leave(call, fault)


async def ask(gate: Inside, chance: Random) -> None:
    """Ask, and leave at some moment, or read to the end."""
    route, fields = chance.choice(list(ROUTES)), []
    if chance.random() < 0.2:
        fields.append(f"X-Headgate-Deadline-Ms: {chance.randint(5, 120)}")
    patience_s = chance.random() * 0.06 if chance.random() < 0.4 else 10.0
    async with client(gate.port) as asking:
        await asking.send("POST", f"/{route}", b'{"stream": true}', *fields)
        with contextlib.suppress(TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            async with asyncio.timeout(patience_s):
                await asking.answer("POST")
        if chance.random() < 0.5:
            asking.writer.transport.abort()


def config(urls: list[str]) -> dict[str, Any]:
    made = plain(urls[0])
    made["clusters"] = {
        "one": {"endpoints": urls[:1], "pool": {"max_connections": 4, "idle_timeout": "20ms"}, "timeouts": SHORT},
        "many": {"endpoints": urls[1:], "pool": {"idle_timeout": "20ms"}, "timeouts": SHORT},
    }
    for cluster in made["clusters"].values():
        cluster |= HEALTH
    made["routes"] = [
        {"name": name, "match": {"path": f"/{name}"}, "targets": ["one", "many"], **route}
        for name, route in ROUTES.items()
    ]
    return made


def budgets(gate: Inside) -> set[float]:
    now = asyncio.get_running_loop().time()
    return {cluster.budget.remaining(now) for cluster in gate.clusters.values()}


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_left_after_many_exchanges_at_once(seed: int) -> None:
    chance = Random(seed)

    async def work(gate: Inside, left: list[int]) -> None:
        while left:
            if left.pop() == NUM // 2:
                gate.config["clusters"]["one"]["timeouts"] = {**SHORT, "idle": "61ms"}
                await gate.reload()
            await ask(gate, chance)

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            served = [await stack.enter_async_context(upstream(failing(chance))) for _ in range(4)]
            gate = await stack.enter_async_context(inside(config([each.url for each in served])))
            left = list(range(NUM))
            await asyncio.gather(*(work(gate, left) for _ in range(NUM_CLIENTS)))
            await gate.until_empty()
            errors = Counter(outcome.error for outcome in gate.ledger.outcomes)
            assert {None, "client_gone", "deadline", "stalled"} <= set(errors)
            await gate.until(
                lambda: budgets(gate) == {FLOOR * WINDOW_S}
            )  # after a window what was taken is there again

    run(main())
