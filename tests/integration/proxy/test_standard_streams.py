"""A gateway whose caller closed its standard streams."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ...http_client import Answer, fetch
from ...running import plain
from ...upstream import Call, upstream


async def ok(call: Call) -> None:
    await call.answer()


@contextlib.asynccontextmanager
async def served_by_a_shell(config: Path, closing: str) -> AsyncIterator[asyncio.subprocess.Process]:
    line = f'exec "$0" -m headgate.proxy serve "$1" {closing}'
    process = await asyncio.create_subprocess_exec("sh", "-c", line, sys.executable, str(config))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def listening_port(process: asyncio.subprocess.Process) -> int:
    """Wait until a process listens, and return where: it may have nothing to say it on."""
    async with asyncio.timeout(30):
        while process.returncode is None:
            sockets = {f"socket:[{row[9]}]": row for row in _tcp_rows() if row[3] == "0A"}
            for link in _open_files(process.pid).values():
                if link in sockets:
                    return int(sockets[link][1].rpartition(":")[2], 16)
            await asyncio.sleep(0.02)  # the kernel has no event for it
    raise AssertionError(f"it ended with {process.returncode}")


def _tcp_rows() -> list[list[str]]:
    return [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]


def _open_files(pid: int) -> dict[int, str]:
    folder, found = f"/proc/{pid}/fd", {}
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):  # closed meanwhile
            found[int(name)] = os.readlink(f"{folder}/{name}")
    return found


@pytest.mark.parametrize(
    ("closing", "closed"),
    [(">&-", {1}), ("2>&-", {2}), ("<&- >/dev/null", {0}), ("<&- >&- 2>&-", {0, 1, 2})],
    ids=["output", "error", "input", "all"],
)
def test_it_serves_and_drains_with_closed_standard_streams(tmp_path: Path, closing: str, closed: set[int]) -> None:
    async def main() -> tuple[list[Answer], set[str], int]:
        async with upstream(ok) as up:
            config = tmp_path / "gateway.yaml"
            config.write_text(json.dumps(plain(up.url)))
            async with served_by_a_shell(config, closing) as process:
                port = await listening_port(process)
                answers = [await fetch(port) for _ in range(3)]
                files = _open_files(process.pid)
                process.send_signal(signal.SIGHUP)  # it says something
                process.send_signal(signal.SIGTERM)
                code = await asyncio.wait_for(process.wait(), 10)
                return answers, {files[number] for number in closed}, code

    answers, files, code = asyncio.run(main())
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert (files, code) == ({"/dev/null"}, 0)
