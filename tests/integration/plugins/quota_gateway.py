"""A gateway with the plugin `quota`, in front of services that a test scripts."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from headgate.plugins.api_key import digest, new_key

from ...http_client import Answer, fetch
from ...running import WAYS, RunningGateway, gateway
from ...upstream import Call, Script, Upstream, upstream
from ..proxy.completions import PATH

PEPPER = "a pepper of the tests"
KEY, OTHER = new_key("test"), new_key("test")
TOKENS, REQUESTS = 100_000, 1_000
PROMPT_TOKENS, MAX_TOKENS = 30, 500
READY_S = 30.0


def body_of(*, is_stream: bool = False) -> bytes:
    """A request whose prompt is estimated at PROMPT_TOKENS."""
    written = json.dumps({"model": "m", "max_tokens": MAX_TOKENS, "stream": is_stream, "messages": []}).encode()
    return written.ljust(4 * PROMPT_TOKENS)


def usage_of(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


async def answered(call: Call) -> None:
    """Answer with 7 tokens for the prompt and 13 for the answer; what has no body is told nothing."""
    told = {"choices": [], "usage": usage_of(7, 13)} if call.body else {"object": "list", "data": []}
    await call.answer(json.dumps(told).encode(), "200 OK", "Content-Type: application/json")


def config_of(served: Upstream, **quota: Any) -> dict[str, Any]:
    keys = [
        {"id": name, "tenant": "acme", "digests": [{"digest": digest(key, PEPPER)}]}
        for name, key in (("ann", KEY), ("bob", OTHER))
    ]
    limits = [
        {"by": "key", "per": "total", "max_tokens": TOKENS, "max_requests": REQUESTS},
        {"by": "tenant", "per": "month", "max_cost": "1000"},
    ]
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "clusters": {"up": {"endpoints": [served.url]}},
        "plugins": {
            "api_key": {"pepper": "env:PEPPER", "inline": keys},
            "quota": {"limits": limits, "prices": {"*": {"input": "1", "output": "2"}}, **quota},
        },
        "stages": {"auth": ["api_key"], "ratelimit": ["quota"]},
        "routes": [{"name": "all", "match": {"path": "/{*rest}"}, "targets": ["up"], "kind": "inference"}],
    }


async def post(gate: RunningGateway, key: str = KEY, *, is_stream: bool = False) -> Answer:
    return await fetch(gate.port, "POST", PATH, body_of(is_stream=is_stream), f"Authorization: Bearer {key}")


async def left(gate: RunningGateway, key: str = KEY) -> tuple[int, int, int]:
    """Return how many requests and tokens a key has left, this one counted, and how much its tenant, in millionths."""
    answer = await fetch(gate.port, "GET", "/v1/models", None, f"Authorization: Bearer {key}")
    members = (answer.field("ratelimit") or "").split(", ")
    requests, tokens, cost = (int(member.partition(";r=")[2].partition(";")[0]) for member in members)
    return requests, tokens, cost


async def settled(gate: RunningGateway, tokens: int, cost: int, key: str = KEY) -> int:
    """Wait until so much is left: an answer is whole before it is settled. Return how many requests were, before this.

    What never comes to be so is told by the last that was seen.
    """
    found, num_asked = (0, 0, 0), 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_S):
            while found[1:] != (tokens, cost):
                found, num_asked = await left(gate, key), num_asked + 1
    assert found[1:] == (tokens, cost), f"{found[1:]} is left, expected {(tokens, cost)}"
    return found[0] + num_asked


def play(script: Script, ask: Callable[[RunningGateway], Awaitable[Any]], lane: str = "on", **quota: Any) -> Any:
    async def main() -> Any:
        environment: dict[str, Any] = {"PEPPER": PEPPER, **WAYS["reference" if lane == "off" else "lane"]}
        async with upstream(script) as served, gateway(config_of(served, **quota), **environment) as gate:
            return await ask(gate)

    return asyncio.run(main())


both_ways = pytest.mark.parametrize("lane", ["on", "off"])
