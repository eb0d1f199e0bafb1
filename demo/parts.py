"""The processes of the demo, started again when one dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass, field

_RESTART_S = 3.0
_STOP_S = 10.0
_READY_S = 60.0


class PartError(Exception):
    """A part that did not start."""


@dataclass(slots=True)
class Part:
    """One process. `ready` is how the line begins that it prints on standard output once it serves.

    `{port}` in the command stands for its port: 0 takes a free one the first time, which it then keeps.
    """

    name: str
    command: list[str]
    port: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    ready: str = "listening on "
    process: asyncio.subprocess.Process | None = None
    _reader: asyncio.Task[None] | None = None

    async def start(self) -> list[str]:
        """Start the process; return what it printed until it was ready. Raises: PartError."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *(word.replace("{port}", str(self.port)) for word in self.command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **self.environment},
            start_new_session=True,  # Ctrl-C reaches the demo alone, which then stops its parts in order
        )
        try:
            async with asyncio.timeout(_READY_S):
                lines = await self._lines_until_ready()
        except TimeoutError:
            await self.stop()
            raise PartError(f"{self.name}: expected it to serve within {_READY_S:g} s") from None
        self.port = self.port or _port_of(lines[-1])
        self._reader = asyncio.create_task(self._pass_on())
        return lines

    @property
    def pid(self) -> int:
        """Id of the process, 0 before its start."""
        return self.process.pid if self.process is not None else 0

    async def ended(self) -> int:
        """Wait for the end of the process; return its exit code."""
        return await self.process.wait() if self.process is not None else 0

    async def _lines_until_ready(self) -> list[str]:
        output = self._output()
        lines: list[str] = []
        while line := (await output.readline()).decode(errors="replace").rstrip():
            lines.append(line)
            if line.startswith(self.ready):
                return lines
        code = await self.ended()
        raise PartError(f"{self.name}: ended with exit code {code} before it served; what it said stands above")

    async def _pass_on(self) -> None:
        output = self._output()
        while line := await output.readline():
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()

    def _output(self) -> asyncio.StreamReader:
        if self.process is None or self.process.stdout is None:
            raise PartError(f"{self.name}: not started")
        return self.process.stdout

    async def stop(self) -> None:
        """Ask the process to end, and make sure that it does."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def keep(self) -> None:
        """Start the process again, a while after it ended. Runs until cancelled."""
        while self.process is not None:
            code = await self.ended()
            print(f"{self.name} ended (exit code {code}); it is started again in {_RESTART_S:g} s", flush=True)
            await asyncio.sleep(_RESTART_S)
            try:
                await self.start()
                print(f"{self.name} is back (pid {self.process.pid})", flush=True)
            except PartError as error:
                print(error, file=sys.stderr, flush=True)


def _port_of(line: str) -> int:
    return int(line.rpartition(":")[2])
