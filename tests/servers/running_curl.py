"""curl as a process, with `headgate proxy` between it and an upstream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..integration.openai.background import Background, background
from ..running import RunningGateway, process
from ..upstream import Call, Script, Upstream, upstream

BOUND_S = 40.0
# No configuration of a user's, no progress bar, and every error said.
CURL = ("curl", "--disable", "--silent", "--show-error", "--noproxy", "*", "--max-time", str(BOUND_S))

T = TypeVar("T")


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


class Stand:
    """One proxy in front of one upstream; both live in a loop of their own. A test says what the upstream does."""

    def __init__(self, background: Background, served: Upstream, gate: RunningGateway) -> None:
        self._background = background
        self._served = served
        self.url = f"http://127.0.0.1:{gate.port}"

    def play(self, script: Script) -> None:
        """Set what the upstream does with every request from now on, and forget what it saw."""
        self._served.script = script
        self._served.calls.clear()

    @property
    def calls(self) -> list[Call]:
        """What the upstream saw."""
        return self._served.calls

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the upstream's loop."""
        return self._background.run(work)

    def curl(self, *arguments: str, path: str = "/", body: bytes | None = None) -> Done:
        """Ask with curl."""
        return self.run(curl(*arguments, self.url + path, body=body))


@contextlib.contextmanager
def proxy_stand(script: Script) -> Iterator[Stand]:
    """Run `headgate proxy` in front of an upstream."""
    with background() as loop, loop.holding(upstream(script)) as served:
        command = ("proxy", served.url, "--listen", "127.0.0.1:0")
        with loop.holding(process(command, Path("no configuration file"))) as gate:
            yield Stand(loop, served, gate)
