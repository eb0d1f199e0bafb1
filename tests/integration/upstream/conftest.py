"""Both event loops, and upstreams that follow a script."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from .script_server import Peer, ScriptServer


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a coroutine on the event loop of this parameter."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run_with(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main)

    return run_with


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptServer]]:
    """Start script servers; they are stopped, and their failures raised, after the test."""
    servers: list[ScriptServer] = []

    def start(
        script: Callable[[Peer], None], tls: ssl.SSLContext | None = None, path: str | None = None
    ) -> ScriptServer:
        servers.append(ScriptServer(script, tls, path))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
