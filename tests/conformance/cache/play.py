"""Plays a script on the cache's stand."""

from __future__ import annotations

import asyncio

from headgate.proxy.exchange.fields import Fields

from ...unit.plugins.cache.stand import Lines, Seen, Stand
from .script import Script, Step


async def play(script: Script) -> str:
    """Return what went otherwise than the script says; empty where nothing did."""
    stand = Stand(**script.config)
    for number, step in enumerate(script.steps, 1):
        await asyncio.sleep(step.wait_s)
        seen = await stand.ask(step.ask, *step.origins)
        if wrong := judged(step, seen):
            return f"{script.name}, step {number}: {wrong} ({script.source})"
    return ""


def judged(step: Step, seen: Seen) -> str:
    """Return what is wrong with an answer; empty where it is as it should be."""
    if step.then and (came := outcome(seen)) != step.then:
        return f"expected {step.then}, got {came} with {seen.cache_status!r}"
    shown = [*_differing("the answer has", step.shows, seen.fields)]
    if step.sent:
        shown += _differing("the origin saw", step.sent, seen.sent[-1]) if seen.sent else ["the origin was not asked"]
    if step.body is not None and seen.body != step.body:
        shown.append(f"expected the body {step.body!r}, got {seen.body!r}")
    if step.status is not None and seen.status != step.status:
        shown.append(f"expected the status {step.status}, got {seen.status}")
    if step.asked is not None and len(seen.sent) != step.asked:
        shown.append(f"expected {step.asked} requests at the origin, got {len(seen.sent)}")
    return "; ".join(shown)


def outcome(seen: Seen) -> str:
    """Say in one word what became of a request."""
    if seen.is_forwarded:
        return seen.verdict if seen.verdict in ("revalidated", "stale") else "forwarded"
    return "hit" if seen.verdict == "hit" and seen.status != 304 else str(seen.status)


def _differing(what: str, expected: Lines, fields: Fields) -> list[str]:
    return [
        f"{what} {name}: {value!r}, expected {wanted!r}"
        for name, wanted in expected
        if (value := ", ".join(fields.get_all(name))) != wanted
    ]
