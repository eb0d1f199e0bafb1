"""curl as a process, with `headgate proxy` between it and an upstream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from ..running import RunningGateway, Script, Upstream, process, raw_server, upstream

BOUND_S = 40.0
# No configuration of a user's, no progress bar, and every error said.
CURL = ("curl", "--disable", "--silent", "--show-error", "--noproxy", "*", "--max-time", str(BOUND_S))

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Done:
    """How a curl ended."""

    code: int
    output: bytes
    errors: str

    @property
    def sent(self) -> list[str]:
        """The lines of the request heads, from --verbose."""
        return [line[2:].rstrip() for line in self.errors.splitlines() if line.startswith("> ")]

    @property
    def received(self) -> list[str]:
        """The lines of the answers' heads, from --verbose."""
        return [line[2:].rstrip() for line in self.errors.splitlines() if line.startswith("< ")]


async def curl(*arguments: str, body: bytes | None = None) -> Done:
    """Run curl to its end; `body` goes to its standard input."""
    started = await start_curl(*arguments)
    async with asyncio.timeout(BOUND_S):
        output, errors = await started.communicate(body)
    assert started.returncode is not None
    return Done(started.returncode, output, errors.decode())


async def start_curl(*arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*CURL, *arguments, stdin=pipe, stdout=pipe, stderr=pipe)


@contextlib.asynccontextmanager
async def proxied(script: Script) -> AsyncIterator[tuple[str, Upstream]]:
    """Give the address of a proxy in front of a scripted upstream."""
    async with upstream(script) as served, proxy(served.url) as gate:
        yield f"http://127.0.0.1:{gate.port}", served


@contextlib.asynccontextmanager
async def proxied_raw(serve: Serve) -> AsyncIterator[tuple[str, RunningGateway]]:
    """Give the address of a proxy in front of a server that reads connections itself."""
    async with raw_server(serve) as port, proxy(f"http://127.0.0.1:{port}") as gate:
        yield f"http://127.0.0.1:{gate.port}", gate


def proxy(url: str) -> contextlib.AbstractAsyncContextManager[RunningGateway]:
    return process(("proxy", url, "--listen", "127.0.0.1:0"), Path("no configuration file"))
