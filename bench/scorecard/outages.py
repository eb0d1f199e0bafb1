"""Long outages: how often a dead target is asked, and how soon it is used again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from .client import Seen, ask
from .stand import Stand, stand

OUTAGE_S = 60.0
NUM_REQUESTS = 20
_PACE_S = 1.0
_AGAIN_S = 40.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the page; `is_kept`: the promise held."""

    title: str
    seen: str
    promised: str
    is_kept: bool


async def long_outage(folder: Path) -> list[Row]:
    """Take the first target away for a minute, under light traffic, then give it back."""
    async with stand(folder, {}, ("heavy/heavy", "lite/lite")) as running:
        await running.heavy.misbehave("500")
        await running.heavy.forget()
        answers = [await _asked(running, OUTAGE_S / NUM_REQUESTS) for _ in range(NUM_REQUESTS)]
        attempts = await running.heavy.num_attempts()
        await running.heavy.misbehave("well")
        again_s = await _used_again(running)
    served = sum(answer.end == "lite" for answer in answers)
    return [
        Row(
            f"an outage of {OUTAGE_S:g} s, {NUM_REQUESTS} requests",
            f"{served} served, {attempts} attempts at the first target",
            "all served, at most 4 attempts",
            served == NUM_REQUESTS and attempts <= 4,
        ),
        Row("after it", f"used again after {again_s:.1f} s", "at most 30 s", again_s <= 30.0),
    ]


async def _asked(running: Stand, pace_s: float) -> Seen:
    loop = asyncio.get_running_loop()
    until = loop.time() + pace_s
    seen = await ask(running.session, running.url, is_stream=True)
    await asyncio.sleep(max(0.0, until - loop.time()))
    return seen


async def _used_again(running: Stand) -> float:
    """Return how long it takes until the first target has answered three requests in a row."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    in_a_row = 0
    while in_a_row < 3 and loop.time() - began < _AGAIN_S:
        seen = await _asked(running, _PACE_S / 5)
        in_a_row = in_a_row + 1 if seen.end == "heavy" else 0
    return loop.time() - began


async def two_waves(folder: Path) -> list[Row]:
    """Send 50 requests at once into an outage, twice."""
    async with stand(folder, {}, ("heavy/heavy", "lite/lite")) as running:
        await running.heavy.misbehave("reset")
        attempts, served = [], []
        for _ in range(2):
            await running.heavy.forget()
            wave = await asyncio.gather(*(ask(running.session, running.url, is_stream=True) for _ in range(50)))
            attempts.append(await running.heavy.num_attempts())
            served.append(sum(seen.end == "lite" for seen in wave))
    return [
        Row(
            f"50 requests at once into an outage, wave {number}",
            f"{served[number - 1]} served, {attempts[number - 1]} attempts at the first target",
            "all served" + (", at most 5 attempts" if number == 2 else ""),
            served[number - 1] == 50 and (number == 1 or attempts[1] <= 5),
        )
        for number in (1, 2)
    ]
