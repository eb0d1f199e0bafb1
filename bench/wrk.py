"""Load by wrk, with every answer compared."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from .figures import InvalidRun, Load
from .processes import pinned
from .works import ANSWER, Work

_SCRIPT = Path(__file__).with_name("wrk.lua")
_GRACE_S = 30
_TIMEOUT_S = 20


def write_requests(work: Work, folder: Path) -> None:
    """Write the requests of `work` for wrk to read."""
    with _requests(work, folder).open("wb") as file:
        for request in work.requests():
            file.write(b"%d\n%s" % (len(request), request))
    _answer(folder).write_bytes(ANSWER)


async def run_wrk(work: Work, port: int, seconds: int, folder: Path, cpu: int) -> Load:
    """Send `work` to `port` for `seconds`. Raises: InvalidRun where an answer was not the right one."""
    arguments = ("-t1", f"-c{work.connections}", f"-d{seconds}s", f"--timeout={_TIMEOUT_S}s", f"-s{_SCRIPT}")
    files = (str(_requests(work, folder)), str(_answer(folder)))
    with pinned(cpu):
        process = await asyncio.create_subprocess_exec(
            "wrk",
            *arguments,
            f"http://127.0.0.1:{port}/",
            "--",
            *files,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        async with asyncio.timeout(seconds + _GRACE_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return read_report(output.decode(errors="replace"))


def read_report(output: str) -> Load:
    """Read what the script printed. Raises: InvalidRun where there is nothing, or an answer was not the right one."""
    lines = dict(line.split(" ", 1) for line in output.splitlines() if line.startswith(("figures ", "first_bad ")))
    if "figures" not in lines:
        raise InvalidRun(f"expected wrk to report figures, got {output[-500:]!r}")
    found = json.loads(lines["figures"])
    if found["bad"]:
        raise InvalidRun(f"{found['bad']} of {found['requests']} answers were wrong, the first: {lines['first_bad']}")
    failed = {name: number for name, number in found["failed"].items() if number}
    if failed or not found["requests"]:
        raise InvalidRun(f"expected answers without a failure, got {found['requests']} and failures {failed}")
    return Load(
        units=found["requests"],
        duration_s=found["duration_us"] / 1e6,
        p50_ms=found["p50_us"] / 1e3,
        p99_ms=found["p99_us"] / 1e3,
    )


def _requests(work: Work, folder: Path) -> Path:
    return folder / f"{work.name}.requests"


def _answer(folder: Path) -> Path:
    return folder / "answer"
