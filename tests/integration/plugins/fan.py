"""A gateway that asks every target of its only route at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from ...http_client import fetch
from ...running import RunningGateway
from ...upstream import Call, Script, Upstream, upstream
from ..openai.background import Background

BOUND_S = 0.100  # within which what is not wanted any more is left
JSON = "Content-Type: application/json"
SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def silent(call: Call) -> None:
    """Wait until the gateway leaves (see `Stand.watched`)."""


async def streaming(call: Call) -> None:
    """Begin to answer, then wait until the gateway leaves (see `Stand.watched`)."""
    await call.send(SSE_HEAD + b"d\r\ndata: first\n\n\r\n")


@dataclass
class Stand:
    """A gateway whose only route asks every target at once. `left_at` tells when each waiting target was left."""

    gate: RunningGateway
    targets: list[Upstream]
    left_at: dict[int, float]
    left: asyncio.Event
    route: str

    def log(self) -> list[dict[str, Any]]:
        """The access log of this test."""
        return [line for line in self.gate.log() if line["route"] == self.route]

    def watched(self, number: int, script: Script) -> Script:
        """Play a script; of one that waits for the gateway to leave, note when it did."""

        async def play(call: Call) -> None:
            await script(call)
            if script in (silent, streaming):
                await call.gone()
                self.left_at[number] = time.monotonic()
                self.left.set()
                raise ConnectionError("left")

        return play

    async def until_left(self, *numbers: int) -> float:
        """Wait until these targets were left; the latest instant."""
        async with asyncio.timeout(5):
            while not self.left_at.keys() >= set(numbers):
                self.left.clear()
                await self.left.wait()
        return max(self.left_at[number] for number in numbers)


def config(targets: list[Upstream], **route: Any) -> dict[str, Any]:
    clusters = {f"t{number}": {"endpoints": [target.url]} for number, target in enumerate(targets)}
    fan = {"name": "fan", "match": {"path": "/{*rest}"}, "targets": list(clusters)}
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "admin": {"address": "127.0.0.1:0", "token": "env:TOKEN", "hosts": ["gate.test"]},
        "clusters": clusters,
        "plugins": {"aggregate": {}},
        "routes": [{**fan, "stages": {"aggregate": ["aggregate"]}, **route}],
    }


class Fan:
    """Runs a test behind a route that asks every target at once."""

    def __init__(self, behind: Background, gate: RunningGateway) -> None:
        self._behind = behind
        self._gate = gate

    def run(
        self,
        strategy: str,
        test: Callable[[Stand], Awaitable[None]],
        *scripts: Script,
        options: dict[str, Any] | None = None,
        **route: Any,
    ) -> None:
        """Let the targets play `scripts`, give the gateway its configuration, run the test."""

        async def main() -> None:
            async with AsyncExitStack() as stack:
                made = Stand(self._gate, [], {}, asyncio.Event(), f"fan-{uuid4().hex[:8]}")
                for number, script in enumerate(scripts):
                    made.targets.append(await stack.enter_async_context(upstream(made.watched(number, script))))
                options_of_plugins = {"aggregate": {"strategy": strategy, **(options or {})}}
                self._gate.write(config(made.targets, name=made.route, plugins=options_of_plugins, **route))
                reloaded = await fetch(self._gate.admin_port, "POST", "/reload", b"", "Authorization: Bearer token")
                assert reloaded.status == 200, reloaded.body
                await test(made)

        self._behind.run(main())
