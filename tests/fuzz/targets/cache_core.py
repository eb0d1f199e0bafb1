"""The cache core: call by call as the twin; without expiry as the model of its policy, too."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from headgate.ext import implementation
from headgate.ext.cache_core import POLICIES, CacheCore, Reason

from ...property.ext.test_cache_core_laws import FOREVER, Call, Left, follow, outcome, state
from ..draws import Draws

COMPILED, TWIN = implementation("cache_core", "compiled"), implementation("cache_core", "twin")
NAMES = ("get", "put", "get", "put", "delete", "sweep", "reserve", "release", "resize", "peek")
LIFETIMES = (FOREVER, 5.0, 50.0, 0.0, -1.0, float("nan"))
MAX_CALLS = 150
MAX_BYTES = 512
TOKENS = ()


def check(data: bytes) -> None:
    """Raises: AssertionError."""
    draws = Draws(data)
    policy, max_bytes, is_lasting = draws.pick(POLICIES), 1 + draws.number(), draws.number() % 2 == 0
    now, timed, lasting = 0.0, list[Call](), list[Call]()
    while not draws.is_empty and len(timed) < MAX_CALLS:
        choice, key = draws.number(), draws.number() % 15
        name, now = NAMES[choice % len(NAMES)], now + (choice >> 6)
        timed.append((name, drawn_arguments(name, key, draws, now)))
        if name in ("get", "put", "delete"):
            more = {"get": (), "put": (1 + key % 3, FOREVER), "delete": (Reason.INVALIDATED,)}[name]
            lasting.append((name, (key, *more)))
    compare(policy, max_bytes, timed)
    if is_lasting:
        follow(COMPILED.CacheCore, policy, max_bytes % 40 + 1, lasting)


def drawn_arguments(name: str, key: int, draws: Draws, now: float) -> tuple[Any, ...]:
    """Draw what a call is given."""
    if name in ("get", "peek"):
        return (key, now) if name == "get" else (key,)
    number = draws.number()
    if name == "put":
        return key, object(), number % 40, now + LIFETIMES[number % len(LIFETIMES)], now
    if name == "delete":
        return key, number % 8 - 2
    return (number, now) if name in ("reserve", "sweep") else (number,)


def compare(policy: Any, max_bytes: int, calls: list[Call]) -> None:
    """Make the same calls on both."""
    logs: tuple[Left, Left] = ([], [])
    cores: list[CacheCore[Any, Any]] = [
        module.CacheCore(max_bytes, policy, lambda *what, log=log: log.append(what))
        for module, log in zip((TWIN, COMPILED), logs, strict=True)
    ]
    for name, arguments in calls:
        first, second = (outcome(getattr(core, name), arguments) for core in cores)
        assert first == second, (name, arguments)
        assert logs[0] == logs[1], (name, arguments)
        assert list(cores[0]) == list(cores[1]), (name, arguments)
        assert cores[0].used_bytes == cores[1].used_bytes, (name, arguments)
    assert state(cores[0]) == state(cores[1])


def seeds() -> Iterator[bytes]:
    """Yield inputs to begin with."""
    for seed in range(100):
        yield Random(seed).randbytes(40 + seed * 3)
