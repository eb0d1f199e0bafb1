"""Generators of load of our own, each a process on the core of the load."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from .figures import InvalidRun, Load
from .processes import pinned

_ROOT = Path(__file__).resolve().parents[1]


async def run_client(arguments: Sequence[str], cpu: int, timeout_s: float) -> Load:
    """Run a module that prints one line of JSON. Raises: InvalidRun where it complains, TimeoutError."""
    async with _client(arguments, cpu) as process:
        async with asyncio.timeout(timeout_s):
            output, complaint = await process.communicate()
        if process.returncode:
            raise InvalidRun(_last_line(complaint))
    return Load(**json.loads(output))


@asynccontextmanager
async def held_client(arguments: Sequence[str], cpu: int, timeout_s: float) -> AsyncIterator[Load]:
    """Run a module that prints one line of JSON and holds what it has until its input ends, as the block does.

    Raises: InvalidRun where it complains, TimeoutError.
    """
    async with _client(arguments, cpu) as process:
        if process.stdout is None or process.stdin is None or process.stderr is None:
            raise RuntimeError("expected pipes to the client")
        async with asyncio.timeout(timeout_s):
            output = await process.stdout.readline()
            if not output:
                raise InvalidRun(_last_line(await process.stderr.read()))
        yield Load(**json.loads(output))
        process.stdin.close()
        async with asyncio.timeout(timeout_s):
            complaint = await process.stderr.read()
            if await process.wait():
                raise InvalidRun(_last_line(complaint))


@asynccontextmanager
async def _client(arguments: Sequence[str], cpu: int) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    with pinned(cpu):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *arguments), cwd=_ROOT, stdin=pipe, stdout=pipe, stderr=pipe
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _last_line(complaint: bytes) -> str:
    return complaint.decode(errors="replace").strip().rpartition("\n")[2]
