"""Worlds drawn by a picker: Hypothesis picks for the tests, a seeded generator for runs by the thousand."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from ..exchange.scenario import Picker, drawn
from .client import Visitor
from .upstream import ENDINGS, Fate
from .world import Scenario

SPANS = (0.0, 0.0, 0.1, 1.0, 7.0, 40.0)
REFUSALS = (503, 429, 500, 502, 504, 529, 400, 401, 404, 413, 422)
CAUSES = ("connect", "reset", "silent", "first_event", "status", "busy", "error_event", "malformed")


def draw_fate(pick: Picker, mood: str) -> Fate:
    """Draw what one request meets; a mild one comes to its answer, a breaking one breaks inside of it."""
    if mood == "breaking" and pick((True, True, False)):
        ending = pick(("end", "reset", "stall", "error", "malformed", "early_done"))
        return Fate(ending=ending, at=pick((2, 1, 3, 0, 4)), cut=pick((0, 1, 60)), is_pinging=pick((False, True)))
    if mood == "mild" or pick((True, True, False)):
        return Fate(gap_s=pick((0.0, 0.0, 0.1, 1.0)), after=pick(("keep", "keep", "close", "drop")))
    if pick((False, False, True)):
        return Fate(connect=pick(("refuse", "hang")), connect_s=pick((0.0, 0.3)))
    if pick((False, True)):
        status = pick(REFUSALS)
        is_too_long = status in (400, 413) and pick((True, False))
        return Fate(status=status, retry_after_s=pick((None, 0, 1, 20)), is_too_long=is_too_long, head_s=pick(SPANS))
    ending = pick(ENDINGS)
    at = pick((2, 0, 1, 3, 4, 5)) if ending in ("whole", "no_done", "no_finish") else pick((2, -1, 0, 1, 3, 4, 5))
    return Fate(
        head_s=pick(SPANS),
        first_s=pick(SPANS),
        gap_s=pick((0.0, 0.1, 1.0, 9.0)),
        ending=ending,
        at=at,
        cut=pick((0, 1, 9, 60)),
        after=pick(("keep", "close", "drop")),
        is_pinging=pick((False, True)),
    )


def draw_options(pick: Picker) -> dict[str, Any]:
    """Draw the settings of the route."""
    options: dict[str, Any] = {"deadline": pick(("30s", "5s", "2m"))}
    options["replay"] = pick(("safe", "safe", "idempotent", "never"))
    options["on_break"] = pick(("resume", "error"))
    options["commit"] = pick(("first_event", "head"))
    options["max_attempts"] = pick((6, 2, 3, 1))
    options["replay_buffer"] = pick(("1MiB", "1MiB", "1KiB"))
    if pick((False, True)):
        options["hold_back"] = pick(("complete", "2 tokens", "500ms"))
        options["hold_back_limit"] = pick(("1MiB", "300B"))
    if pick((False, True)):
        options["hedge"] = {"after": pick(("200ms", "3s"))}
    if pick((False, False, True)):
        options["fallback"] = {"on": [cause for cause in CAUSES if pick((True, True, False))]}
    if pick((False, False, True)):
        options["malformed"] = "skip"
    return options


def draw_visitor(pick: Picker, number: int) -> Visitor:
    """Draw one client."""
    is_stream = pick((True, True, False))
    size = pick((0, 0, 0, 3000, 200_000))
    request = {"model": "m", "stream": is_stream, "messages": [{"role": "user", "content": "x" * size}]}
    fields: list[tuple[str, str]] = []
    if pick((False, False, False, True)):
        fields.append(("X-Headgate-Fallback", "off"))
    if pick((False, False, False, True)):
        fields.append(("X-Headgate-Deadline-Ms", pick(("1500", "100"))))
    is_get = not is_stream and pick((False, True))
    is_slow = pick((False, False, False, True))
    return Visitor(
        number,
        at=pick((0.0, 0.0, 0.5, 3.0, 15.0)),
        method="GET" if is_get else "POST",
        body=b"" if is_get else json.dumps(request).encode(),
        fields=tuple(fields),
        num_parts=pick((1, 1, 3)),
        part_s=pick((0.0, 0.5)),
        read_bytes=50 if is_slow else 1 << 16,
        read_s=0.2 if is_slow else 0.0,
        leave_s=pick((0.0, 0.05, 0.5, 1.5, 6.0)) if pick((False, False, False, True)) else None,
        is_leaving_by_reset=pick((False, True)),
    )


def draw_world(pick: Picker) -> Scenario:
    """Draw a world."""
    mood = pick(("any", "breaking", "any", "mild"))
    fates = tuple(
        tuple(tuple(draw_fate(pick, mood) for _ in range(pick((1, 2, 3)))) for _ in range(pick((1, 1, 2))))
        for _ in range(pick((2, 1, 3)))
    )
    return Scenario(
        tuple(draw_visitor(pick, number) for number in range(pick((1, 2, 4)))),
        fates,
        frozenset(cluster for cluster in range(len(fates)) if pick((True, False))),
        draw_options(pick),
        {"pool": {"max_connections": pick((256, 1)), "max_idle": pick((64, 1))}, "timeouts": {"idle": "8s"}},
        reloads=(pick((0.3, 2.0)),) if pick((False, False, True)) else (),
        num_tokens=pick((4, 1, 6)),
        seed=pick(tuple(range(16))),
        latency_s=pick((0.0, 0.002)),
        is_split=pick((False, True)),
        padding_bytes=pick((0, 0, 0, 150_000)),  # more than lies between a target and a client that does not read
    )


worlds = drawn(draw_world)


def seeded(seed: int) -> Scenario:
    """Return the world of a seed: the same on any machine."""
    return draw_world(Random(seed).choice)
